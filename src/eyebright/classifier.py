"""`Classifier`: all that predicting needs, in one directory: weights, class names, preprocessing, architecture."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
from numpy.typing import NDArray

from eyebright import storage
from eyebright.arrays import arrays_to_npz as arrays_to_npz  # as: for those that import it from here
from eyebright.arrays import npz_to_arrays as npz_to_arrays
from eyebright.backend import keras, versions
from eyebright.errors import ClassifierError, DataError, StorageError, suggestion
from eyebright.held_out import HeldOut
from eyebright.known_images import KnownImages
from eyebright.metrics.calibration import Calibration
from eyebright.models import Architecture, build_model
from eyebright.models.inference import (
    VIEWS,
    Answers,
    Logits,
    LogitsFunction,
    ViewedLogits,
    ViewedLogitsFunction,
    compiled_answers,
    compiled_logits,
    compiled_viewed_logits,
)
from eyebright.models.transfer import features_of, with_features
from eyebright.picture_options import DEFAULT_FIT, FITS, Fit
from eyebright.settings import TestTimeAugmentation

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


_PREPROCESSING = ("standardize/", "image_whitening/")  # what the names of the preprocessing's weights begin with


class Classifier:
    """A trained model with the names of its classes; raw uint8 pixels in, probabilities out.

    Its preprocessing (what is taken from the pixels) is part of the model: give it pixels as they are. It computes in
    float32, also after training in bfloat16.

    It may answer by the mean over several views of an image (test-time augmentation): all that asks it, asks for that.

    Args:
        architecture: shape of the model.
        class_names: in the order of the model's outputs.
        weights: by name, as `model_weights` gives them.
        tta: the views by whose mean it answers, see `models.inference.VIEWS`.
        fit: what is done with pictures of other proportions than the images that it takes.
        calibration: how its logits become probabilities; the softmax alone if not given.
        held_out: its answers to images that it did not learn from, for thresholds and sets of classes with a promise
            (see `uncertainty`).
        known_images: what tells images that are unlike the training images; None where that was not measured.

    Raises:
        ClassifierError: another number of names than of classes, a calibration of other classes, or an unknown `tta`.
            Weights that do not fit the architecture are noticed at the first prediction, which builds the model.
    """

    def __init__(
        self,
        architecture: Architecture,
        class_names: tuple[str, ...],
        weights: dict[str, NDArray[Any]],
        tta: TestTimeAugmentation = "none",
        fit: Fit = DEFAULT_FIT,
        calibration: Calibration = Calibration(),  # noqa: B008 - immutable
        held_out: HeldOut | None = None,
        known_images: KnownImages | None = None,
    ) -> None:
        if len(class_names) != architecture.classes:
            raise ClassifierError(f"{len(class_names)} class names for a model of {architecture.classes} classes.")
        _check_tta(tta)
        if fit not in FITS:
            raise ClassifierError(f"fit {fit!r}: no such way to fit a picture.{suggestion(str(fit), FITS)}")
        _check_calibration(calibration, architecture)
        self.architecture = architecture
        self.class_names = tuple(class_names)
        self.weights = weights
        self.tta = tta
        self.fit = fit
        self.calibration = calibration
        self.held_out = held_out
        self.known_images = known_images
        self._compiled: dict[TestTimeAugmentation, ViewedLogitsFunction] = {}

    def having(
        self,
        *,
        calibration: Calibration | None = None,
        held_out: HeldOut | None = None,
        known_images: KnownImages | None = None,
    ) -> Self:
        """The same classifier with what is given in the place of its own; what is compiled serves both.

        Raises:
            ClassifierError: a calibration of another number of classes.
        """
        other = copy(self)
        if calibration is not None:
            _check_calibration(calibration, self.architecture)
            other.calibration = calibration
        if held_out is not None:
            other.held_out = held_out
        if known_images is not None:
            other.known_images = known_images
        return other

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the images that it takes."""
        return self.architecture.image_shape

    @property
    def parameters(self) -> int:
        """Number of weights, those of the preprocessing left out."""
        return sum(array.size for name, array in self.weights.items() if not name.startswith(_PREPROCESSING))

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256, 64 hexadecimal digits, over the names, shapes, types and values of all weights."""
        return weights_sha256(self.weights)

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities of the classes.

        Args:
            images: uint8 [N, H, W, C], values 0 … 255, of `image_shape`.

        Returns:
            float32 [N, classes], each row summing to 1, columns in the order of `class_names`.

        Raises:
            DataError: images of another shape or type, or logits that are not finite.
        """
        return self.calibration.probabilities(self.logits(images)).astype(np.float32)

    def logits(
        self,
        images: NDArray[np.uint8],
        indices: NDArray[np.int64] | None = None,
        tta: TestTimeAugmentation | None = None,
        progress: bool = False,
    ) -> Logits:
        """Logits.

        Args:
            images: as for `predict`.
            indices: int64 [n], which of the images; None for all.
            tta: other views than the classifier's own: "none" for one view of each image.
            progress: whether to show a progress bar on standard error.

        Returns:
            float32 [n, classes].

        Raises:
            DataError: images of another shape or type.
            ClassifierError: an unknown `tta`.
        """
        return self.viewed_logits(images, indices, tta, progress).mean

    def viewed_logits(
        self,
        images: NDArray[np.uint8],
        indices: NDArray[np.int64] | None = None,
        tta: TestTimeAugmentation | None = None,
        progress: bool = False,
    ) -> ViewedLogits:
        """Logits as `logits` gives them, and besides those of one view, from the same pass over the images."""
        self._check_images(images)
        views = self.tta if tta is None else tta
        _check_tta(views)
        chosen = np.arange(len(images)) if indices is None else indices
        if not len(chosen):
            return ViewedLogits(*[np.empty((0, len(self.class_names)), np.float32)] * 2)
        if views not in self._compiled:
            self._compiled[views] = compiled_viewed_logits(self.model, views)
        return self._compiled[views](images, chosen, progress)

    def features(self, images: NDArray[np.uint8], indices: NDArray[np.int64] | None = None) -> NDArray[np.floating]:
        """What the last layer reads of each image as it is (the penultimate features).

        Args:
            images: as for `predict`.
            indices: int64 [n], which of the images; None for all.

        Returns:
            float32 [n, d]: the pooled maps of a convolutional network or of a backbone, the last hidden
            activations of a fully connected one. Of a softmax classifier, whose only layer is its last, they are the
            pixels as that layer takes them: what is near in them has near logits, too.

        Raises:
            DataError: images of another shape or type.
        """
        self._check_images(images)
        chosen = np.arange(len(images)) if indices is None else indices
        if not len(chosen):
            return np.empty((0, features_of(self.model).output.shape[-1]), np.float32)
        return self._compiled_features(images, chosen)

    def answers(self, images: NDArray[np.uint8], indices: NDArray[np.int64] | None = None) -> Answers:
        """Logits as `logits` gives them and features as `features` does, from one pass over the images."""
        self._check_images(images)
        chosen = np.arange(len(images)) if indices is None else indices
        if not len(chosen):
            return Answers(self.logits(images, chosen), self.features(images, chosen))
        return self._compiled_answers(images, chosen)

    @cached_property
    def _compiled_answers(self) -> Callable[[NDArray[np.uint8], NDArray[np.int64]], Answers]:
        return compiled_answers(with_features(self.model), self.tta)

    @cached_property
    def _compiled_features(self) -> LogitsFunction:
        return compiled_logits(features_of(self.model))

    def _check_images(self, images: NDArray[np.uint8]) -> None:
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self.image_shape:
            raise DataError(
                f"images must be uint8 [N, {', '.join(map(str, self.image_shape))}] with values 0 … 255; "
                f"these are {images.dtype} {list(images.shape)}."
            )

    @cached_property
    def model(self) -> keras.Model:
        """The model with its weights, uint8 [B, H, W, C] → logits float32 [B, classes], by one view of each image."""
        model = build_model(self.architecture, "float32")
        load_weights(model, self.weights)
        return model

    def save(self, directory: Path) -> None:
        """Write it as a directory that appears whole or not at all.

        The same classifier gives, with the same versions of Eyebright and its libraries, the same bytes.
        """
        labels = {"class_names": list(self.class_names), "sha256": _names_sha256(self.class_names)}
        picture = {
            "image_shape": list(self.image_shape),
            **_PICTURES,
            "resize": f"{_RESIZE[self.fit]}, to the input's height and width, bilinear with antialiasing",
            "pixels": self.architecture.preprocessing,
            "views": VIEWS[self.tta],
        }
        parts = {
            "architecture.json": storage.json_bytes(self.architecture.model_dump(mode="json", exclude_none=True)),
            "calibration.json": storage.json_bytes(self.calibration.to_dict()),
            "inference.json": storage.json_bytes({"tta": self.tta, "fit": self.fit}),
            "labels.json": storage.json_bytes(labels),
            "preprocessing.json": storage.json_bytes(picture),
            "weights.npz": arrays_to_npz(self.weights),
        }
        if self.held_out is not None:
            parts["held_out.npz"] = arrays_to_npz(self.held_out.to_arrays())
        if self.known_images is not None:
            parts["known_images.npz"] = arrays_to_npz(self.known_images.to_arrays())
        storage.write_directory(directory, parts, kind=KIND, version=VERSION, versions=versions())

    @classmethod
    def load(cls, directory: str | Path) -> Self:
        """Read and verify a saved classifier: `RUN/model`, or the run's directory itself.

        Raises:
            ClassifierError: a part is missing, damaged (one flipped bit suffices) or of a newer version, or says what
                this Eyebright does not know.
        """
        directory = Path(directory)
        if os.path.lexists(directory / "model"):
            directory = directory / "model"
        if not os.path.lexists(directory / storage.MANIFEST):
            raise ClassifierError(f"{directory}: no saved classifier is there (a finished run has one in its model/).")
        try:
            parts = storage.read_directory(directory, kind=KIND, version=VERSION)
            labels = json.loads(parts["labels.json"])
            class_names = tuple(labels["class_names"])
            if labels["sha256"] != _names_sha256(class_names):
                raise ClassifierError(f"{directory / 'labels.json'}: the class names do not match their SHA-256.")
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
        except StorageError as error:
            raise ClassifierError(str(error)) from error
        except (ValueError, KeyError, TypeError) as error:  # verified, and written by another
            raise ClassifierError(f"{directory}: no valid classifier: {error}.") from error
        try:
            return cls(architecture, class_names, weights, tta, fit, calibration, held_out, known_images)
        except ClassifierError as error:
            raise ClassifierError(f"{directory}: {error}") from error


def weights_sha256(weights: dict[str, NDArray[Any]]) -> str:
    """SHA-256, 64 hexadecimal digits, over the names, shapes, types and values of weights."""
    digest = hashlib.sha256()
    for name, array in sorted(weights.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def model_weights(model: keras.Model) -> dict[str, NDArray[Any]]:
    """All weights of a model by name, trainable or not."""
    return {weight.path: weight.numpy() for weight in model.weights}


def load_weights(model: keras.Model, weights: dict[str, NDArray[Any]]) -> None:
    """Put weights into a model.

    Raises:
        ClassifierError: a weight is missing, too many, or of another shape.
    """
    expected = {weight.path: tuple(weight.shape) for weight in model.weights}
    received = {name: array.shape for name, array in weights.items()}
    if expected != received:
        wrong = sorted(expected.items() ^ received.items())[0][0]
        raise ClassifierError(
            f"weight {wrong!r}: the model has {expected.get(wrong, 'none')}, the file {received.get(wrong, 'none')}."
        )
    for weight in model.weights:
        weight.assign(weights[weight.path])


def _check_calibration(calibration: Calibration, architecture: Architecture) -> None:
    if calibration.classes not in (None, architecture.classes):
        raise ClassifierError(f"A calibration of {calibration.classes} classes for a model of {architecture.classes}.")


def _check_tta(tta: TestTimeAugmentation) -> None:
    known = get_args(TestTimeAugmentation)
    if tta not in known:
        raise ClassifierError(f"tta {tta!r}: no such test-time augmentation.{suggestion(str(tta), known)}")


def _names_sha256(class_names: tuple[str, ...]) -> str:
    return storage.sha256("\n".join(class_names).encode())
