"""The bootstrap: how much a figure would vary with other test images (Efron, 1979).

A draw takes as many images as there are, with replacement, and from each class as many as it has (stratified). Where
images come in groups, whole groups are drawn (cluster bootstrap): pictures of one object say less than as many pictures
of others. A draw is a pure function of (seed, number of the draw).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eyebright.metrics.intervals import wilson_interval
from eyebright.randomness import Stream, random_words

if TYPE_CHECKING:
    from scipy.sparse import csr_array

DRAWS = 2000
_WEIGHTS_AT_ONCE = 2**22  # numbers in memory
_SAME = 1e-12


def draw_weights(
    labels: NDArray[np.int32], units: NDArray[np.int64] | None = None, draws: int = DRAWS, seed: int = 0
) -> Iterator[NDArray[np.float64]]:
    """How often each image is in each draw.

    Args:
        labels: int32 [N].
        units: int64 [N], the group of each image, from 0 without gaps; None where each image stands for itself. Groups
            are drawn from those whose images are mostly of the same class.
        draws: how many.
        seed: 0 … 2⁶⁴ - 1.

    Yields:
        float64 [N, d], of the next d draws, as many as fit into memory.
    """
    strata = labels.astype(np.int64) if units is None else _majority(labels, units)
    order = np.argsort(strata, kind="stable")
    sizes = np.bincount(strata)[strata[order]]  # [drawn]: of the stratum of each
    first = np.searchsorted(strata[order], strata[order])
    drawn = len(strata)
    at_once = max(1, _WEIGHTS_AT_ONCE // max(drawn, len(labels)))
    for start in range(0, draws, at_once):
        weights = np.empty((min(at_once, draws - start), drawn))
        for row, step in zip(weights, range(start, draws), strict=False):
            words = random_words(seed, Stream.BOOTSTRAP, step, (drawn + 1) // 2).view(np.uint32)[:drawn]
            # The upper half of word × size is uniform over 0 … size - 1, to one part in 2³²/size.
            places = first + ((words.astype(np.uint64) * sizes.astype(np.uint64)) >> np.uint64(32)).astype(np.int64)
            row[order] = np.bincount(places, minlength=drawn)
        yield np.ascontiguousarray((weights if units is None else weights[:, units]).T)


def resampled_sums(
    values: csr_array | NDArray[Any],
    labels: NDArray[np.int32],
    units: NDArray[np.int64] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> Iterator[NDArray[np.float64]]:
    """Sums over the images of each draw. What is a function of sums or counts follows from them.

    Args:
        values: [N, columns], what is summed; may be sparse.
        labels: as for `draw_weights`, like all that follows.
        units: likewise.
        draws: likewise.
        seed: likewise.

    Yields:
        float64 [d, columns], of the next d draws.
    """
    transposed = values.T.tocsr() if hasattr(values, "tocsr") else values.T
    for weights in draw_weights(labels, units, draws, seed):
        yield (transposed @ weights).T


def resampled_means(
    values: NDArray[Any],
    labels: NDArray[np.int32],
    units: NDArray[np.int64] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> NDArray[np.float64]:
    """float64 [draws]: the mean of one number an image over the images of each draw.

    Args:
        values: [N], numbers or whether something is so.
        labels: as for `draw_weights`, like all that follows.
        units: likewise.
        draws: likewise.
        seed: likewise.
    """
    both = np.stack([values, np.ones(len(values))], axis=1)  # of groups, draws hold more or fewer images
    return np.concatenate([sums[:, 0] / sums[:, 1] for sums in resampled_sums(both, labels, units, draws, seed)])


def percentile_interval(draws: NDArray[np.float64]) -> tuple[float, float] | None:
    """The middle 95% of what the draws gave, or None where all gave the same: then they do not tell.

    Args:
        draws: float64 [draws] of one figure; NaN where a draw did not define it.
    """
    known = draws[~np.isnan(draws)]
    if not len(known) or np.ptp(known) <= _SAME:
        return None
    low, high = np.percentile(known, (2.5, 97.5))
    return float(low), float(high)


def error_interval(value: float, draws: NDArray[np.float64], by_chance: float) -> tuple[float, float] | None:
    """About 95% interval of a calibration error, which is too high with few images, and in the draws once more so.

    The draws deviate from the value as the value does from the truth, so what they are too high by is taken off (the
    pivotal interval; Davison and Hinkley, 1997, section 5.2.1). An error that chance alone shows may be none. The value
    itself is always held: with few images the interval would else lie below it. No end is above 1, as no error is.

    Args:
        value: of all images, 0 to 1.
        draws: float64 [draws].
        by_chance: what a classifier without any error shows at most.
    """
    interval = percentile_interval(draws)
    if interval is None:
        return None
    low, high = (min(max(0.0, 2 * value - end), 1.0) for end in reversed(interval))
    return (0.0 if value <= by_chance else min(low, value)), max(high, value)


def proportion_interval(
    hits: NDArray[np.bool_], units: NDArray[np.int64] | None = None, draws: NDArray[np.float64] | None = None
) -> tuple[float, float] | None:
    """95% interval of a share of images: Wilson's; of groups the bootstrap's, but never narrower than Wilson's.

    Where all draws gave the same, as where all images are right, it is Wilson's of as many images as there are groups.

    Args:
        hits: bool [n], of the images in question. None of none.
        units: int64 [n], their groups; None where each image stands for itself.
        draws: float64 [draws], the share in each draw, where there are groups.
    """
    if not len(hits):
        return None
    of_images = wilson_interval(int(hits.sum()), len(hits))
    if units is None or draws is None:
        return of_images
    of_groups = percentile_interval(draws)
    if of_groups is None:
        groups = len(np.unique(units))
        of_groups = wilson_interval(round(float(hits.mean()) * groups), groups)
    return min(of_images[0], of_groups[0]), max(of_images[1], of_groups[1])


def _majority(labels: NDArray[np.int32], units: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [units]: the class that most images of a group have, of equal ones the first."""
    pairs, counts = np.unique(np.stack([units, labels.astype(np.int64)]), axis=1, return_counts=True)  # [2, pairs]
    order = np.lexsort((-counts, pairs[0]))  # of each group the largest count first; stable
    of_group, place = np.unique(pairs[0][order], return_index=True)
    majority = np.empty(len(of_group), np.int64)
    majority[of_group] = pairs[1][order][place]
    return majority
