"""`Classifier`: all that predicting needs: weights, class names, preprocessing, architecture, calibration.

Neither this nor anything that it imports imports Keras: a classifier does when its weights are to compute. One that
was loaded from an artefact computes by ONNX Runtime, from the graph in it.
"""

from __future__ import annotations

import os
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, get_args

import numpy as np
from numpy.typing import NDArray

from eyebright import storage
from eyebright.architecture import Architecture
from eyebright.artefact import ABOUT, GRAPH, read_artefact
from eyebright.classifier_parts import KIND, VERSION, Saved, weights_sha256
from eyebright.errors import ClassifierError, DataError, StorageError, suggestion
from eyebright.facts import facts_from_part
from eyebright.golden import GOLDEN, GoldenImages
from eyebright.golden_pictures import GOLDEN_PICTURES, GoldenPictures
from eyebright.held_out import HeldOut
from eyebright.known_images import KnownImages
from eyebright.metrics.calibration import Calibration
from eyebright.paths import is_file
from eyebright.picture_options import DEFAULT_FIT, FITS, Fit
from eyebright.run_paths import is_run, member_paths, study_run
from eyebright.settings import TestTimeAugmentation
from eyebright.suggestions import command
from eyebright.views import Answers, Logits, ViewedLogits

if TYPE_CHECKING:
    import keras

    from eyebright.models.network import KerasNetwork
    from eyebright.onnx_network import OnnxNetwork

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
        tta: the views by whose mean it answers, see `views.VIEWS`.
        fit: what is done with pictures of other proportions than the images that it takes.
        calibration: how its logits become probabilities; the softmax alone if not given.
        held_out: its answers to images that it did not learn from, for thresholds and sets of classes with a promise
            (see `uncertainty`).
        known_images: what tells images that are unlike the training images; None where that was not measured.
        network: what computes in the place of Keras: a graph of these very weights and views.

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
        network: OnnxNetwork | None = None,
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
        self.about: dict[str, Any] = {}  # of what comes from an artefact, what its run knew, see `packaging.facts`
        self._onnx = network

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
        if self._onnx is None or tta not in (None, self.tta):
            return self.viewed_logits(images, indices, tta, progress).mean
        chosen = self._checked(images, indices)
        return self._onnx.logits(images, chosen, progress) if len(chosen) else self._no_logits()

    def viewed_logits(
        self,
        images: NDArray[np.uint8],
        indices: NDArray[np.int64] | None = None,
        tta: TestTimeAugmentation | None = None,
        progress: bool = False,
    ) -> ViewedLogits:
        """Logits as `logits` gives them, and besides those of one view, from the same pass over the images.

        Raises:
            DataError: images of another shape or type.
            ClassifierError: an unknown `tta`.
            MissingExtraError: Keras is not installed: the graph of an artefact looks at its own views alone.
        """
        chosen = self._checked(images, indices)
        views = self.tta if tta is None else tta
        _check_tta(views)
        if not len(chosen):
            return ViewedLogits(self._no_logits(), self._no_logits())
        return self._keras.viewed_logits(images, chosen, views, progress)

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
        network = self._keras if self._onnx is None else self._onnx
        return network.features(images, self._checked(images, indices))

    def answers(self, images: NDArray[np.uint8], indices: NDArray[np.int64] | None = None) -> Answers:
        """Logits as `logits` gives them and features as `features` does, from one pass over the images."""
        chosen = self._checked(images, indices)
        if not len(chosen):
            return Answers(self._no_logits(), self.features(images, chosen))
        if self._onnx is not None:
            return self._onnx.answers(images, chosen)
        return self._keras.answers(images, chosen, self.tta)

    @property
    def model(self) -> keras.Model:
        """The Keras model, with its weights: uint8 [B, H, W, C] → logits float32 [B, classes], by one view of each.

        Raises:
            MissingExtraError: Keras is not installed.
        """
        return self._keras.model

    def save(self, directory: Path) -> None:
        """Write it as a directory that appears whole or not at all.

        The same classifier gives, with the same versions of Eyebright and its libraries, the same bytes.
        """
        from eyebright.backend import versions

        storage.write_directory(directory, self.saved.to_parts(), kind=KIND, version=VERSION, versions=versions())

    @property
    def saved(self) -> Saved:
        """All that is saved of it."""
        return Saved(**{name: getattr(self, name) for name in Saved._fields})

    @classmethod
    def load(cls, path: str | Path, *, skip_golden: bool = False, threads: int | None = None) -> Self:
        """Read and verify a saved classifier: `RUN/model`, the run's directory itself, or an artefact.

        That of a directory computes by Keras; that of an artefact, which is a file, by ONNX Runtime alone.

        Args:
            path: the directory or file.
            skip_golden: of an artefact, whether not to compute its golden images and pictures again, which takes a
                moment.
            threads: of an artefact, how many compute; as many as this process may use if not given.

        Raises:
            ClassifierError: a part is missing, damaged (one flipped bit suffices) or of a newer version, or says what
                this Eyebright does not know; or an artefact's golden images or pictures get other probabilities
                here.
        """
        path = Path(path)
        if is_file(path):
            return cls._load_artefact(path, skip_golden=skip_golden, threads=threads)
        if os.path.lexists(path / "model"):
            path = path / "model"
        if not os.path.lexists(path / storage.MANIFEST):
            raise ClassifierError(f"{path}: {_why_none(path)}")
        try:
            parts = storage.read_directory(path, kind=KIND, version=VERSION)
        except StorageError as error:
            raise ClassifierError(str(error)) from error
        try:
            return cls(*Saved.from_parts(parts))
        except ClassifierError as error:
            raise ClassifierError(f"{path}: {error}") from error

    @classmethod
    def _load_artefact(cls, path: Path, *, skip_golden: bool, threads: int | None) -> Self:
        from eyebright.onnx_network import OnnxNetwork

        parts = read_artefact(path)
        try:
            saved = Saved.from_parts(parts)
            shape, classes = saved.architecture.image_shape, saved.architecture.classes
            golden = GoldenImages.from_part(parts[GOLDEN], shape, classes)
            classifier = cls(*saved, network=OnnxNetwork(parts[GRAPH], shape, classes, saved.tta, threads))
            pictures = GoldenPictures.from_part(parts[GOLDEN_PICTURES], classes)
            if not skip_golden:
                golden.check(classifier.predict)
                pictures.check(classifier.predict, shape, classifier.fit)
            classifier.about = facts_from_part(parts[ABOUT])
        except KeyError as error:
            raise ClassifierError(f"{path}: it has no part {error}.") from error
        except (ClassifierError, DataError) as error:
            raise ClassifierError(f"{path}: {error}") from error
        return classifier

    def _checked(self, images: NDArray[np.uint8], indices: NDArray[np.int64] | None) -> NDArray[np.int64]:
        """Which of the images, once these are found to be such as it takes."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != self.image_shape:
            raise DataError(
                f"images must be uint8 [N, {', '.join(map(str, self.image_shape))}] with values 0 … 255; "
                f"these are {images.dtype} {list(images.shape)}."
            )
        return np.arange(len(images)) if indices is None else indices

    def _no_logits(self) -> Logits:
        return np.empty((0, len(self.class_names)), np.float32)

    @cached_property
    def _keras(self) -> KerasNetwork:
        from eyebright.models.network import KerasNetwork

        return KerasNetwork(self.architecture, self.weights)


def _why_none(path: Path) -> str:
    """Why no saved classifier is at a path, and what to give instead."""
    if not os.path.lexists(path):
        return "there is no such file or directory."
    members = next(iter(member_paths(path).values()), [])
    if members:
        return f"there are {len(members)} runs in it. Give one of them, for example {members[0]}."
    if (best := study_run(path)) is not None:
        return f"this is a search for settings. Give the run of the best of them: {best}."
    if is_run(path):
        return f"this run is not finished. Go on with it: {command('train', '--resume', path)}"
    return "no saved classifier is there (a finished run has one in its model/)."


def _check_calibration(calibration: Calibration, architecture: Architecture) -> None:
    if calibration.classes not in (None, architecture.classes):
        raise ClassifierError(f"A calibration of {calibration.classes} classes for a model of {architecture.classes}.")


def _check_tta(tta: TestTimeAugmentation) -> None:
    known = get_args(TestTimeAugmentation)
    if tta not in known:
        raise ClassifierError(f"tta {tta!r}: no such test-time augmentation.{suggestion(str(tta), known)}")
