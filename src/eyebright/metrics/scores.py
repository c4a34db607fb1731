"""How good predictions are. NumPy in, numbers out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    rows: list[dict[str, Any]] = []
    for name, hits, support, taken in zip(
        class_names, confusion.diagonal().tolist(), confusion.sum(1).tolist(), confusion.sum(0).tolist(), strict=True
    ):
        rows.append(
            {
                "label": name,
                "support": support,
                "precision": hits / taken if taken else None,
                "recall": hits / support if support else None,
                "recall_ci95": list(wilson_interval(hits, support)) if support else None,
                "f1": 2 * hits / (support + taken) if support + taken else None,
            }
        )
    return rows
