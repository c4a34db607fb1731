"""A classifier over labelled images: exact figures over all of them, with their intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.errors import DataError
from eyebright.metrics.intervals import wilson_interval
from eyebright.metrics.scores import confusion_matrix, log_loss, per_class_scores
from eyebright.settings import TestTimeAugmentation


@dataclass(frozen=True)
class Evaluation:
    """How good a classifier is on some labelled images.

    Attributes:
        class_names: in the order of the rows and columns below.
        n: number of images.
        accuracy: share of images whose own class came first, 0 … 1.
        accuracy_ci95: its 95% interval (Wilson).
        log_loss: mean cross-entropy, nats.
        confusion_matrix: int64 [classes, classes]; row: the image's class, column: what it was taken for.
        per_class: for each class its name, support, precision, recall (with its interval) and F1; None where a figure
            is not defined, as the recall of a class without images.
        tta: the views of each image that the classifier answered by.
    """

    class_names: tuple[str, ...]
    n: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    log_loss: float
    confusion_matrix: NDArray[np.int64]
    per_class: list[dict[str, Any]]
    tta: TestTimeAugmentation

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            "accuracy": self.accuracy,
            "accuracy_ci95": list(self.accuracy_ci95),
            "n": self.n,
            "log_loss": self.log_loss,
            "class_names": list(self.class_names),
            "per_class": self.per_class,
            "confusion_matrix": self.confusion_matrix.tolist(),
            "tta": self.tta,
        }


def evaluate(classifier: Classifier, dataset: Dataset, indices: NDArray[np.int64] | None = None) -> Evaluation:
    """Evaluate a classifier as it answers, over every image once, the last partial batch included.

    Args:
        classifier: whose classes are those of the data set, by name; their order may differ.
        dataset: labelled images of the classifier's size.
        indices: int64 [n], which of the images; None for all.

    Raises:
        DataError: other classes, or images of another size, or none.
    """
    chosen = np.arange(len(dataset)) if indices is None else indices
    if not len(chosen):
        raise DataError(f"{dataset.name}: there are no images to evaluate on.")
    labels = labels_as_the_classifier_counts(classifier, dataset)[chosen]  # [n]
    logits = classifier.logits(dataset.images, chosen)  # [n, classes]
    confusion = confusion_matrix(labels, logits)
    correct = int(confusion.trace())
    return Evaluation(
        class_names=classifier.class_names,
        n=len(labels),
        accuracy=correct / len(labels),
        accuracy_ci95=wilson_interval(correct, len(labels)),
        log_loss=log_loss(labels, logits),
        confusion_matrix=confusion,
        per_class=per_class_scores(confusion, classifier.class_names),
        tta=classifier.tta,
    )


def labels_as_the_classifier_counts(classifier: Classifier, dataset: Dataset) -> NDArray[np.int32]:
    """The data set's labels, int32 [N], as indices into the classifier's class names: matched by name, not by place."""
    unknown = set(dataset.class_names) ^ set(classifier.class_names)
    if unknown:
        name = sorted(unknown)[0]
        has, lacks = ("data", "classifier") if name in dataset.class_names else ("classifier", "data")
        raise DataError(
            f"{dataset.name}: its classes are not the classifier's: the {has} has {name!r}, the {lacks} does not "
            f"({len(dataset.class_names)} classes against {len(classifier.class_names)})."
        )
    places = np.array([classifier.class_names.index(name) for name in dataset.class_names], np.int32)
    return places[dataset.labels]
