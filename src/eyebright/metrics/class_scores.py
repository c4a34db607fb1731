"""Precision, recall and F1 of each class and their means, of one count of images or of a bootstrap's many at once."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.float64]


class ClassCounts(NamedTuple):
    """How many images of each class there are, and how many were taken for it. All arrays are [..., classes].

    Attributes:
        hits: images of the class that were taken for it.
        support: images of the class.
        taken: images that were taken for the class.
    """

    hits: NDArray[Any]
    support: NDArray[Any]
    taken: NDArray[Any]

    @classmethod
    def of(cls, confusion: NDArray[np.int64]) -> Self:
        """The counts of a confusion matrix, int64 [classes, classes]."""
        return cls(confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0))

    @property
    def precision(self) -> Figures:
        """float64 [..., classes], NaN where nothing was taken for the class."""
        return divided(self.hits, self.taken)

    @property
    def recall(self) -> Figures:
        """float64 [..., classes], NaN where the class has no images."""
        return divided(self.hits, self.support)

    @property
    def f1(self) -> Figures:
        """float64 [..., classes], the harmonic mean of the two; NaN where both are not defined."""
        return divided(2 * self.hits, self.support + self.taken)


def macro_mean(values: Figures) -> Figures:
    """The mean over the classes for which a figure is defined, each counted the same.

    Args:
        values: float64 [..., classes], NaN where not defined.

    Returns:
        float64 [...], NaN where no class has the figure. Of recalls it is the balanced accuracy.

    >>> float(macro_mean(np.array([0.5, np.nan, 1.0])))
    0.75
    """
    return weighted_mean(values, np.ones(values.shape))


def weighted_mean(values: Figures, support: NDArray[Any]) -> Figures:
    """The same, each class counted as often as it has images.

    Args:
        values: float64 [..., classes], NaN where not defined.
        support: [..., classes], the numbers of images.
    """
    weights = np.where(np.isnan(values), 0, support)
    return divided((weights * np.nan_to_num(values)).sum(axis=-1), weights.sum(axis=-1))


def divided(numerators: NDArray[Any], denominators: NDArray[Any]) -> Figures:
    """Quotients, NaN where the denominator is 0."""
    quotients = np.full(np.shape(denominators), np.nan)
    np.divide(numerators, denominators, out=quotients, where=np.asarray(denominators) > 0)
    return quotients
