"""Pictures in, named probabilities out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.decode import decode_image
from eyebright.errors import ImageError

_PICTURES_AT_ONCE = 256  # bounds the memory, however many there are


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one picture, or why it could not be read.

    Attributes:
        image: the path, as it was given.
        top: the likeliest classes with their probabilities, the first the likeliest; empty after an error.
        error: what is wrong with the picture, or None.
    """

    image: str
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As `predict --json` prints it."""
        if self.error is not None:
            return {"image": self.image, "error": self.error}
        label, probability = self.top[0]
        top = [{"label": name, "probability": p} for name, p in self.top]
        return {"image": self.image, "label": label, "probability": probability, "top": top}


def predict_files(classifier: Classifier, paths: Sequence[str | Path], top: int = 5) -> Iterator[Prediction]:
    """Classify picture files of any size and mode.

    Args:
        classifier: what to ask.
        paths: the files.
        top: how many classes to name for each, at least 1.

    Yields:
        One prediction a path, in the order given. A picture that cannot be read has its error in its place; the
        others are answered.
    """
    for start in range(0, len(paths), _PICTURES_AT_ONCE):
        chunk = paths[start : start + _PICTURES_AT_ONCE]
        decoded = [_decoded(path, classifier) for path in chunk]
        pictures = [picture for picture in decoded if isinstance(picture, np.ndarray)]
        answers = iter(classifier.predict(np.stack(pictures)) if pictures else ())
        for path, picture in zip(chunk, decoded, strict=True):
            if isinstance(picture, ImageError):
                yield Prediction(str(path), error=str(picture))
            else:
                yield Prediction(str(path), _likeliest(next(answers), classifier.class_names, top))


def _decoded(path: str | Path, classifier: Classifier) -> NDArray[np.uint8] | ImageError:
    try:
        return decode_image(Path(path), classifier.image_shape, classifier.fit)
    except ImageError as error:
        return error


def _likeliest(
    probabilities: NDArray[np.float32], class_names: tuple[str, ...], top: int
) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-probabilities, kind="stable")[:top]
    return tuple((class_names[i], float(probabilities[i])) for i in order)
