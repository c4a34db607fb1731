"""Whether one classifier is better than another, by their answers to the same images. NumPy in, numbers out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.metrics.grouped_comparison import design_effect, grouped_p_value, sums_of_groups

SIGNIFICANCE = 0.05  # what a p-value has to be below
POWER = 0.8  # of the number of images that is named as needed
_DRAWS = 100_000
_DRAWS_OF_GROUPS = 10_000  # there are far more kinds of groups than of images
_QUANTILES = (0.025, 0.975)


@dataclass(frozen=True)
class Comparison:
    """Two classifiers on the same images.

    Attributes:
        n: number of images.
        only_first: how many the first alone is right about.
        only_second: how many the second alone is right about.
        difference: accuracy of the second less that of the first, -1 … 1.
        ci95: 95% interval of the difference over images, see `bootstrap_interval`.
        p_value: of McNemar's exact test; where images come in groups, of `grouped_p_value`.
        groups: of how many groups the images are, and test and interval are of groups; None where each stands for
            itself.
        design_effect: how many times as many images are needed as if each stood for itself, at least 1.
    """

    n: int
    only_first: int
    only_second: int
    difference: float
    ci95: tuple[float, float]
    p_value: float
    groups: int | None = None
    design_effect: float = 1.0

    @property
    def images_needed(self) -> int | None:
        """About how many images a difference of this size needs to be told; None for no difference at all."""
        needed = images_needed(self.difference, (self.only_first + self.only_second) / self.n)
        return None if needed is None else math.ceil(needed * self.design_effect)


def compare_answers(
    first: NDArray[np.bool_], second: NDArray[np.bool_], units: NDArray[np.int64] | None = None
) -> Comparison:
    """Compare two classifiers.

    Args:
        first: bool [n], n ≥ 1, which images the first is right about.
        second: bool [n], the same of the second, in the same order.
        units: int64 [n], the group of each image, from 0; None where each image stands for itself.

    >>> one = compare_answers(np.array([True] * 90 + [False] * 10), np.array([True] * 80 + [False] * 20))
    >>> one.only_first, one.difference, round(one.p_value, 5)
    (10, -0.1, 0.00195)
    """
    differences = second.astype(np.int64) - first
    only_first, only_second = int((differences < 0).sum()), int((differences > 0).sum())
    return Comparison(
        len(differences),
        only_first,
        only_second,
        (only_second - only_first) / len(differences),
        bootstrap_interval(differences, units=units),
        float(mcnemar_p_value(only_first, only_second)) if units is None else grouped_p_value(differences, units),
        None if units is None else len(np.unique(units)),
        1.0 if units is None else design_effect(differences, units),
    )


def mcnemar_p_value(only_first: Any, only_second: Any) -> Any:
    """McNemar's exact test, two-sided: a binomial test on the images that one of two classifiers alone is right about.

    McNemar, "Note on the sampling error of the difference between correlated proportions or percentages", 1947. Under
    no difference it is below 0.05 in at most 5% of all cases, at any number of images.

    Args:
        only_first: how many images the first alone is right about; a number or an array.
        only_second: the same of the second.

    >>> round(float(mcnemar_p_value(2, 9)), 4)
    0.0654
    """
    from scipy.stats import binom

    tail = binom.cdf(np.minimum(only_first, only_second), np.add(only_first, only_second), 0.5)
    return np.minimum(1.0, 2 * tail)


def bootstrap_interval(
    differences: NDArray[np.int64], trainings: int = 1, seed: int = 0, units: NDArray[np.int64] | None = None
) -> tuple[float, float]:
    """Paired bootstrap: the 95% interval of the mean of differences over other images of the kind (percentiles).

    To resample images is to draw how often each value comes, a multinomial: 100,000 draws take no loop. Before that,
    one image of each extreme value is added: with few images, or few that tell the classifiers apart, the plain
    bootstrap is too narrow, and where none does it is a point. Bonett and Price, "Adjusted Wald confidence interval for
    a difference of binomial proportions based on paired data", 2012, do the same to a formula.

    Args:
        differences: int64 [n], for each image how many classifiers of the second kind are right about it, less how
            many of the first, -trainings … trainings.
        trainings: how many classifiers there are of each kind.
        seed: of the draws.
        units: int64 [n], the group of each image, from 0; whole groups are drawn then, and the two that are added are
            of their mean size. None where each image stands for itself.

    Returns:
        Of the mean of `differences` / `trainings`.

    >>> low, high = bootstrap_interval(np.zeros(1000, np.int64))
    >>> f"{low:.3f} to {high:.3f}"
    '-0.003 to 0.003'
    """
    random = np.random.Generator(np.random.Philox(seed))
    if units is not None:
        sizes = np.bincount(units)
        size = sizes.mean()
        pairs = np.column_stack([sums_of_groups(differences, units) / trainings, sizes])
        kinds, counts = np.unique(np.vstack([pairs, [[-size, size], [size, size]]]), axis=0, return_counts=True)
        drawn = random.multinomial(counts.sum(), counts / counts.sum(), size=_DRAWS_OF_GROUPS) @ kinds  # [draws, 2]
        low, high = np.quantile(drawn[:, 0] / drawn[:, 1], _QUANTILES)
        return float(low), float(high)
    counts = np.bincount(differences + trainings, minlength=2 * trainings + 1)
    counts[[0, -1]] += 1
    n, present = int(counts.sum()), np.flatnonzero(counts)
    values = (present - trainings) / trainings
    draws = random.multinomial(n, counts[present] / n, size=_DRAWS) @ values / n
    low, high = np.quantile(draws, _QUANTILES)
    return float(low), float(high)


def images_needed(difference: float, discordant: float) -> int | None:
    """About how many images McNemar's test needs to find a difference in four of five cases (two-sided, at 5%).

    Connor, "Sample size for testing differences in proportions for the paired-sample design", 1987.

    Args:
        difference: of the accuracies, -1 … 1.
        discordant: share of the images that one of the two alone is right about, at least |difference|.

    Returns:
        None for a difference of 0.

    >>> images_needed(0.01, 0.06), images_needed(-0.01, 0.06), images_needed(0.0, 0.06)
    (4707, 4707, None)
    """
    from scipy.stats import norm

    if not difference:
        return None
    both = float(norm.ppf(1 - SIGNIFICANCE / 2)) * math.sqrt(discordant)
    both += float(norm.ppf(POWER)) * math.sqrt(max(discordant - difference**2, 0.0))
    return math.ceil((both / difference) ** 2)


def holm(p_values: list[float]) -> list[float]:
    """P-values corrected for their number: at 5%, some true equality is denied in at most 5% of all cases.

    Holm, "A simple sequentially rejective multiple test procedure", 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    plain = np.asarray(p_values, np.float64)
    order = np.argsort(plain, kind="stable")
    stepped = np.maximum.accumulate(plain[order] * np.arange(len(plain), 0, -1))
    corrected = np.empty_like(plain)
    corrected[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in corrected]


@dataclass(frozen=True)
class SeedComparison:
    """Two ways to train, each trained with the same seeds, on the same images.

    Attributes:
        trainings: number of seeds.
        difference: mean accuracy of the second less that of the first.
        ci95: 95% interval of the difference over seeds, of Student's t.
        p_value: of the paired t-test.
        seeds_needed: about how many a difference of this size needs to be told; None for no difference at all.
    """

    trainings: int
    difference: float
    ci95: tuple[float, float]
    p_value: float
    seeds_needed: int | None


def compare_seeds(first: NDArray[np.float64], second: NDArray[np.float64], images: int) -> SeedComparison:
    """Compare two ways to train by the accuracies of their trainings, paired by seed.

    Args:
        first: float64 [trainings], at least two, accuracies of the first.
        second: float64 [trainings], of the second, with the same seeds in the same order.
        images: that each was tested on.

    >>> one = compare_seeds(np.array([0.80, 0.81, 0.80]), np.array([0.83, 0.83, 0.84]), 1000)
    >>> f"{one.difference:.3f}, {one.ci95[0]:.3f} to {one.ci95[1]:.3f}, p = {one.p_value:.3f}"
    '0.030, 0.005 to 0.055, p = 0.035'
    """
    from scipy.stats import norm, t

    differences = second - first
    trainings, difference = len(differences), float(differences.mean())
    # Accuracies come in steps of 1/images: that a few agree to the step does not make them certain.
    deviation = max(float(differences.std(ddof=1)), 1 / (images * math.sqrt(12)))
    error = deviation / math.sqrt(trainings)
    reach = float(t.ppf(_QUANTILES[1], trainings - 1)) * error
    p_value = float(2 * t.sf(abs(difference) / error, trainings - 1))
    both = float(norm.ppf(1 - SIGNIFICANCE / 2) + norm.ppf(POWER))
    needed = math.ceil((both * deviation / difference) ** 2) + 2 if difference else None  # + 2: t is wider
    return SeedComparison(trainings, difference, (difference - reach, difference + reach), p_value, needed)
