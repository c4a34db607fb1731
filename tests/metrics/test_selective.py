import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from eyebright.errors import DataError, SettingsError
from eyebright.metrics.selective import (
    error_bound,
    images_needed,
    risk_coverage_curve,
    threshold_at,
    threshold_for_error,
)

CASES = st.lists(st.tuples(st.sampled_from([0.3, 0.5, 0.7, 0.71, 0.9, 1.0]), st.booleans()), min_size=1, max_size=40)


def drawn(n, seed, sharpness=6.0):
    """Confidences and hits of a calibrated model."""
    generator = np.random.default_rng(seed)
    confidences = generator.beta(sharpness, 0.3, n)
    return confidences, generator.random(n) < confidences


@given(CASES)
@settings(deadline=None)
def test_the_curve_has_the_risk_of_each_threshold(case):
    confidences, hits = np.array([c for c, _ in case]), np.array([h for _, h in case])
    curve = risk_coverage_curve(confidences, hits)
    assert (np.diff(curve.thresholds) < 0).all()
    assert set(curve.thresholds) == set(confidences)
    for threshold, coverage, risk in zip(curve.thresholds, curve.coverage, curve.risk, strict=True):
        accepted = confidences >= threshold
        assert coverage == accepted.mean()
        assert risk == pytest.approx((~hits[accepted]).mean())
        found = threshold_at(confidences, hits, threshold)
        assert (found.coverage, found.risk) == (coverage, pytest.approx(risk))
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx((~hits).mean())
    assert 0 <= curve.area <= 1


def test_the_area_is_the_mean_risk_of_the_k_most_confident_where_no_two_are_alike():
    confidences, hits = drawn(300, 0)
    ranked = ~hits[np.argsort(-confidences)]
    expected = np.mean([ranked[: k + 1].mean() for k in range(300)])
    assert risk_coverage_curve(confidences, hits).area == pytest.approx(expected)


@given(st.integers(1, 500), st.data())
@settings(deadline=None)
def test_the_bound_is_clopper_and_pearsons(accepted, data):
    errors = data.draw(st.integers(0, accepted))
    interval = binomtest(errors, accepted).proportion_ci(0.9, method="exact")  # two-sided 90%: one-sided 95%
    assert error_bound(errors, accepted) == pytest.approx(interval.high)


def test_nothing_accepted_bounds_nothing():
    found = threshold_at(np.array([0.5, 0.6]), np.array([True, False]), 0.9)
    assert (found.accepted, found.errors, found.coverage, found.risk, found.risk_bound) == (0, 0, 0, None, 1)


@pytest.mark.parametrize("target", [0.2, 0.1, 0.05, 0.01])
def test_images_needed_are_the_fewest_that_can_show_a_target(target):
    needed = images_needed(target)
    assert error_bound(0, needed) <= target < error_bound(0, needed - 1)


@pytest.mark.parametrize(
    ("target", "n", "sharpness"), [(0.1, 200, 3), (0.05, 300, 3), (0.02, 1000, 6), (0.05, 1000, 1)]
)
def test_the_risk_is_above_the_target_in_at_most_one_draw_of_twenty(target, n, sharpness):
    everyone, everyones_hits = drawn(200_000, 1, sharpness)
    broken, promised = 0, 0
    for seed in range(300):
        try:
            found = threshold_for_error(*drawn(n, seed + 2, sharpness), target)
        except DataError:
            continue  # nothing was promised
        accepted = everyone >= found.threshold
        promised += 1
        broken += (~everyones_hits[accepted]).mean() > target
    assert promised > 0
    assert broken <= 300 * 0.05 + 3 * math.sqrt(300 * 0.05 * 0.95)


def test_the_promise_holds_for_confidences_that_are_all_wrong():
    """A model that is sure of all and right by chance: almost nothing is promised."""
    broken = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        try:
            threshold_for_error(generator.uniform(0.99, 1, 300), generator.random(300) < 0.94, 0.05)
            broken += 1
        except DataError:
            pass
    assert broken <= 200 * 0.05 + 3 * math.sqrt(200 * 0.05 * 0.95)


@given(st.integers(0, 10_000), st.sampled_from([0.02, 0.05, 0.2]))
@settings(deadline=None, max_examples=50)
def test_what_is_chosen_is_shown_by_the_exact_test(seed, target):
    confidences, hits = drawn(400, seed)
    try:
        found = threshold_for_error(confidences, hits, target)
    except DataError as error:
        assert "cannot be promised" in str(error)  # noqa: PT017
        return
    accepted = confidences >= found.threshold
    assert (found.accepted, found.errors) == (accepted.sum(), (~hits[accepted]).sum())
    assert found.images == 400
    assert found.risk_bound <= target
    assert binomtest(found.errors, found.accepted, target, alternative="less").pvalue <= 0.05


def test_a_perfect_model_answers_everything():
    confidences = np.linspace(0.6, 1, 299)
    found = threshold_for_error(confidences, np.ones(299, bool), 0.01)
    assert (found.threshold, found.coverage, found.risk) == (0.6, 1, 0)


def test_all_images_of_one_confidence_are_accepted_together_or_not_at_all():
    confidences, hits = np.repeat([0.9, 0.5], 300), np.arange(600) % 300 != 0
    found = threshold_for_error(confidences, hits, 0.02)
    assert found.accepted in (300, 600)


def test_too_few_images_are_refused_with_the_number_that_it_takes():
    with pytest.raises(
        DataError, match=r"^--target-error 0.01 needs at least 299 validation images .* there are 298\."
    ):
        threshold_for_error(np.ones(298), np.ones(298, bool), 0.01)


def test_a_model_that_is_too_often_wrong_is_refused_with_what_was_found():
    words = r"^--target-error 0.01 cannot be promised: \d+ of the \d+ most confident validation images are wrong"
    with pytest.raises(DataError, match=words):
        threshold_for_error(np.linspace(0.9, 1, 400), np.arange(400) % 2 == 0, 0.01)


@pytest.mark.parametrize("target", [0, 1, -0.5, 2, math.nan])
def test_a_target_that_is_no_share_is_refused(target):
    with pytest.raises(SettingsError, match=r"--target-error .*between 0 and 1"):
        threshold_for_error(*drawn(400, 0), target)


@pytest.mark.parametrize("threshold", [-0.1, 1.5, math.nan])
def test_a_threshold_that_is_no_probability_is_refused(threshold):
    with pytest.raises(SettingsError, match=r"--min-confidence .*from 0 to 1"):
        threshold_at(*drawn(400, 0), threshold)
