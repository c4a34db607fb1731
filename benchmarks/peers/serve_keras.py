"""The server that people write first: FastAPI, and Keras's `model.predict` on each picture as it comes.

    python serve_keras.py RUN PORT

It answers by the same views of a picture as Eyebright's, so that both give the same classes.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI, Request
from PIL import Image

from eyebright import Classifier
from eyebright.views import VIEW_WEIGHTS

classifier = Classifier.load(sys.argv[1])
model = classifier.model
height, width, _ = classifier.image_shape
app = FastAPI()


def views(image: np.ndarray) -> np.ndarray:
    """[views, H, W, C]: the picture, and where the classifier looks at more, its shifts and mirror images."""
    found = [image]
    if classifier.tta == "mirror-shift":
        padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), mode="reflect")
        found += [padded[:height, :width], padded[2:, 2:]]
    if classifier.tta != "none":
        found += [view[:, ::-1] for view in found]
    return np.stack(found)


@app.post("/predict")
async def predict(request: Request) -> Any:
    picture = Image.open(io.BytesIO(await request.body())).convert("RGB").resize((width, height), Image.BILINEAR)
    logits = model.predict(views(np.asarray(picture)), verbose=0)
    probabilities = classifier.calibration.probabilities(
        np.average(logits, axis=0, weights=VIEW_WEIGHTS[classifier.tta])[None]
    )
    best = int(probabilities[0].argmax())
    return [{"label": classifier.class_names[best], "probability": float(probabilities[0, best])}]


uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
