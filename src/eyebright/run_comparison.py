"""Runs compared with each other, image by image, from what they kept of their test: no look at the test images."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.contestants import Contestant
from eyebright.errors import RunError
from eyebright.metrics.comparison import (
    SIGNIFICANCE,
    Comparison,
    SeedComparison,
    bootstrap_interval,
    compare_answers,
    compare_seeds,
    holm,
    mcnemar_p_value,
)
from eyebright.metrics.grouped_comparison import grouped_p_value

_WIDE = 0.005  # an interval that reaches farther to each side needs no second decimal of a point


@dataclass(frozen=True)
class Pair:
    """Two contestants compared.

    Attributes:
        first: its name.
        second: its name.
        seeds: that both were trained with; () where they are single runs.
        images: what the comparison by images found; of several seeds one a seed.
        images_ci95: 95% interval of the difference over other test images, of the mean over the seeds.
        over_seeds: what the comparison over seeds found, if there are any.
        p_value_holm: the p-value that decides, corrected by Holm for all pairs.
        corrected: whether there was more than one.
        per_class: a row a class: its name, its images, the accuracy of both, and a corrected p-value.
    """

    first: str
    second: str
    seeds: tuple[int, ...]
    images: tuple[Comparison, ...]
    images_ci95: tuple[float, float]
    over_seeds: SeedComparison | None
    p_value_holm: float
    corrected: bool
    per_class: list[dict[str, Any]]

    @property
    def deciding(self) -> Comparison | SeedComparison:
        """What the sentence is about."""
        return self.over_seeds or self.images[0]

    @property
    def sentence(self) -> str:
        """What was found, in words. The exact test decides (over seeds the t-test), corrected by Holm."""
        found, unit = self.deciding, "seeds" if self.over_seeds else "images"
        better = self.p_value_holm < SIGNIFICANCE
        size = abs(found.difference)
        ahead, behind = (self.first, self.second) if found.difference < 0 else (self.second, self.first)
        low, high = sorted(end if found.difference >= 0 else -end for end in found.ci95)
        digits = 1 if high - low > 2 * _WIDE else 2
        interval = f"95% interval {_points(low, digits)} to {_points(high, digits)}"
        if isinstance(found, Comparison) and not found.only_first + found.only_second:
            return f"{ahead} and {behind} cannot be told apart: both are right about the same images ({interval})."
        if better:
            words = f"{ahead} is better by {_points(size, digits)} points than {behind} ({interval})."
        elif not size:
            words = f"{ahead} and {behind} cannot be told apart: both are right equally often ({interval})."
        else:
            needed = found.images_needed if isinstance(found, Comparison) else found.seeds_needed
            words = (
                f"{ahead} and {behind} cannot be told apart ({ahead} is ahead by {_points(size, digits)} points, "
                f"{interval}); about {_about(needed or 0)} {unit} would be needed"
                f"{', for this pair by itself' if self.corrected else ''}."
            )
        if better != (low > 0):
            test = "test" if not self.corrected else "test, corrected for the number of pairs,"
            words += f" Test and interval disagree; the {test} decides."
        return words

    @property
    def images_sentence(self) -> str | None:
        """Over several seeds: what other test images would give."""
        if self.over_seeds is None:
            return None
        low, high = self.images_ci95
        digits = 1 if high - low > 2 * _WIDE else 2
        return (
            "Other test images would give the mean of these trainings a difference of "
            f"{_points(low, digits)} to {_points(high, digits)} points (95% interval over images)."
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON; accuracies and their differences (of `second` less `first`) are shares, not points."""
        found, first = self.deciding, self.images[0]
        values: dict[str, Any] = {
            "first": self.first,
            "second": self.second,
            "difference": found.difference,
            "ci95": list(found.ci95),
            "p_value": found.p_value,
            "p_value_holm": self.p_value_holm,
            "n": first.n,
            "groups": first.groups,
            "sentence": self.sentence,
            "per_class": self.per_class,
        }
        if self.over_seeds is None:
            return values | {
                "test": "McNemar's exact test" if first.groups is None else "exact test of groups",
                "only_first": first.only_first,
                "only_second": first.only_second,
                "images_needed": first.images_needed,
            }
        return values | {
            "test": "paired t-test over seeds",
            "seeds": list(self.seeds),
            "seeds_needed": self.over_seeds.seeds_needed,
            "images_ci95": list(self.images_ci95),
            "images_sentence": self.images_sentence,
            "each_seed": [
                {"seed": seed, "difference": one.difference, "ci95": list(one.ci95), "p_value": one.p_value}
                for seed, one in zip(self.seeds, self.images, strict=True)
            ],
        }


def compare_runs(contestants: Sequence[Contestant]) -> list[Pair]:
    """Compare every two.

    Args:
        contestants: of `read_contestants`.

    Raises:
        RunError: two trainings of several seeds that have not at least two seeds in common.
    """
    pairs = [_compare(first, second) for first, second in itertools.combinations(contestants, 2)]
    corrected = holm([pair.deciding.p_value for pair in pairs])
    return [
        replace(pair, p_value_holm=p_value, corrected=len(pairs) > 1)
        for pair, p_value in zip(pairs, corrected, strict=True)
    ]


def _compare(first: Contestant, second: Contestant) -> Pair:
    seeds = sorted({*first.trainings} & {*second.trainings})
    if first.of_seeds and len(seeds) < 2:
        theirs = [", ".join(map(str, sorted(one.trainings))) for one in (first, second)]
        raise RunError(
            f"{first.name} and {second.name}: they are paired by seed, and have fewer than two seeds in common "
            f"({theirs[0]}; {theirs[1]}). Train both with the same --seed and --seeds."
        )
    ones, twos = (np.array([one.trainings[seed].correct for seed in seeds]) for one in (first, second))  # [seeds, n]
    # Of the same images the groups are the same; runs of earlier versions have none.
    both = (one.trainings[seed].units for one in (first, second) for seed in seeds)
    units = next((found for found in both if found is not None), None)
    of_images = tuple(compare_answers(one, two, units) for one, two in zip(ones, twos, strict=True))
    over_seeds, images_ci95 = None, of_images[0].ci95
    if first.of_seeds:
        over_seeds = compare_seeds(ones.mean(axis=1), twos.mean(axis=1), ones.shape[1])
        images_ci95 = bootstrap_interval(twos.sum(axis=0) - ones.sum(axis=0), len(seeds), units=units)
    any_of_them = first.trainings[seeds[0]]
    return Pair(
        first=first.name,
        second=second.name,
        seeds=tuple(seeds) if first.of_seeds else (),
        images=of_images,
        images_ci95=images_ci95,
        over_seeds=over_seeds,
        p_value_holm=1.0,  # not known before all pairs are
        corrected=False,
        per_class=_per_class(any_of_them.labels, any_of_them.class_names, ones, twos, units),
    )


def _per_class(
    labels: NDArray[np.int64],
    class_names: tuple[str, ...],
    first: NDArray[np.bool_],
    second: NDArray[np.bool_],
    units: NDArray[np.int64] | None,
) -> list[dict[str, Any]]:
    """Rows of the classes that have test images; p-values, of single runs, are corrected for the number of classes."""
    rows: list[dict[str, Any]] = []
    p_values = []
    for label, name in enumerate(class_names):
        own = labels == label
        if own.any():
            ones, twos = first[:, own], second[:, own]
            if units is None:
                p_values.append(float(mcnemar_p_value((ones[0] & ~twos[0]).sum(), (twos[0] & ~ones[0]).sum())))
            else:
                p_values.append(grouped_p_value(twos[0].astype(np.int64) - ones[0], units[own]))
            accuracies = {"accuracy_first": float(ones.mean()), "accuracy_second": float(twos.mean())}
            difference = accuracies["accuracy_second"] - accuracies["accuracy_first"]
            rows.append({"label": name, "n": int(own.sum()), **accuracies, "difference": difference})
    if len(first) == 1:
        for row, p_value in zip(rows, holm(p_values), strict=True):
            row["p_value_holm"] = p_value
    return rows


def _about(number: int) -> str:
    """A number that is known roughly, to two figures.

    >>> _about(27_549_566), _about(12)
    ('28,000,000', '12')
    """
    return f"{float(f'{number:.2g}'):,.0f}"


def _points(share: float, digits: int) -> str:
    """A share in points of a hundred.

    >>> _points(0.0134, 1), _points(-0.0001, 1)
    ('1.3', '0.0')
    """
    return f"{round(100 * share, digits) + 0.0:.{digits}f}"  # + 0.0: there is no -0.0
