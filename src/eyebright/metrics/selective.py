"""Answering only where one is sure: the risk at each coverage, and thresholds with a promise.

Coverage is the share of images that are answered, those of a confidence (the largest probability) of at least a
threshold; risk is the share of wrong answers among them (El-Yaniv and Wiener, 2010).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyebright.errors import DataError, SettingsError
from eyebright.metrics.beta import beta_cdf, beta_quantile

CONFIDENCE = 0.95  # of the promise
_STEPS = 50  # thresholds tried: one for each fiftieth of the images


@dataclass(frozen=True)
class RiskCoverage:
    """The risk at each coverage that a threshold can give.

    Attributes:
        thresholds: float64 [m], the confidences that occur, falling.
        coverage: float64 [m], rising to 1.
        risk: float64 [m].
    """

    thresholds: NDArray[np.float64]
    coverage: NDArray[np.float64]
    risk: NDArray[np.float64]

    @property
    def area(self) -> float:
        """AURC: the risk's mean over all coverages (Geifman, Uziel and El-Yaniv, 2019); lower is better."""
        return float((np.diff(self.coverage, prepend=0) * self.risk).sum())


def risk_coverage_curve(confidences: NDArray[np.floating], hits: NDArray[np.bool_]) -> RiskCoverage:
    """The risk-coverage curve.

    Args:
        confidences: float [n], n ≥ 1.
        hits: bool [n], whether the likeliest class is the image's own.

    >>> curve = risk_coverage_curve(np.array([0.9, 0.8, 0.8, 0.6]), np.array([True, True, False, False]))
    >>> curve.coverage.tolist(), curve.risk.round(3).tolist(), round(curve.area, 3)
    ([0.25, 0.75, 1.0], [0.0, 0.333, 0.5], 0.292)
    """
    thresholds, accepted, errors = _steps(confidences, hits)
    return RiskCoverage(thresholds, accepted / len(hits), errors / accepted)


@dataclass(frozen=True)
class Threshold:
    """A confidence below which the classifier abstains, and what came of it on validation images.

    Attributes:
        threshold: the least confidence that is accepted, 0 … 1.
        images: how many validation images there were.
        accepted: how many of them had at least this confidence.
        errors: how many of these were wrong.
        target_error: the risk that is promised, or None where the threshold was given.
    """

    threshold: float
    images: int
    accepted: int
    errors: int
    target_error: float | None = None

    @property
    def coverage(self) -> float:
        """Share of images that are answered, as expected by validation images."""
        return self.accepted / self.images

    @property
    def risk(self) -> float | None:
        """Share of wrong answers, as expected by validation images; None where none of these was accepted."""
        return self.errors / self.accepted if self.accepted else None

    @property
    def risk_bound(self) -> float:
        """What the risk is at most, with a confidence of 95%, where this threshold was not chosen but given."""
        return error_bound(self.errors, self.accepted)


def threshold_at(confidences: NDArray[np.floating], hits: NDArray[np.bool_], threshold: float) -> Threshold:
    """What comes of a given threshold.

    Args:
        confidences: float [n].
        hits: bool [n].
        threshold: 0 … 1.

    Raises:
        SettingsError: it is out of its range.
    """
    check_min_confidence(threshold)
    accepted = confidences >= threshold
    return Threshold(threshold, len(hits), int(accepted.sum()), int((accepted & ~hits).sum()))


def threshold_for_error(confidences: NDArray[np.floating], hits: NDArray[np.bool_], target_error: float) -> Threshold:
    """The lowest threshold that is shown to have a risk of at most `target_error`, with a confidence of 95%.

    That is: of all draws of validation images, at most one in twenty leads to a threshold whose risk among images like
    them is larger. A threshold is shown to be good by the exact binomial test of its risk (Clopper and Pearson, 1934).
    As many thresholds are tried, they are tried in an order that is fixed before labels are looked at, and the first
    that fails ends it: then trying costs nothing of the confidence (fixed-sequence testing: Bauer, 1991; Angelopoulos
    et al., "Learn then Test", 2021; for the same by halving the confidence see Geifman and El-Yaniv, 2017).

    The order goes from confident to less confident images. It does not set out from the most confident of all, of which
    there are too few to show anything, but where the confidences themselves promise the clearest test.

    Args:
        confidences: float [n].
        hits: bool [n].
        target_error: in (0, 1).

    Raises:
        SettingsError: `target_error` is out of its range.
        DataError: the images are too few to show it even if all were right, or too many of them are wrong.
    """
    check_target(target_error)
    needed = images_needed(target_error)
    if len(hits) < needed:
        raise DataError(
            f"--target-error {target_error:g} needs at least {needed:,} validation images to be shown with 95% "
            f"confidence; there are {len(hits):,}. Give a larger target, or train anew with a larger --validation."
        )
    thresholds, accepted, errors = _steps(confidences, hits)
    tried = _sequence(accepted, np.sort(confidences)[::-1], target_error)
    good = _probability_of_so_few(errors[tried], accepted[tried], target_error) <= 1 - CONFIDENCE
    shown = len(tried) if good.all() else int(good.argmin())
    if not shown:
        first = tried[0]
        raise DataError(
            f"--target-error {target_error:g} cannot be promised: {errors[first]:,} of the {accepted[first]:,} most "
            "confident validation images are wrong, too many to show it with 95% confidence. Give a larger target, or "
            "train anew, for longer or with a larger --validation."
        )
    chosen = tried[shown - 1]
    return Threshold(float(thresholds[chosen]), len(hits), int(accepted[chosen]), int(errors[chosen]), target_error)


def images_needed(target_error: float) -> int:
    """How many images it takes to show a risk of at most `target_error`, in (0, 1), if none of them is wrong.

    >>> images_needed(0.01)
    299
    """
    return math.ceil(math.log(1 - CONFIDENCE) / math.log1p(-target_error))


def error_bound(errors: int, accepted: int) -> float:
    """The upper end of the one-sided 95% interval of a risk (Clopper and Pearson, 1934).

    Args:
        errors: 0 … accepted.
        accepted: from 0.

    >>> round(error_bound(0, 299), 4)
    0.01
    """
    return beta_quantile(CONFIDENCE, errors + 1, accepted - errors) if errors < accepted else 1.0


def check_target(target_error: float) -> None:
    """Refuse a target that is no share.

    Raises:
        SettingsError: it is not in (0, 1).
    """
    if not 0 < target_error < 1:
        raise SettingsError(
            f"--target-error {target_error:g}: give the share of wrong answers that is allowed, between 0 and 1; "
            "0.01, say."
        )


def check_min_confidence(min_confidence: float) -> None:
    """Refuse a threshold that is no probability.

    Raises:
        SettingsError: it is not in 0 … 1.
    """
    if not 0 <= min_confidence <= 1:
        raise SettingsError(f"--min-confidence {min_confidence:g}: give a probability, from 0 to 1; 0.9, say.")


def _steps(
    confidences: NDArray[np.floating], hits: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """The confidences that occur, falling, and how many images each accepts and how many of these are wrong."""
    order = np.argsort(-confidences, kind="stable")
    ranked = confidences[order].astype(np.float64)
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)  # of each confidence
    return ranked[last], last + 1, np.cumsum(~hits[order])[last]


def _sequence(accepted: NDArray[np.int64], ranked: NDArray[np.floating], target_error: float) -> NDArray[np.int64]:
    """Which thresholds are tried, in their order. Only confidences decide it, no labels."""
    images = len(ranked)
    steps = np.unique(np.searchsorted(accepted, np.arange(1, _STEPS + 1) * images / _STEPS))
    steps = steps[accepted[steps] >= images_needed(target_error)]
    expected = np.cumsum(1 - ranked.astype(np.float64))[accepted[steps] - 1]  # errors, as far as confidences are right
    return steps[_probability_of_so_few(expected, accepted[steps], target_error).argmin() :]


def _probability_of_so_few(
    errors: NDArray[np.floating] | NDArray[np.int64], accepted: NDArray[np.int64], risk: float
) -> NDArray[np.float64]:
    """P(at most so many errors among so many images) at a risk: the p-value of "the risk is larger".

    The binomial distribution, by the beta function, which takes expected numbers of errors, too.
    """
    possible = np.minimum(errors, accepted - 1)
    few = [beta_cdf(1 - risk, n - k, k + 1) for k, n in zip(possible.tolist(), accepted.tolist(), strict=True)]
    return np.where(errors < accepted, few, 1.0)
