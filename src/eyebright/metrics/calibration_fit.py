"""Calibration on images that the classifier did not learn from.

All methods are fitted to the same slightly softened labels: as if besides the n images one more had been seen, of any
class with the same chance (Laplace's rule of succession; Platt, 1999, does so for two classes). Without it a classifier
that is right on all of a few images would be taken for one that is never wrong, and a class that is never confused
would have parameters without a bound.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from eyebright.errors import DataError
from eyebright.metrics.calibration import (
    LARGEST_TEMPERATURE,
    LEAST_TEMPERATURE,
    Calibration,
    CalibrationMethod,
    Curve,
    check_finite,
    check_method,
)


def fit_calibration(
    method: CalibrationMethod, labels: NDArray[np.int32], logits: NDArray[np.floating], class_names: tuple[str, ...]
) -> Calibration:
    """Calibrate on images that the classifier did not learn from.

    Args:
        method: see `Calibration`. The temperature is the one of the least log loss within its bounds, and 1 where no
            other is better.
        labels: int32 [n].
        logits: float [n, classes], the classifier's.
        class_names: in the order of the logits.

    Raises:
        SettingsError: an unknown method.
        DataError: there are no images; a logit is not finite; or a class has no image, which "vector" and "isotonic"
            need.
    """
    check_method(method)
    if method == "none":
        return Calibration()
    if not len(labels):
        raise DataError("There are no validation images to calibrate on. Train anew with --validation 0.1, say.")
    check_finite(logits)
    counts = np.bincount(labels, minlength=len(class_names))
    if method in ("vector", "isotonic") and not counts.all():
        raise DataError(
            f"--method {method}: the class {class_names[int(counts.argmin())]!r} has no validation images to calibrate "
            "it on. Calibrate with --method temperature, or train anew with a larger --validation."
        )
    return _fit(method, labels, logits.astype(np.float64))


def cross_fitted_log_probabilities(
    method: CalibrationMethod, labels: NDArray[np.int32], logits: NDArray[np.floating], folds: int = 5
) -> NDArray[np.float64]:
    """Calibrated log probabilities of images by calibrations that were fitted to others of them.

    Figures of a calibration on the very images that it was fitted to flatter it; these do not.

    Args:
        method: see `Calibration`.
        labels: int32 [n], n ≥ 2.
        logits: float [n, classes], finite.
        folds: into how many parts the images are dealt, evenly by class; at most n.

    Returns:
        float64 [n, classes], as `Calibration.log_probabilities` gives them.
    """
    wide = logits.astype(np.float64)
    parts = np.empty(len(labels), int)
    parts[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % min(folds, len(labels))
    result = np.empty_like(wide)
    for part in range(parts.max() + 1):
        inside = parts == part
        result[inside] = _fit(method, labels[~inside], wide[~inside]).log_probabilities(wide[inside])
    return result


def _fit(method: CalibrationMethod, labels: NDArray[np.int32], logits: NDArray[np.float64]) -> Calibration:
    targets = _softened(labels, logits.shape[1])  # [n, classes]
    if method == "temperature":
        return Calibration(method=method, temperature=_best_temperature(targets, logits))
    if method == "quadratic":
        temperature, curvature = _best_temperature_and_curvature(targets, logits)
        return Calibration(method=method, temperature=temperature, curvature=curvature)
    if method == "vector":
        scale, bias = _best_scale_and_bias(targets, logits)
        return Calibration(method=method, scale=tuple(scale.tolist()), bias=tuple(bias.tolist()))
    if method == "isotonic":
        return Calibration(method=method, curves=_rising_curves(targets, logits))
    return Calibration()


def _softened(labels: NDArray[np.int32], classes: int) -> NDArray[np.float64]:
    """Target probabilities [n, classes]: 1 / (n + 1) of each label is spread over all classes."""
    share = 1 / (len(labels) + 1)
    targets = np.full((len(labels), classes), share / classes)
    targets[np.arange(len(labels)), labels] += 1 - share
    return targets


def _cross_entropy(targets: NDArray[np.float64], logits: NDArray[np.float64]) -> float:
    from scipy.special import log_softmax

    return float(-(targets * log_softmax(logits, axis=1)).sum(axis=1).mean())


def _best_temperature(targets: NDArray[np.float64], logits: NDArray[np.float64]) -> float:
    """It is found by its logarithm, over which the loss has one valley: it is convex over 1 / T."""
    from scipy.optimize import minimize_scalar

    bounds = np.log([LEAST_TEMPERATURE, LARGEST_TEMPERATURE])
    found = minimize_scalar(
        lambda log_t: _cross_entropy(targets, logits * np.exp(-log_t)), bounds=bounds, options={"xatol": 1e-8}
    )
    return float(np.exp(found.x)) if found.fun < _cross_entropy(targets, logits) else 1.0


def _best_temperature_and_curvature(targets: NDArray[np.float64], logits: NDArray[np.float64]) -> tuple[float, float]:
    from scipy.special import log_softmax

    plain = log_softmax(logits, axis=1)
    found = _minimum(
        targets,
        np.array([1 / _best_temperature(targets, logits), 0]),
        lambda parameters: parameters[0] * plain - parameters[1] * plain**2,
        lambda gradient: np.array([(gradient * plain).sum(), -(gradient * plain**2).sum()]),
        bounds=[(1 / LARGEST_TEMPERATURE, 1 / LEAST_TEMPERATURE), (0, None)],
    )
    return float(np.clip(1 / found[0], LEAST_TEMPERATURE, LARGEST_TEMPERATURE)), float(found[1])


def _best_scale_and_bias(
    targets: NDArray[np.float64], logits: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    classes = logits.shape[1]
    found = _minimum(
        targets,
        np.concatenate([np.full(classes, 1 / _best_temperature(targets, logits)), np.zeros(classes)]),
        lambda parameters: logits * parameters[:classes] + parameters[classes:],
        lambda gradient: np.concatenate([(gradient * logits).sum(axis=0), gradient.sum(axis=0)]),
    )
    return found[:classes], found[classes:]


def _minimum(
    targets: NDArray[np.float64],
    start: NDArray[np.float64],
    calibrated: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    backward: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    bounds: list[tuple[float, float | None]] | None = None,
) -> NDArray[np.float64]:
    """The parameters of the least log loss. It is convex, as the calibrated logits are linear in the parameters.

    Args:
        targets: float [n, classes].
        start: the parameters to set out from.
        calibrated: of parameters to logits [n, classes].
        backward: of the loss's gradient by these logits to that by the parameters.
        bounds: of each parameter.
    """
    from scipy.optimize import minimize
    from scipy.special import softmax

    def loss_and_gradient(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logits = calibrated(parameters)
        return _cross_entropy(targets, logits), backward((softmax(logits, axis=1) - targets) / len(targets))

    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-8}
    found = minimize(loss_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    result: NDArray[np.float64] = found.x
    return result


def _rising_curves(targets: NDArray[np.float64], logits: NDArray[np.float64]) -> tuple[Curve, ...]:
    from scipy.special import softmax
    from sklearn.isotonic import IsotonicRegression

    curves = []
    for column, target in zip(softmax(logits, axis=1).T, targets.T, strict=True):
        fitted = IsotonicRegression().fit(column, target)
        curves.append(Curve(before=fitted.X_thresholds_.tolist(), after=fitted.y_thresholds_.tolist()))
    return tuple(curves)
