"""The first stage of transfer learning: a new last layer on the features of a backbone that stays as it is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from scipy.optimize import minimize
from scipy.special import log_softmax

from eyebright.backend import keras
from eyebright.data.dataset import Dataset
from eyebright.models.inference import compiled_logits
from eyebright.models.transfer import features_of
from eyebright.settings import Settings
from eyebright.training.objective import balanced_class_weights
from eyebright.training.progress import say

_AT_ONCE = 1000  # images between two movements of the bar
_ROWS = 4096  # of features that are computed with at once
_PENALTY = 10.0  # of the summed squared weights of standardised features; see benchmarks/NOTES.md
_MOST_ITERATIONS = 500


def train_head(
    model: keras.Model, settings: Settings, dataset: Dataset, training: NDArray[np.int64], console: Console | None
) -> None:
    """Set the last layer of a transfer model to the best one for its backbone as it is.

    The features of each training image, and of its mirror image where the augmentation mirrors, are computed once; then
    the layer is found by logistic regression. Nothing of it is random.

    Args:
        model: a transfer model whose backbone has its weights.
        settings: `class_weights` and those of the augmentation are read.
        dataset: what to learn from.
        training: int64 [n], which of its images are for training.
        console: where to show progress; None shows nothing.
    """
    views = [dataset.images]
    if settings.policy(dataset.image_shape).flip != "none":
        views.append(dataset.images[:, :, ::-1])
    features = _features(model, views, training, console)  # [views · n, F]
    labels, classes = np.tile(dataset.labels[training], len(views)), len(dataset.class_names)
    weights = np.full(len(labels), 1 / len(views))
    if settings.class_weights == "balanced":
        weights *= balanced_class_weights(labels, classes)[labels]
    mean, deviation = standardise(features)
    kernel, bias = logistic_regression(features, labels, classes, weights, _PENALTY)
    right = np.concatenate([(features[rows] @ kernel + bias).argmax(axis=1) for rows in _blocks(len(labels))]) == labels
    kernel = kernel / deviation[:, None]
    layer = model.get_layer("logits")
    layer.kernel.assign(kernel)
    layer.bias.assign(bias - mean @ kernel)
    count = features.shape[1]
    say(console, f"Last layer trained on {count:,} features of each image: training accuracy {right.mean():.4f}")


def _features(
    model: keras.Model, views: list[NDArray[np.uint8]], training: NDArray[np.int64], console: Console | None
) -> NDArray[np.float32]:
    """The backbone's features of the training images, float32 [views · n, F], a view after the other."""
    backbone = features_of(model)
    infer = compiled_logits(backbone)
    features = np.empty((len(views) * len(training), backbone.output_shape[-1]), np.float32)
    work = [
        (number * len(training) + start, view, training[start : start + _AT_ONCE])
        for number, view in enumerate(views)
        for start in range(0, len(training), _AT_ONCE)
    ]
    quiet = console is None or not console.is_terminal
    for place, view, images in track(work, "Features", console=console, disable=quiet):
        features[place : place + len(images)] = infer(view, images)
    return features


def standardise(features: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give each feature mean 0 and standard deviation 1, in place: there may be no memory for them twice.

    Args:
        features: float [n, F], C-contiguous; one that never changes becomes 0 all over.

    Returns:
        Their mean and their standard deviation, float64 [F] each; the latter is infinite for what never changes.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    np.subtract(features, mean, out=features, casting="same_kind")
    squares = np.zeros_like(mean)
    for rows in _blocks(len(features)):
        squares += np.square(features[rows], dtype=np.float64).sum(axis=0)
    deviation = np.sqrt(squares / len(features))
    deviation = np.where(deviation > 1e-8 * (1 + np.abs(mean)), deviation, np.inf)
    np.divide(features, deviation, out=features, casting="same_kind")
    return mean, deviation


def logistic_regression(
    features: NDArray[np.floating],
    labels: NDArray[np.int32],
    classes: int,
    weights: NDArray[np.float64],
    penalty: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Multinomial logistic regression: the minimum of Σ weight · cross-entropy + penalty · ½‖W‖², by L-BFGS.

    Args:
        features: float [n, F], standardised; products with them are computed in their precision, all else in float64.
        labels: int32 [n]; a class may have none.
        classes: how many.
        weights: float64 [n], of each row.
        penalty: > 0.

    Returns:
        Kernel float64 [F, classes] and bias float64 [classes].
    """

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        kernel, bias = flat[:-classes].reshape(-1, classes), flat[-classes:]
        rounded = kernel.astype(features.dtype)
        value, of_kernel, of_bias = penalty / 2 * np.square(kernel).sum(), penalty * kernel, np.zeros(classes)
        for rows in _blocks(len(features)):
            log_probabilities = log_softmax(features[rows] @ rounded + bias, axis=1)  # [rows, classes]
            own = np.arange(len(log_probabilities)), labels[rows]
            value -= weights[rows] @ log_probabilities[own]
            errors = np.exp(log_probabilities)
            errors[own] -= 1
            errors *= weights[rows, None]
            of_kernel += features[rows].T @ errors.astype(features.dtype)
            of_bias += errors.sum(axis=0)
        return float(value), np.concatenate([of_kernel.ravel(), of_bias])

    start = np.zeros((features.shape[1] + 1) * classes)
    options = {"maxiter": _MOST_ITERATIONS, "gtol": 1e-6 * weights.sum()}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    return found[:-classes].reshape(-1, classes), found[-classes:]


def _blocks(n: int) -> list[slice]:
    """The rows of some thousand images at a time: what is computed of them takes no memory for all."""
    return [slice(start, start + _ROWS) for start in range(0, n, _ROWS)]
