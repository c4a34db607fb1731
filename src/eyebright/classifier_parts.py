"""What is saved of a classifier, as parts: the files of `RUN/model`, which an artefact has as well."""

from __future__ import annotations

import hashlib
import json
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from eyebright import storage
from eyebright.architecture import Architecture
from eyebright.arrays import arrays_to_npz, npz_to_arrays
from eyebright.errors import ClassifierError
from eyebright.held_out import HeldOut
from eyebright.known_images import KnownImages
from eyebright.metrics.calibration import Calibration
from eyebright.picture_options import Fit
from eyebright.settings import TestTimeAugmentation
from eyebright.views import VIEWS

KIND = "eyebright-classifier"
# An Eyebright that reads 1 alone knows no inference.json, and would answer by one view without a word; one that reads 2
# alone would stretch every picture; one that reads 3 alone resizes by another filter, and builds other convnets; one
# that reads 4 alone would give probabilities that are not calibrated.
VERSION = 5

# How a picture of any size and mode becomes the classifier's input; `data/decode.py` does it.
_PICTURES = {
    "orientation": "EXIF orientation applied",
    "profile": "colours of an ICC profile become those of sRGB",
    "transparency": "composited on white",
    "dtype": "uint8, 0 … 255",
}
_RESIZE: dict[Fit, str] = {
    "crop": "the middle of the input's proportions",
    "stretch": "stretched",
    "pad": "whole, between black bars",
}


class Saved(NamedTuple):
    """All that is saved of a classifier; the arguments of `Classifier`, in their order."""

    architecture: Architecture
    class_names: tuple[str, ...]
    weights: dict[str, NDArray[Any]]
    tta: TestTimeAugmentation
    fit: Fit
    calibration: Calibration
    held_out: HeldOut | None
    known_images: KnownImages | None

    @property
    def preprocessing(self) -> dict[str, Any]:
        """How a picture becomes the input, and what is done with that, in words."""
        return {
            "image_shape": list(self.architecture.image_shape),
            **_PICTURES,
            "resize": f"{_RESIZE[self.fit]}, to the input's height and width, bilinear with antialiasing",
            "pixels": self.architecture.preprocessing,
            "views": VIEWS[self.tta],
        }

    def to_parts(self) -> dict[str, bytes]:
        """Content by file name. The same classifier gives the same bytes."""
        labels = {"class_names": list(self.class_names), "sha256": _names_sha256(self.class_names)}
        parts = {
            "architecture.json": storage.json_bytes(self.architecture.model_dump(mode="json", exclude_none=True)),
            "calibration.json": storage.json_bytes(self.calibration.to_dict()),
            "inference.json": storage.json_bytes({"tta": self.tta, "fit": self.fit}),
            "labels.json": storage.json_bytes(labels),
            "preprocessing.json": storage.json_bytes(self.preprocessing),
            "weights.npz": arrays_to_npz(self.weights),
        }
        if self.held_out is not None:
            parts["held_out.npz"] = arrays_to_npz(self.held_out.to_arrays())
        if self.known_images is not None:
            parts["known_images.npz"] = arrays_to_npz(self.known_images.to_arrays())
        return parts

    @classmethod
    def from_parts(cls, parts: dict[str, bytes]) -> Self:
        """Take what `to_parts` gave, or an earlier version did.

        Raises:
            ClassifierError: a part is missing, or says what this Eyebright does not know.
        """
        try:
            labels = json.loads(parts["labels.json"])
            class_names = tuple(labels["class_names"])
            if labels["sha256"] != _names_sha256(class_names):
                raise ClassifierError("labels.json: the class names do not match their SHA-256.")
            architecture = Architecture.model_validate_json(parts["architecture.json"])
            weights = npz_to_arrays(parts["weights.npz"])
            inference: Any = json.loads(parts.get("inference.json", b'{"tta": "none"}'))
            tta, fit = inference["tta"], inference.get("fit", "stretch")  # which earlier versions did
            calibration = Calibration.model_validate_json(parts.get("calibration.json", b"{}"))
            held_out, known_images = None, None
            if "held_out.npz" in parts:
                held_out = HeldOut.from_arrays(npz_to_arrays(parts["held_out.npz"]), architecture.classes)
            if "known_images.npz" in parts:
                known_images = KnownImages.from_arrays(npz_to_arrays(parts["known_images.npz"]), architecture.classes)
        except (ValueError, KeyError, TypeError, RecursionError) as error:  # verified, and written by another
            raise ClassifierError(f"no valid classifier: {error}.") from error
        return cls(architecture, class_names, weights, tta, fit, calibration, held_out, known_images)


def weights_sha256(weights: dict[str, NDArray[Any]]) -> str:
    """SHA-256, 64 hexadecimal digits, over the names, shapes, types and values of weights."""
    digest = hashlib.sha256()
    for name, array in sorted(weights.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _names_sha256(class_names: tuple[str, ...]) -> str:
    return storage.sha256("\n".join(class_names).encode())
