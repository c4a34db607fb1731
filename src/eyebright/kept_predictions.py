"""What runs answered to their test images, as they kept it: read, checked, and brought to one order. No look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from eyebright.data.dataset import hash_keys
from eyebright.errors import DataError, RunError, StorageError
from eyebright.metrics.calibration import Calibration, check_finite
from eyebright.predictions_file import StoredPredictions
from eyebright.run_directory import RunDirectory
from eyebright.suggestions import command

FILE = "test_predictions.npz"
_SHOWN = 5  # class names in a message


@dataclass(frozen=True)
class Answers:
    """A run's test_predictions.npz.

    Attributes:
        labels: int32 [n], into the run's class names.
        logits: float [n, classes], of the saved classifier as it answers.
        image_sha256: uint8 [n, 32], of the pixels.
        units: int64 [n], the group of each image, from 0 without gaps; None where each stands for itself.
        calibration: how the saved classifier makes probabilities of the logits.
    """

    labels: NDArray[np.int32]
    logits: NDArray[np.floating]
    image_sha256: NDArray[np.uint8]
    units: NDArray[np.int64] | None
    calibration: Calibration

    @classmethod
    def of(cls, run: RunDirectory) -> Self:
        """Those of a run.

        Raises:
            RunError: it is not finished, or what it kept is missing, damaged, or of another classifier than it saved.
        """
        results, path = run.results, run.path / FILE
        if results is None:
            raise RunError(
                f"{run.path}: this run is not finished. Go on with it: {command('train', '--resume', run.path)}"
            )
        try:
            found = StoredPredictions.read(path, len(run.data.class_names))
            check_finite(found.logits)
        except StorageError as error:
            raise RunError(f"{error}. {_remedy(run)}") from error
        except DataError as error:
            raise RunError(f"{path}: damaged: {error}. {_remedy(run)}") from error
        if found.weights_sha256 != results.get("weights_sha256"):
            raise RunError(f"{path}: it is of another classifier than the run's. {_remedy(run)}")
        return cls(found.labels, found.logits, found.image_sha256, found.units, _calibration(run))


@dataclass(frozen=True)
class Predictions:
    """What a run's classifier answered.

    Attributes:
        name: of the run, for messages.
        class_names: of the run.
        image_shape: (height, width, channels) of its images.
        labels: int64 [n], into `class_names`.
        correct: bool [n], where the answer is the label.
        image_sha256: uint8 [n, 32], of the pixels.
        units: int64 [n], the group of each image, from 0 without gaps; None where each stands for itself.
    """

    name: str
    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    labels: NDArray[np.int64]
    correct: NDArray[np.bool_]
    image_sha256: NDArray[np.uint8]
    units: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, run: RunDirectory) -> Self:
        """Those of a run.

        Raises:
            RunError: as for `Answers.of`.
        """
        found = Answers.of(run)
        correct = found.calibration.log_probabilities(found.logits).argmax(axis=1) == found.labels
        return cls(
            str(run.path),
            run.data.class_names,
            run.data.image_shape,
            found.labels.astype(np.int64),
            correct,
            found.image_sha256,
            found.units,
        )

    @classmethod
    def joined(cls, name: str, parts: Sequence[Self]) -> Self:
        """Those of a cross-validation's folds, each image tested once."""
        first = parts[0]
        return cls(
            name,
            first.class_names,
            first.image_shape,
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.correct for part in parts]),
            np.concatenate([part.image_sha256 for part in parts]),
            _joined_units(parts),
        )

    def like(self, other: Predictions) -> Predictions:
        """The same with labels and images in the order of another run's.

        Images are known by their pixels; of one that is there several times, each copy has its partner.

        Raises:
            RunError: other classes, other test images, or other labels of them. The message says which.
        """
        self._check_classes(other)
        self._check_images(other)
        places = np.array([other.class_names.index(name) for name in self.class_names])
        labels = places[self.labels]
        mine, theirs = _order(self.image_sha256, labels), _order(other.image_sha256, other.labels)
        wrong = np.flatnonzero(labels[mine] != other.labels[theirs])
        if wrong.size:
            first = wrong[0]
            raise RunError(
                f"{self.name} and {other.name}: their test images have other labels ({wrong.size:,} of {len(mine):,}): "
                f"image {mine[first]} of the first is {other.class_names[labels[mine][first]]!r} there and "
                f"{other.class_names[other.labels[theirs][first]]!r} in the second. Train both on the same data."
            )
        order = np.empty_like(mine)
        order[theirs] = mine
        units = None if self.units is None else self.units[order]
        hashes = self.image_sha256[order]
        return Predictions(
            self.name, other.class_names, self.image_shape, labels[order], self.correct[order], hashes, units
        )

    def _check_classes(self, other: Predictions) -> None:
        if set(self.class_names) == set(other.class_names):
            return
        only = [
            f"only {one.name} has {_names(set(one.class_names) - set(two.class_names))}"
            for one, two in ((self, other), (other, self))
            if set(one.class_names) - set(two.class_names)
        ]
        raise RunError(f"{self.name} and {other.name}: their classes are others: {'; '.join(only)}. {_SAME}")

    def _check_images(self, other: Predictions) -> None:
        """Refuse other images; copies count."""
        mine, theirs = (sorted(hash_keys(one.image_sha256)) for one in (self, other))
        if mine == theirs:
            return
        common = len(set(mine) & set(theirs))
        why = ""
        if self.image_shape != other.image_shape:
            sizes = [" × ".join(map(str, one.image_shape)) for one in (self, other)]
            why = f" They were read as {sizes[0]} there and as {sizes[1]} here."
        raise RunError(
            f"{self.name} and {other.name}: their test images are others: {len(mine):,} and {len(theirs):,}, "
            f"{common:,} of them in both.{why} {_SAME}"
        )


def _calibration(run: RunDirectory) -> Calibration:
    """That of the run's classifier: some methods can change which class comes first. Older runs have none."""
    path = run.path / "model" / "calibration.json"
    remedy = f"Make it anew: {command('calibrate', run.path)}"
    try:
        calibration = Calibration.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Calibration()
    except (OSError, ValueError) as error:
        raise RunError(f"{path}: damaged: {error}. {remedy}") from error
    if calibration.classes not in (None, len(run.data.class_names)):
        raise RunError(f"{path}: damaged: it is for {calibration.classes} classes. {remedy}")
    return calibration


def _joined_units(parts: Sequence[Predictions]) -> NDArray[np.int64] | None:
    """The groups of all folds, none of which has images in two; None where each image stands for itself."""
    if all(part.units is None for part in parts):
        return None
    units = [np.arange(len(part.labels)) if part.units is None else part.units for part in parts]
    firsts = np.cumsum([0, *(int(some.max()) + 1 for some in units)])
    return np.concatenate([some + first for some, first in zip(units, firsts[:-1], strict=True)])


_SAME = "Runs can be compared that were tested on the same images of the same classes (same data and --split-seed)."


def _order(hashes: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [n]: the order by pixels, of copies by label."""
    words = np.ascontiguousarray(hashes).view(">u8")  # [n, 4]
    return np.lexsort((labels, *words.T[::-1]))


def _names(names: set[str]) -> str:
    shown = ", ".join(sorted(names)[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _remedy(run: RunDirectory) -> str:
    return (
        "Restore it, or remove it: "
        f"{command('compare', run.path)} … then asks the classifier again, which is a look at the test images."
    )
