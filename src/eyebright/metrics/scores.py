"""How good predictions are. NumPy in, numbers out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.metrics.class_scores import ClassCounts
from eyebright.metrics.intervals import wilson_interval


def count_correct(labels: NDArray[np.int32], scores: NDArray[np.floating]) -> int:
    """How many images have their own class first.

    Args:
        labels: int32 [N].
        scores: float [N, classes], logits or probabilities.

    >>> count_correct(np.array([1, 0]), np.array([[0.2, 0.8], [0.1, 0.9]]))
    1
    """
    return int((scores.argmax(axis=1) == labels).sum())


def accuracy_score(labels: NDArray[np.int32], scores: NDArray[np.floating]) -> float:
    """Share of images that have their own class first, 0 … 1."""
    return count_correct(labels, scores) / len(labels)


def ranks(labels: NDArray[np.int32], scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """The place of each image's own class among all, int64 [N], from 0; of equal scores the first class comes first.

    The share of ranks below k is the top-k accuracy.

    >>> ranks(np.array([1, 1]), np.array([[0.2, 0.7, 0.1], [0.5, 0.2, 0.3]]))
    array([0, 2])
    """
    own = scores[np.arange(len(labels)), labels][:, np.newaxis]  # [N, 1]
    before = np.arange(scores.shape[1]) < labels[:, np.newaxis]  # [N, classes]
    places: NDArray[np.int64] = ((scores > own) | ((scores == own) & before)).sum(axis=1)
    return places


def log_loss(labels: NDArray[np.int32], logits: NDArray[np.floating]) -> float:
    """Mean cross-entropy in nats.

    Args:
        labels: int32 [N].
        logits: float [N, classes].

    >>> round(log_loss(np.array([0]), np.array([[0.0, 0.0]])), 6)
    0.693147
    """
    from scipy.special import log_softmax

    log_probabilities = log_softmax(logits.astype(np.float64), axis=1)
    return float(-log_probabilities[np.arange(len(labels)), labels].mean())


def log_losses(labels: NDArray[np.int32], probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Cross-entropy of each image in nats, float64 [N].

    A probability of 0 counts as the smallest that float64 holds in full (2.2e-308), so that no loss is infinite.

    Args:
        labels: int32 [N].
        probabilities: float [N, classes].
    """
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(own, np.finfo(np.float64).tiny))


def brier_losses(labels: NDArray[np.int32], probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Squared distance of each image's probabilities from the truth, summed over all classes, float64 [N], 0 … 2.

    Their mean is the Brier score in its original form (Brier, 1950); that of two classes is often given as half of it.

    >>> brier_losses(np.array([0]), np.array([[0.75, 0.25]]))
    array([0.125])
    """
    distances = probabilities.astype(np.float64)
    distances[np.arange(len(labels)), labels] -= 1
    losses: NDArray[np.float64] = np.square(distances).sum(axis=1)
    return losses


def confusion_matrix(labels: NDArray[np.int32], scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """int64 [classes, classes]: how many images of each class (row) were taken for each class (column)."""
    classes = scores.shape[1]
    counts = np.bincount(labels * classes + scores.argmax(axis=1), minlength=classes**2)
    return counts.reshape(classes, classes)


def per_class_scores(confusion: NDArray[np.int64], class_names: tuple[str, ...]) -> list[dict[str, Any]]:
    """Precision, recall and F1 of each class.

    Args:
        confusion: int64 [classes, classes], as `confusion_matrix` gives it.
        class_names: in the order of its rows.

    Returns:
        One dict a class: `label`, `support` (number of its images), `precision`, `recall`, `recall_ci95` (Wilson),
        `f1`. A figure that is not defined (nothing was taken for the class, or it has no images) is None.

    >>> per_class_scores(np.array([[3, 1], [0, 4]]), ("cat", "dog"))[0]["precision"]
    1.0
    """
    counts = ClassCounts.of(confusion)
    rows: list[dict[str, Any]] = []
    for label, name in enumerate(class_names):
        hits, support = int(counts.hits[label]), int(counts.support[label])
        rows.append(
            {
                "label": name,
                "support": support,
                "precision": defined(counts.precision[label]),
                "recall": defined(counts.recall[label]),
                "recall_ci95": list(wilson_interval(hits, support)) if support else None,
                "f1": defined(counts.f1[label]),
            }
        )
    return rows


def defined(value: Any) -> float | None:
    """A figure as JSON has it: None where it is not a number."""
    return None if np.isnan(value) else float(value)
