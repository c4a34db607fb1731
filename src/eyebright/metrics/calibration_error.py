"""Whether predicted probabilities are what they say: of the images predicted with 0.8, are 80% right?

All figures here are of equal-mass bins: the images in order of what was predicted, cut into bins of the same number of
images. Images with the same prediction always lie in one bin, so that no figure depends on the order of the images;
where there are many of them (ties), bins are larger, and fewer than were asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.metrics.intervals import wilson_interval

BINS = 15  # Guo et al., 2017


def equal_mass_bins(predictions: NDArray[np.floating], bins: int = BINS) -> NDArray[np.int64]:
    """The bin of each image, int64 [N], counted from 0 for the lowest predictions and without gaps.

    Args:
        predictions: float [N], one number an image, for example its confidence.
        bins: at least 1, and at most that many come of it.

    >>> equal_mass_bins(np.array([0.9, 0.1, 0.5, 0.7]), bins=2)
    array([1, 0, 0, 1])
    >>> equal_mass_bins(np.array([1.0, 1.0, 1.0, 0.5]), bins=2)  # the first three share a bin
    array([1, 1, 1, 0])
    """
    n = len(predictions)
    first = np.sort(predictions)[np.arange(1, bins) * n // bins]  # [bins - 1], the lowest prediction of each next bin
    numbers = np.searchsorted(first, predictions, side="right")
    return np.unique(numbers, return_inverse=True)[1].astype(np.int64)


def expected_calibration_error(
    labels: NDArray[np.int32], probabilities: NDArray[np.floating], bins: int = BINS
) -> float:
    """ECE: the mean over all images of |accuracy - mean confidence| of an image's bin (Guo et al., 2017), 0 … 1.

    The confidence is the probability of the class that comes first. Few images show an error even where the classifier
    has none: see `error_if_calibrated`.

    Args:
        labels: int32 [N].
        probabilities: float [N, classes].
        bins: at most so many, of equal mass (Nguyen and O'Connor, 2015).

    >>> labels, probabilities = np.array([0, 0, 0, 1]), np.tile([0.75, 0.25], (4, 1))
    >>> expected_calibration_error(labels, probabilities)
    0.0
    """
    confidences, hits = _top(labels, probabilities)
    return binned_error(hits, confidences, bins)


def classwise_calibration_error(
    labels: NDArray[np.int32], probabilities: NDArray[np.floating], bins: int = BINS
) -> float:
    """Classwise ECE: that of each class's own probability, averaged over the classes (Kull et al., 2019), 0 … 1.

    For a class it is the mean over all images of |share of the class - mean probability of the class| of an image's
    bin, by equal-mass bins of that probability.

    Args:
        labels: int32 [N].
        probabilities: float [N, classes].
        bins: at most so many for each class.
    """
    return float(np.mean(classwise_calibration_errors(labels, probabilities, bins)))


def classwise_calibration_errors(
    labels: NDArray[np.int32], probabilities: NDArray[np.floating], bins: int = BINS
) -> NDArray[np.float64]:
    """float64 [classes]: the calibration error of each class's own probability."""
    return np.array(
        [binned_error(labels == number, probabilities[:, number], bins) for number in range(probabilities.shape[1])]
    )


def error_if_calibrated(probabilities: NDArray[np.floating], bins: int = BINS) -> float:
    """About what ECE these confidences would show by chance if each of them were exactly right.

    The number of right images in a bin is then a sum of independent draws, nearly normal, of variance Σ p (1 - p); the
    mean distance of a normal number from its mean is √(2/π) standard deviations.

    Args:
        probabilities: float [N, classes].
        bins: as for `expected_calibration_error`.

    >>> round(error_if_calibrated(np.tile([0.75, 0.25], (100, 1))), 4)
    0.0345
    """
    confidences = probabilities.max(axis=1).astype(np.float64)
    variances = np.bincount(equal_mass_bins(confidences, bins), weights=confidences * (1 - confidences))
    return float(np.sqrt(np.maximum(variances, 0) * 2 / np.pi).sum() / len(confidences))


def reliability_table(
    labels: NDArray[np.int32], probabilities: NDArray[np.floating], bins: int = BINS
) -> list[dict[str, Any]]:
    """What a reliability diagram shows: confidence against accuracy, bin by bin.

    Args:
        labels: int32 [N].
        probabilities: float [N, classes].
        bins: at most so many, of equal mass.

    Returns:
        One dict a bin, from the lowest confidence up: `images`, `lowest_confidence`, `highest_confidence`,
        `mean_confidence`, `accuracy`, and its `accuracy_ci95` (Wilson).
    """
    confidences, hits = _top(labels, probabilities)
    numbers = equal_mass_bins(confidences, bins)
    rows: list[dict[str, Any]] = []
    for number in range(int(numbers.max()) + 1):
        inside = numbers == number
        images, correct = int(inside.sum()), int(hits[inside].sum())
        rows.append(
            {
                "images": images,
                "lowest_confidence": float(confidences[inside].min()),
                "highest_confidence": float(confidences[inside].max()),
                "mean_confidence": float(confidences[inside].mean()),
                "accuracy": correct / images,
                "accuracy_ci95": list(wilson_interval(correct, images)),
            }
        )
    return rows


def binned_error(outcomes: NDArray[np.bool_], predictions: NDArray[np.floating], bins: int = BINS) -> float:
    """The mean over all images of |share of outcomes - mean prediction| of an image's bin.

    Args:
        outcomes: bool [N], whether what was predicted came true.
        predictions: float [N], the probability that it would.
        bins: at most so many, of equal mass.
    """
    numbers = equal_mass_bins(predictions, bins)
    gaps = np.bincount(numbers, weights=outcomes - predictions.astype(np.float64))
    return float(np.abs(gaps).sum() / len(outcomes))


def _top(
    labels: NDArray[np.int32], probabilities: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Of each image the confidence, float64 [N], and whether its own class came first, bool [N]."""
    return probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == labels
