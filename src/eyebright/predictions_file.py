"""A classifier's answers to some images as a file: test_predictions.npz and validation_predictions.npz of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from eyebright.arrays import arrays_to_npz, npz_to_arrays
from eyebright.errors import StorageError
from eyebright.storage import write_file


@dataclass(frozen=True, eq=False)
class StoredPredictions:
    """Answers with what tells whose they are, and of which images.

    Attributes:
        labels: int32 [n], n ≥ 1.
        logits: float [n, classes], by the classifier's views.
        image_sha256: uint8 [n, 32], of the pixels.
        weights_sha256: of the classifier.
        tta: its views.
        units: int64 [n], the group of each image, from 0 without gaps; None where each stands for itself.
        logits_one_view: float [n, classes], of each image as it is; None where that is the same, or not kept.
    """

    labels: NDArray[np.int32]
    logits: NDArray[np.floating]
    image_sha256: NDArray[np.uint8]
    weights_sha256: str
    tta: str = "none"
    units: NDArray[np.int64] | None = None
    logits_one_view: NDArray[np.floating] | None = None

    def write(self, path: Path) -> None:
        """Write them as a file that appears whole or not at all.

        Raises:
            StorageError: it cannot be written.
        """
        arrays: dict[str, NDArray[Any] | None] = {
            "labels": self.labels,
            "logits": self.logits,
            "image_sha256": self.image_sha256,
            "weights_sha256": np.array(self.weights_sha256),
            "tta": None if self.tta == "none" else np.array(self.tta),
            "units": self.units,
            "logits_one_view": self.logits_one_view,
        }
        write_file(path, arrays_to_npz({name: array for name, array in arrays.items() if array is not None}))

    @classmethod
    def read(cls, path: Path, classes: int) -> Self:
        """Read a file and check that it is whole.

        Args:
            path: the file.
            classes: of the classifier.

        Raises:
            StorageError: it is missing or damaged. The message has no full stop, so that a remedy may follow.
        """
        try:
            arrays = npz_to_arrays(path.read_bytes())
            found = cls(
                arrays["labels"].astype(np.int32),
                arrays["logits"],
                arrays["image_sha256"],
                str(arrays["weights_sha256"]),
                str(arrays.get("tta", "none")),
                arrays.get("units"),
                arrays.get("logits_one_view"),
            )
            found._check(classes)
        except FileNotFoundError as error:
            raise StorageError(f"{path}: missing") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{path}: damaged: {error}") from error
        return found

    @classmethod
    def of_classifier(cls, path: Path, classes: int, weights_sha256: str, tta: str) -> Self | None:
        """What a file holds, or None where it is missing, damaged, or of other weights or views."""
        try:
            found = cls.read(path, classes)
        except StorageError:
            return None
        return found if (found.weights_sha256, found.tta) == (weights_sha256, tta) else None

    def _check(self, classes: int) -> None:
        n, units = self.labels.size, self.units
        if units is not None and (
            units.shape != (n,) or not np.isin(np.arange(units.max(initial=-1) + 1), units).all()
        ):
            raise ValueError("its groups do not fit its labels")
        if (self.labels.shape, self.logits.shape, self.image_sha256.shape) != ((n,), (n, classes), (n, 32)):
            raise ValueError("its arrays do not fit each other")
        if not n or self.labels.min() < 0 or self.labels.max() >= classes:
            raise ValueError("it has no labels, or some that are no class")
