"""What a classifier keeps to tell pictures that are unlike all that it was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from eyebright.errors import DataError, SettingsError
from eyebright.metrics.outliers import ClassDirections
from eyebright.randomness import Stream, permutation

DEFAULT_SHARE = 0.01
_SAMPLE = 2000  # training images that directions are measured on


@dataclass(frozen=True, eq=False)
class KnownImages:
    """Where the images of each class lie, as the last layer sees them, and how far validation images are from there.

    It holds no pixels, and nothing of any single training image.

    Attributes:
        directions: float32 [classes, d], see `metrics.outliers.ClassDirections`.
        distances: float64 [n], of the run's validation images, ascending.
    """

    directions: NDArray[np.float32]
    distances: NDArray[np.float64]

    @cached_property
    def score(self) -> ClassDirections:
        """What gives an image's distance."""
        return ClassDirections(self.directions)

    def threshold(self, share: float = DEFAULT_SHARE) -> float:
        """The distance past which an image is unlike the training images.

        Of images like the validation images at most this share is past it, over draws of the latter: it is the quantile
        of split conformal prediction (Bates et al., "Testing for outliers with conformal p-values", 2023).

        Args:
            share: in (0, 1).

        Raises:
            SettingsError: `share` is out of its range.
            DataError: there are too few validation images for it.
        """
        check_share(share)
        n = len(self.distances)
        rank = math.ceil((n + 1) * (1 - share) - 1e-9)
        if rank > n:
            raise DataError(
                f"Whether pictures are unlike those that it was trained on was not looked at: --unlike-share {share:g} "
                f"needs at least {math.ceil(1 / share - 1 - 1e-9):,} validation images; there are {n:,}. Give a larger "
                "share, or train anew with a larger --validation."
            )
        return float(self.distances[rank - 1])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """As a file has it."""
        return {"directions": self.directions, "distances": self.distances}

    @classmethod
    def from_arrays(cls, arrays: dict[str, NDArray[Any]], classes: int) -> Self:
        """Take what `to_arrays` gave.

        Raises:
            KeyError: an array is missing.
            ValueError: an array is of another shape or type.
        """
        directions, distances = arrays["directions"], arrays["distances"]
        if directions.ndim != 2 or len(directions) != classes or distances.ndim != 1:
            raise ValueError("known images of other shapes")
        if (directions.dtype, distances.dtype) != (np.dtype("float32"), np.dtype("float64")):
            raise ValueError("known images of other types")
        if not (np.isfinite(directions).all() and (np.diff(distances) >= 0).all()):
            raise ValueError("known images that are not finite, or not in order")
        return cls(directions, distances)


def check_share(share: float) -> None:
    """Refuse what is no share.

    Raises:
        SettingsError: it is not in (0, 1).
    """
    if not 0 < share < 1:
        raise SettingsError(
            f"--unlike-share {share:g}: give the share of known pictures that may be called unlike, between 0 and 1; "
            f"{DEFAULT_SHARE}, say."
        )


def training_sample(labels: NDArray[np.int32], training: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Some 2,000 training images, as many of each class as there are where it has fewer than its part.

    Args:
        labels: int32 [N], of all images.
        training: int64 [n], the training images.
        seed: of the choice.

    Returns:
        int64 [m], ascending.
    """
    shuffled = training[permutation(seed, Stream.OUTLIERS, 0, len(training))]
    order = shuffled[np.argsort(labels[shuffled], kind="stable")]  # class by class
    counts = np.bincount(labels[order])
    place_in_class = np.arange(len(order)) - np.repeat(counts.cumsum() - counts, counts)
    most = max(1, _SAMPLE // int(np.count_nonzero(counts)))
    return np.sort(order[place_in_class < most])
