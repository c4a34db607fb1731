import json

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from eyebright.errors import DataError
from eyebright.metrics.calibration import Calibration, Curve
from eyebright.metrics.scores import log_loss

LOGITS = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
CALIBRATIONS = {
    "none": Calibration(),
    "temperature": Calibration(method="temperature", temperature=0.5),
    "quadratic": Calibration(method="quadratic", temperature=2.0, curvature=0.1),
    "vector": Calibration(method="vector", scale=(1.0, 2.0, 0.5), bias=(0.0, -1.0, 1.0)),
    "isotonic": Calibration(method="isotonic", curves=(Curve(before=(0.2, 0.8), after=(0.1, 0.9)),) * 3),
}


@pytest.mark.parametrize("calibration", CALIBRATIONS.values(), ids=CALIBRATIONS)
def test_probabilities_are_those_of_the_formula(calibration):
    wide = LOGITS.astype(np.float64)
    plain = log_softmax(wide, axis=1)
    raw = softmax(wide, axis=1)
    curved = np.interp(raw, (0.2, 0.8), (0.1, 0.9))
    expected = {
        "none": raw,
        "temperature": softmax(2 * wide, axis=1),
        "quadratic": softmax(plain / 2 - 0.1 * plain**2, axis=1),
        "vector": softmax(wide * [1, 2, 0.5] + [0, -1, 1], axis=1),
        "isotonic": curved / curved.sum(axis=1, keepdims=True),
    }
    found = calibration.probabilities(LOGITS)
    assert (found.dtype, found.shape) == (np.float64, (50, 3))
    np.testing.assert_allclose(found, expected[calibration.method])


@pytest.mark.parametrize("calibration", CALIBRATIONS.values(), ids=CALIBRATIONS)
def test_log_probabilities_are_logits_of_the_same_probabilities(calibration):
    labels = (np.arange(50) % 3).astype(np.int32)
    log_probabilities, probabilities = calibration.log_probabilities(LOGITS), calibration.probabilities(LOGITS)
    np.testing.assert_allclose(softmax(log_probabilities, axis=1), probabilities)
    assert log_loss(labels, log_probabilities) == pytest.approx(-np.log(probabilities[np.arange(50), labels]).mean())


@pytest.mark.parametrize("calibration", CALIBRATIONS.values(), ids=CALIBRATIONS)
def test_calibrations_survive_json_to_the_bit(calibration):
    assert Calibration.model_validate_json(json.dumps(calibration.to_dict())) == calibration
    assert calibration.summary() == {name: v for name, v in calibration.to_dict().items() if name != "curves"}


@pytest.mark.parametrize("method", ["none", "temperature", "quadratic"])
def test_one_that_is_the_same_for_all_classes_is_for_any_number_of_them(method):
    assert CALIBRATIONS[method].classes is None


@pytest.mark.parametrize("method", ["vector", "isotonic"])
def test_one_that_has_numbers_for_each_class_says_for_how_many(method):
    assert CALIBRATIONS[method].classes == 3


@pytest.mark.parametrize("calibration", CALIBRATIONS.values(), ids=CALIBRATIONS)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_refused(calibration, bad):
    logits = LOGITS.copy()
    logits[7, 1] = bad
    with pytest.raises(DataError, match=r"logits of image 7 are not finite \(1 of 50 images\)"):
        calibration.probabilities(logits)


@pytest.mark.parametrize(
    "given",
    [
        {"method": "platt"},
        {"method": "temperature", "temperature": 0},
        {"method": "temperature", "temperature": 1e9},
        {"method": "vector", "scale": [1, 2], "bias": [1]},
        {"method": "quadratic", "curvature": -1},
        {"method": "vector"},
        {"method": "isotonic", "curves": []},
        {"method": "isotonic", "curves": [{"before": [0.1, 0.1], "after": [0.1, 0.2]}]},
        {"method": "isotonic", "curves": [{"before": [0.1, 0.2], "after": [0.2, 0.1]}]},
        {"method": "isotonic", "curves": [{"before": [0.1, 0.2], "after": [0.0, 0.1]}]},
        {"method": "none", "more": 1},
    ],
)
def test_what_is_no_calibration_is_not_read(given):
    with pytest.raises(ValueError):  # noqa: PT011 - pydantic's own
        Calibration.model_validate_json(json.dumps(given))
