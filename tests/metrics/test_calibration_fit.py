import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from eyebright.errors import DataError, SettingsError
from eyebright.metrics.calibration import LARGEST_TEMPERATURE, LEAST_TEMPERATURE, Calibration
from eyebright.metrics.calibration_fit import cross_fitted_log_probabilities, fit_calibration
from eyebright.metrics.scores import log_loss

NAMES = ("ant", "bee", "cow", "dog")
METHODS = ("temperature", "quadratic", "vector", "isotonic")


def drawn(n, *, factor=1.0, seed=0, classes=4):
    """Logits and labels that are drawn from their softmax; then the logits are multiplied by a factor."""
    generator = np.random.default_rng(seed)
    logits = 2 * generator.normal(size=(n, classes))
    draws = generator.random(n)[:, None]
    labels = (softmax(logits, axis=1).cumsum(axis=1) < draws).sum(axis=1).astype(np.int32)
    return labels, (factor * logits).astype(np.float32)


def smooth(labels, classes):
    """Labels as if one more image of any class had been seen."""
    n = len(labels)
    return (n * np.eye(classes)[labels] + 1 / classes) / (n + 1)


@pytest.mark.parametrize("factor", [0.2, 1, 5])
def test_the_temperature_that_a_model_is_too_hot_by_is_found(factor):
    labels, logits = drawn(20_000, factor=factor)
    calibration = fit_calibration("temperature", labels, logits, NAMES)
    assert calibration.temperature == pytest.approx(factor, rel=0.03)
    np.testing.assert_allclose(
        calibration.probabilities(logits), softmax(logits / calibration.temperature, axis=1), rtol=1e-5, atol=1e-12
    )


@given(st.integers(1, 60), st.integers(0, 10_000), st.floats(0.1, 8))
@settings(deadline=None, max_examples=50)
def test_the_temperature_is_the_best_of_a_fine_grid_and_changes_no_answer(n, seed, factor):
    labels, logits = drawn(n, factor=factor, seed=seed)
    found = fit_calibration("temperature", labels, logits, NAMES)

    def loss(temperature):
        return -(smooth(labels, 4) * log_softmax(logits / temperature, axis=1)).sum(axis=1).mean()

    grid = np.geomspace(LEAST_TEMPERATURE, LARGEST_TEMPERATURE, 400)
    assert loss(found.temperature) <= min(map(loss, grid)) + 1e-6
    calibrated = found.probabilities(logits)
    assert (calibrated.argmax(axis=1) == logits.argmax(axis=1)).all()
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)


def test_vector_scaling_is_the_minimum_that_another_optimizer_finds():
    labels, logits = drawn(400, factor=3)
    logits = logits * np.float32([1, 2, 0.5, 1]) + np.float32([0, 1, -1, 0])

    def loss(parameters):
        scaled = logits * parameters[:4] + parameters[4:]
        return -(smooth(labels, 4) * log_softmax(scaled, axis=1)).sum(axis=1).mean()

    calibration = fit_calibration("vector", labels, logits, NAMES)
    other = minimize(loss, np.r_[np.ones(4), np.zeros(4)], method="Powell", options={"xtol": 1e-6, "ftol": 1e-12})
    assert loss(np.r_[calibration.scale, calibration.bias]) <= other.fun + 1e-6
    expected = softmax(logits * other.x[:4] + other.x[4:], axis=1)
    np.testing.assert_allclose(calibration.probabilities(logits), expected, atol=2e-3)


@given(st.integers(1, 60), st.integers(0, 10_000), st.floats(0.1, 8))
@settings(deadline=None, max_examples=30)
def test_quadratic_calibration_is_no_worse_than_a_temperature_and_changes_no_answer(n, seed, factor):
    labels, logits = drawn(n, factor=factor, seed=seed)
    found = {method: fit_calibration(method, labels, logits, NAMES) for method in ("temperature", "quadratic")}
    loss = {
        method: -(smooth(labels, 4) * calibration.log_probabilities(logits)).sum(axis=1).mean()
        for method, calibration in found.items()
    }
    assert loss["quadratic"] <= loss["temperature"] + 1e-6
    calibrated = found["quadratic"].log_probabilities(logits)
    assert (calibrated.argsort(axis=1) == logits.argsort(axis=1)).all()


def test_the_numbers_of_quadratic_calibration_are_found():
    generator = np.random.default_rng(0)
    logits = 2 * generator.normal(size=(20_000, 4))
    truth = Calibration(method="quadratic", temperature=0.8, curvature=0.3)
    draws = generator.random(20_000)[:, None]
    labels = (truth.probabilities(logits).cumsum(axis=1) < draws).sum(axis=1).clip(0, 3).astype(np.int32)
    found = fit_calibration("quadratic", labels, logits, NAMES)
    assert found.temperature == pytest.approx(0.8, rel=0.1)
    assert found.curvature == pytest.approx(0.3, rel=0.1)


def test_two_classes_by_vector_scaling_are_platts_logistic_regression():
    labels, logits = drawn(20_000, factor=2, classes=2)
    ours = fit_calibration("vector", labels, logits, NAMES[:2]).probabilities(logits)[:, 1]
    theirs = LogisticRegression(C=1e6).fit(logits, labels).predict_proba(logits)[:, 1]
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_isotonic_is_scikit_learns_for_each_class_with_the_sum_brought_to_1():
    labels, logits = drawn(500, factor=2)
    raw = softmax(logits.astype(np.float64), axis=1)
    columns = [
        IsotonicRegression(out_of_bounds="clip").fit(raw[:, k], smooth(labels, 4)[:, k]).predict(raw[:, k])
        for k in range(4)
    ]
    expected = np.transpose(columns) / np.sum(columns, axis=0)[:, None]
    calibration = fit_calibration("isotonic", labels, logits, NAMES)
    np.testing.assert_allclose(calibration.probabilities(logits), expected, rtol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@given(st.integers(4, 40), st.integers(0, 1000))
@settings(deadline=None, max_examples=15)
def test_calibrations_survive_json_to_the_bit(method, n, seed):
    labels, logits = drawn(n, seed=seed)
    labels[:4] = range(4)
    calibration = fit_calibration(method, labels, logits, NAMES)
    read = Calibration.model_validate_json(json.dumps(calibration.to_dict()))
    assert read == calibration
    assert (read.probabilities(logits) == calibration.probabilities(logits)).all()
    assert set(calibration.to_dict()) == {
        "method",
        *{
            "temperature": ["temperature"], "quadratic": ["temperature", "curvature"], "vector": ["scale", "bias"],
            "isotonic": ["curves"],
        }[method],
    }  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_calibration_of_a_miscalibrated_model_lowers_the_loss_on_images_that_it_was_not_fitted_to(method):
    labels, logits = drawn(2000, factor=4)
    assert log_loss(labels, cross_fitted_log_probabilities(method, labels, logits)) < 0.8 * log_loss(labels, logits)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [4, 12, 100])
def test_a_model_that_is_right_on_all_of_a_few_images_is_not_taken_for_one_that_is_never_wrong(method, n):
    labels = (np.arange(n) % 4).astype(np.int32)
    logits = (20 * np.eye(4)[labels] + np.random.default_rng(0).normal(size=(n, 4))).astype(np.float32)
    calibration = fit_calibration(method, labels, logits, NAMES)
    confidences = calibration.probabilities(logits).max(axis=1)
    # As if one image more had been seen, of a class that is right by chance only.
    assert confidences.mean() == pytest.approx(1 - 0.75 / (n + 1), abs=0.01)
    assert np.isfinite(calibration.log_probabilities(100 * logits)).all()


def test_a_model_that_is_always_wrong_gets_the_largest_temperature():
    _, logits = drawn(200)
    wrong = ((logits.argmin(axis=1)) % 4).astype(np.int32)
    assert fit_calibration("temperature", wrong, 3 * logits, NAMES).temperature == pytest.approx(
        LARGEST_TEMPERATURE, rel=0.01
    )


def test_a_model_that_always_says_the_same_keeps_the_temperature_1():
    calibration = fit_calibration("temperature", np.array([0, 1, 2], np.int32), np.ones((3, 4), np.float32), NAMES)
    assert calibration.temperature == 1
    assert calibration.probabilities(np.ones((1, 4))).tolist() == [[0.25] * 4]


@pytest.mark.parametrize("method", [*METHODS, "none"])
def test_extreme_logits_give_probabilities_all_the_same(method):
    labels, logits = drawn(40)
    labels[:4] = range(4)
    calibration = fit_calibration(method, labels, logits, NAMES)
    extreme = np.array([[1e30, -1e30, 0, 0], [-1e30, -1e30, -1e30, 1]], np.float32)
    probabilities = calibration.probabilities(extreme)
    assert np.isfinite(probabilities).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)


@pytest.mark.parametrize("method", ["vector", "isotonic"])
def test_a_class_without_images_is_refused_by_name_where_it_needs_some(method):
    labels, logits = drawn(30)
    labels[labels == 2] = 1
    with pytest.raises(DataError, match=r"^--method \w+: the class 'cow' has no validation images .*temperature"):
        fit_calibration(method, labels, logits, NAMES)
    for other in ("temperature", "quadratic"):
        assert fit_calibration(other, labels, logits, NAMES).method == other


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused(method, bad):
    labels, logits = drawn(30)
    calibration = fit_calibration("temperature", labels, logits, NAMES)
    logits[7, 1] = bad
    words = r"logits of image 7 are not finite \(1 of 30 images\): .* Train anew with a lower --learning-rate"
    with pytest.raises(DataError, match=words):
        fit_calibration(method, labels, logits, NAMES)
    with pytest.raises(DataError, match=words):
        calibration.probabilities(logits)


def test_no_images_and_unknown_methods_are_refused():
    with pytest.raises(DataError, match=r"no validation images to calibrate on. Train anew with --validation"):
        fit_calibration("temperature", np.empty(0, np.int32), np.empty((0, 4), np.float32), NAMES)
    with pytest.raises(SettingsError, match=r"--method temprature: no such calibration. Did you mean 'temperature'?"):
        fit_calibration("temprature", *drawn(3), NAMES)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [2, 3, 9, 1000])
def test_cross_fitting_gives_every_image_probabilities(method, n):
    labels, logits = drawn(n, factor=2)
    found = cross_fitted_log_probabilities(method, labels, logits)
    assert found.shape == (n, 4)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1)


@pytest.mark.parametrize("method", METHODS)
def test_cross_fitting_calibrates_each_fifth_by_the_other_images(method):
    labels, logits = drawn(50, factor=2)
    labels = np.sort(labels)  # then every fifth image makes a part
    found = cross_fitted_log_probabilities(method, labels, logits)
    for part in range(5):
        others = np.arange(50) % 5 != part
        calibration = fit_calibration(method, labels[others], logits[others], NAMES)
        assert (found[part::5] == calibration.log_probabilities(logits[part::5])).all()
