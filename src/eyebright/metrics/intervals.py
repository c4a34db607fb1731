"""How sure a figure is."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DEVIATIONS_95 = 1.96  # of a normal distribution, that 95% of it lie within


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson, 1927), which stays within 0 … 1 and holds near both ends.

    Args:
        successes: 0 … trials.
        trials: at least 1.
        confidence: 0 … 1.

    >>> low, high = wilson_interval(4633, 10000)
    >>> f"{low:.4f} to {high:.4f}"
    '0.4535 to 0.4731'
    """
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def share_interval(
    hits: NDArray[np.bool_], units: NDArray[np.int64] | None = None, confidence: float = 0.95
) -> tuple[float, float]:
    """Wilson's interval of a share of images; where they come in groups, of as many as they amount to.

    Images of one group say less than as many of others. They amount to n divided by the design effect, the variance of
    the share over groups in relation to that over images (Kish, 1965); where all images are hits, or none is, to as
    many as there are groups. It is never narrower than that of the images.

    Args:
        hits: bool [n], at least one image.
        units: int64 [n], the group of each; None where each image stands for itself.
        confidence: 0 … 1.
    """
    of_images = wilson_interval(int(hits.sum()), len(hits), confidence)
    if units is None:
        return of_images
    share = float(hits.mean())
    amount = len(np.unique(units))
    variance = grouped_variance(hits, units)
    if 0 < share < 1 and variance is not None:
        effect = max(1.0, variance * len(hits) / (share * (1 - share)))
        amount = max(1, math.floor(len(hits) / effect))
    of_groups = wilson_interval(round(share * amount), amount, confidence)
    return min(of_images[0], of_groups[0]), max(of_images[1], of_groups[1])


def grouped_variance(values: NDArray[Any], units: NDArray[np.int64] | None = None) -> float | None:
    """Variance of the mean of some images' values over draws of other groups of them.

    Args:
        values: [n], numbers or whether something is so.
        units: int64 [n], the group of each image; None where each stands for itself.

    Returns:
        None for a single group, which tells nothing of others.
    """
    members = np.arange(len(values)) if units is None else np.unique(units, return_inverse=True)[1]
    deviations = np.bincount(members, weights=values - values.mean())  # [groups], from what the groups would have
    groups = len(deviations)
    if groups < 2:
        return None
    return groups / (groups - 1) * float((deviations**2).sum()) / len(values) ** 2


def trials_needed(successes: int, trials: int, half_width: float) -> int:
    """About how many trials a proportion like this one needs for a 95% interval of ± half_width.

    Args:
        successes: 0 … trials, of the proportion as it was found.
        trials: at least 1.
        half_width: in (0, 0.5).

    >>> trials_needed(8, 10, 0.05)
    289
    """
    proportion = (successes + 1) / (trials + 2)  # all of ten is no proof of always (Laplace)
    return math.ceil(proportion * (1 - proportion) * (_DEVIATIONS_95 / half_width) ** 2)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Student's interval of the mean that some values come from, as those of several seeds.

    Args:
        values: at least two; None where all are the same, which tells nothing of how they vary.
        confidence: 0 … 1.

    >>> low, high = mean_interval([0.92, 0.93, 0.94])
    >>> f"{low:.4f} to {high:.4f}"
    '0.9052 to 0.9548'
    """
    return _student(values, confidence, 1 / len(values))


def next_value_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float] | None:
    """Where one more value of the same kind will lie (prediction interval), by Student's distribution.

    Args:
        values: at least two; None where all are the same.
        confidence: 0 … 1.
    """
    return _student(values, confidence, 1 + 1 / len(values))


def _student(values: Sequence[float], confidence: float, variances: float) -> tuple[float, float] | None:
    """The mean, plus and minus what so many times the variance of one value amounts to."""
    from scipy.special import stdtrit

    mean, deviation = statistics.mean(values), statistics.stdev(values)
    if not deviation:
        return None
    half = float(stdtrit(len(values) - 1, (1 + confidence) / 2)) * deviation * math.sqrt(variances)
    return mean - half, mean + half
