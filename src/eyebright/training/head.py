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
    infer = compiled_logits(features_of(model))
    chunks = [training[start : start + _AT_ONCE] for start in range(0, len(training), _AT_ONCE)]
    work = [(view, chunk) for view in views for chunk in chunks]
    quiet = console is None or not console.is_terminal
    shown = track(work, "Features", console=console, disable=quiet)
    features = np.concatenate([infer(view, chunk).astype(np.float64) for view, chunk in shown])  # [views · n, F]
    labels, classes = np.tile(dataset.labels[training], len(views)), len(dataset.class_names)
    weights = np.full(len(labels), 1 / len(views))
    if settings.class_weights == "balanced":
        weights *= balanced_class_weights(labels, classes)[labels]
    kernel, bias = logistic_regression(features, labels, classes, weights, _PENALTY)
    layer = model.get_layer("logits")
    layer.kernel.assign(kernel)
    layer.bias.assign(bias)
    right = np.mean((features @ kernel + bias).argmax(axis=1) == labels)
    say(console, f"Last layer trained on {features.shape[1]:,} features of each image: training accuracy {right:.4f}")


def logistic_regression(
    features: NDArray[np.float64],
    labels: NDArray[np.int32],
    classes: int,
    weights: NDArray[np.float64],
    penalty: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Multinomial logistic regression: the minimum of Σ weight · cross-entropy + penalty · ½‖W‖², by L-BFGS.

    W applies to features of mean 0 and standard deviation 1; what is returned, to features as they are.

    Args:
        features: float64 [n, F].
        labels: int32 [n]; a class may have none.
        classes: how many.
        weights: float64 [n], of each row.
        penalty: > 0.

    Returns:
        Kernel float64 [F, classes] and bias float64 [classes].
    """
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.where(
        deviation > 1e-8 * (1 + np.abs(mean)), deviation, np.inf
    )  # one that never changes says nothing
    standard = (features - mean) / deviation  # [n, F]
    targets = np.eye(classes)[labels]

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        kernel, bias = flat[:-classes].reshape(-1, classes), flat[-classes:]
        log_probabilities = log_softmax(standard @ kernel + bias, axis=1)
        errors = weights[:, None] * (np.exp(log_probabilities) - targets)  # [n, classes]
        gradient = np.concatenate([(standard.T @ errors + penalty * kernel).ravel(), errors.sum(axis=0)])
        value = -(weights[:, None] * targets * log_probabilities).sum() + penalty / 2 * np.square(kernel).sum()
        return float(value), gradient

    start = np.zeros((features.shape[1] + 1) * classes)
    options = {"maxiter": _MOST_ITERATIONS, "gtol": 1e-6 * weights.sum()}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
    kernel = found[:-classes].reshape(-1, classes) / deviation[:, None]
    return kernel, found[-classes:] - mean @ kernel
