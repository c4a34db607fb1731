"""What each exported file says of itself: class names, sizes, what is inside it, versions."""

from __future__ import annotations

import json

from eyebright import storage
from eyebright.backend import versions
from eyebright.classifier import Classifier
from eyebright.models.inference import VIEWS


def metadata(classifier: Classifier) -> dict[str, str]:
    """Metadata by name, each a text, as formats that know no other keep them.

    Returns:
        `labels` (a JSON array, in the order of the outputs), `labels_sha256`, `image_shape` (JSON: height, width,
        channels), `input` and `pictures` (what an application has to do), `fit`, `tta`, `calibration` (JSON),
        `architecture` (JSON), `weights_sha256`, and `version_…` of what computed the weights and made the file.
    """
    labels = json.dumps(classifier.class_names, ensure_ascii=False)
    height, width, channels = classifier.image_shape
    colours = "RGB" if channels == 3 else "grey"
    own = {
        "labels": labels,
        "labels_sha256": storage.sha256(labels.encode()),
        "image_shape": json.dumps(classifier.image_shape),
        "input": f"images: uint8 [N, {height}, {width}, {channels}], {colours}, 0 … 255, as they are",
        "tta": f"{classifier.tta}: {VIEWS[classifier.tta]}",
        "calibration": json.dumps(classifier.calibration.to_dict(), sort_keys=True),
        "architecture": classifier.architecture.model_dump_json(exclude_none=True),
        "weights_sha256": classifier.weights_sha256,
    }
    return own | {f"version_{name}": version for name, version in versions().items() if name != "python"}
