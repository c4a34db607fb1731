"""Comparing two classifiers on images that come in groups, which tell less than as many single ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def grouped_p_value(differences: NDArray[np.int64], units: NDArray[np.int64]) -> float:
    """The same test where images come in groups: of each group's sum the sign alone is by chance, exactly.

    Pictures of one object tell less than as many of others: McNemar's test of single images would find differences
    where there are none. Where each group is a single image, the two are the same.

    Args:
        differences: int64 [n], -1 where the first of two classifiers alone is right, 1 where the second alone is.
        units: int64 [n], the group of each image, from 0.

    >>> grouped_p_value(np.array([1, 1, 1, 1, 1, 1]), np.array([0, 0, 0, 1, 1, 1]))  # two groups
    0.5
    """
    from scipy.stats import binom

    sums = sums_of_groups(differences, units)
    sizes, counts = np.unique(np.abs(sums[sums != 0]), return_counts=True)
    chances = np.ones(1)  # of a total of 0; then of each total from -Σ to Σ
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        of_size = np.zeros(2 * size * count + 1)
        of_size[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, of_size)
    totals = np.arange(len(chances)) - len(chances) // 2
    return min(1.0, float(chances[np.abs(totals) >= abs(int(sums.sum()))].sum()))


def sums_of_groups(differences: NDArray[np.int64], units: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [groups]: the sum of each group."""
    sums = np.zeros(int(units.max()) + 1, np.int64)
    np.add.at(sums, units, differences)
    return sums


def design_effect(differences: NDArray[np.int64], units: NDArray[np.int64]) -> float:
    """How many times the variance of a mean over single images that over groups has."""
    alone = int(np.square(differences).sum())
    return max(1.0, float(np.square(sums_of_groups(differences, units)).sum()) / alone) if alone else 1.0
