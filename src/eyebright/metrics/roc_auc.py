"""Area under the ROC curve, each class against the rest, with DeLong's interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Interval = tuple[float, float]


@dataclass(frozen=True)
class RocAuc:
    """Areas under ROC curves, one class against all others; 0.5 is chance. None where a figure is not defined.

    Attributes:
        per_class: one a class; not defined for a class that has no images or all of them.
        per_class_ci95: their 95% intervals.
        macro: mean over the classes that have one.
        macro_ci95: its interval.
        weighted: the same mean, each class counted as often as it has images.
        weighted_ci95: its interval.
    """

    per_class: list[float | None]
    per_class_ci95: list[Interval | None]
    macro: float | None
    macro_ci95: Interval | None
    weighted: float | None
    weighted_ci95: Interval | None


def roc_auc(
    labels: NDArray[np.int32], probabilities: NDArray[np.floating], units: NDArray[np.int64] | None = None
) -> RocAuc:
    """The areas and their intervals.

    An area is the chance that an image of the class gets a higher probability of it than one of another class, equal
    ones counted half. Its variance is DeLong's (DeLong, DeLong and Clarke-Pearson, 1988), computed from ranks as Sun
    and Xu do (2014); that of a mean over classes is of the sum of what each image adds to it, which is the same method,
    since one image belongs to all curves. Where images come in groups, what the images of a group add is added up first
    (Obuchowski, 1997). The interval is symmetric on the logit scale, so that it stays within 0 … 1. There is none where
    the images show no variation, as where a class is told from the rest without any error.

    Args:
        labels: int32 [N].
        probabilities: float [N, classes].
        units: int64 [N], the group of each image, from 0; None where each image stands for itself.
    """
    n, classes = probabilities.shape
    areas, parts = np.full(classes, np.nan), np.zeros((n, classes))
    for label in range(classes):
        positive = labels == label
        if 0 < positive.sum() < n:
            areas[label], parts[:, label] = _area_and_parts(probabilities[:, label], positive)
    found = ~np.isnan(areas)
    support = np.bincount(labels, minlength=classes)
    means = [_mean(areas, parts, weights * found, units) for weights in (np.ones(classes), support)]
    return RocAuc(
        [float(area) if is_found else None for area, is_found in zip(areas, found, strict=True)],
        [_interval(areas[label], parts[:, label], units) if found[label] else None for label in range(classes)],
        *means[0],
        *means[1],
    )


def _mean(
    areas: NDArray[np.float64],
    parts: NDArray[np.float64],
    weights: NDArray[np.float64],
    units: NDArray[np.int64] | None,
) -> tuple[float | None, Interval | None]:
    if not weights.sum():
        return None, None
    weights = weights / weights.sum()
    area = float(weights @ np.nan_to_num(areas))
    return area, _interval(area, parts @ weights, units)


def _area_and_parts(
    scores: NDArray[np.floating], positive: NDArray[np.bool_]
) -> tuple[np.float64, NDArray[np.float64]]:
    """The area, and what each image adds to its deviation, float64 [N], whose squares add up to DeLong's variance."""
    from scipy.stats import rankdata

    ones, others = int(positive.sum()), int((~positive).sum())
    own = np.empty(len(scores))
    own[positive], own[~positive] = rankdata(scores[positive]), rankdata(scores[~positive])
    below = (rankdata(scores) - own) / np.where(positive, others, ones)  # share of the other side that lies below
    placements = np.where(positive, below, 1 - below)
    area = placements[positive].mean()
    if min(ones, others) == 1:  # of one image nobody knows how much another would differ
        return area, np.full(len(scores), np.nan)
    side = np.where(positive, ones, others)
    return area, (placements - area) / np.sqrt(side * (side - 1.0))


def _interval(area: float, parts: NDArray[np.float64], units: NDArray[np.int64] | None) -> Interval | None:
    from scipy.special import expit, logit, ndtri

    factor = 1.0
    if units is not None:
        parts = np.bincount(units, weights=parts).astype(np.float64)
        factor = len(parts) / (len(parts) - 1) if len(parts) > 1 else np.nan
    deviation = np.sqrt(factor * np.square(parts).sum())
    if not (deviation > 1e-12 and 0 < area < 1):
        return None
    half = ndtri(0.975) * deviation / (area * (1 - area))
    return float(expit(logit(area) - half)), float(expit(logit(area) + half))
