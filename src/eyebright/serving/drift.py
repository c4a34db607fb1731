"""Whether what a server is asked still looks like the validation images, by what it answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eyebright.serving.batching import Answer
from eyebright.serving.metrics import Metrics
from eyebright.serving.model import ServedModel

_WINDOW = 1000  # answers that are compared
_FEWEST = 100  # below which chance alone would look like drift
_EVERY = 50  # answers, the gauge is brought up to date
_BINS = 10  # of confidence, of equal mass on the validation images


class Drift:
    """Compares the last answers of each model with those to the validation images that are saved with it.

    The figure is the population stability index, Σ (p − q) · ln(p / q) over classes, or over tenths of confidence. By
    custom a value under 0.1 is called stable, one above 0.25 a shift. Each share is taken with one more image of every
    class, so that none is zero.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._windows: dict[str, _Window] = {}

    def add(self, model: ServedModel, answers: Sequence[Answer]) -> None:
        """Take some answers into account; a classifier that has no answers to validation images has no figure."""
        window = self._windows.get(model.name)
        if window is None or window.model is not model:  # loaded anew: other classes, perhaps
            window = self._windows[model.name] = _Window(model)
        for answer in answers:
            row = answer.probabilities
            window.last.append((int(row.argmax()), float(row.max())))
        window.new += len(answers)
        if window.reference is None or window.new < _EVERY or len(window.last) < _FEWEST:
            return
        window.new = 0
        for of, value in window.indices().items():
            self._metrics.drift.labels(model.name, of).set(value)


class _Window:
    """The last answers of a model, and the shares of classes and of confidences that validation lets expect."""

    def __init__(self, model: ServedModel) -> None:
        self.model = model
        self.last: deque[tuple[int, float]] = deque(maxlen=_WINDOW)
        self.new = 0
        self.reference: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        held_out = model.classifier.held_out
        if held_out is not None and len(held_out.labels):
            probabilities = model.classifier.calibration.probabilities(held_out.logits)
            confidences = probabilities.max(axis=1)
            self._edges = np.quantile(confidences, np.arange(1, _BINS) / _BINS)
            self.reference = self._counts(probabilities.argmax(axis=1), confidences)

    def indices(self) -> dict[str, float]:
        """The two figures."""
        assert self.reference is not None  # noqa: S101 - the caller has looked
        classes, confidences = zip(*self.last, strict=True)
        seen = self._counts(np.array(classes), np.array(confidences))
        of_classes, of_confidence = (stability_index(*pair) for pair in zip(seen, self.reference, strict=True))
        return {"classes": of_classes, "confidence": of_confidence}

    def _counts(
        self, classes: NDArray[np.int64], confidences: NDArray[np.floating]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        bins = np.searchsorted(self._edges, confidences, side="right")
        return np.bincount(classes, minlength=len(self.model.class_names)), np.bincount(bins, minlength=_BINS)


def stability_index(counts: NDArray[np.int64], reference: NDArray[np.int64]) -> float:
    """The population stability index of counts against others of the same kinds, at least 0.

    >>> round(stability_index(np.array([50, 50]), np.array([500, 500])), 3)
    0.0
    >>> round(stability_index(np.array([90, 10]), np.array([500, 500])), 2)
    0.83
    """
    p, q = (counts + 1) / (counts + 1).sum(), (reference + 1) / (reference + 1).sum()
    return float(((p - q) * np.log(p / q)).sum())
