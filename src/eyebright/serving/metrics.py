"""What Prometheus reads at `/metrics`."""

from __future__ import annotations

import os
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from eyebright.serving.model import ServedModel

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SHARED = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that makes several workers share what they count; prometheus_client's own."""

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_TENTHS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """All that is counted, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        of_model = ["model"]
        self.latency = Histogram(
            "eyebright_request_seconds",
            "From a request's head to the end of its answer.",
            ["method", "path"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.requests = Counter(
            "eyebright_requests", "Requests, by what they were answered.", ["method", "path", "status"],
            registry=self._registry,
        )  # fmt: skip
        self.batches = Histogram(
            "eyebright_batch_images", "Images that were computed at once.", of_model, buckets=_SIZES,
            registry=self._registry,
        )  # fmt: skip
        self.queue = Gauge(
            "eyebright_queue_images", "Images that are decoded, wait or are computed.",
            registry=self._registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.unreadable = Counter(
            "eyebright_unreadable_images", "Pictures that could not be read.", of_model, registry=self._registry
        )
        self.predictions = Counter(
            "eyebright_predictions", "Images, by their likeliest class.", ["model", "label"], registry=self._registry
        )
        self.confidence = Histogram(
            "eyebright_confidence", "Probability of the likeliest class of each image.", of_model, buckets=_TENTHS,
            registry=self._registry,
        )  # fmt: skip
        self.unlike = Counter(
            "eyebright_unlike_images", "Images unlike the training data.", of_model, registry=self._registry
        )
        self.abstained = Counter(
            "eyebright_abstained_images", "Images that no answer was given for.", of_model, registry=self._registry
        )
        self.drift = Gauge(
            "eyebright_drift_psi",
            "Population stability index of the last answers against the validation images'.",
            ["model", "of"],
            registry=self._registry,
            multiprocess_mode="livemax",
        )
        self.reloads = Counter(
            "eyebright_reloads", "Files that were loaded anew.", ["model", "outcome"], registry=self._registry
        )

    def batch_measure(self, name: str) -> Callable[[int], None]:
        """What counts a model's batches."""
        return self.batches.labels(name).observe

    def prepare(self, model: ServedModel) -> None:
        """Show a model's counters from the beginning, at 0; of one that takes another's place no drift yet."""
        if model.classifier.held_out is not None:
            for of in ("classes", "confidence"):
                self.drift.labels(model.name, of).set(0)
        for measure in (self.unreadable, self.confidence, self.unlike, self.abstained, self.batches):
            measure.labels(model.name)
        for label in model.class_names:
            self.predictions.labels(model.name, label)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it; of all workers together where there are several."""
        if SHARED not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
