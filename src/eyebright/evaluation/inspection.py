"""Where a classifier fails: its worst pictures, the classes that it mistakes for each other, the worst parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.data.decode import picture_size
from eyebright.data.grouping import units_of_images
from eyebright.errors import DataError
from eyebright.evaluation.evaluate import labels_as_the_classifier_counts
from eyebright.evaluation.nearest import Neighbour
from eyebright.evaluation.picture_grid import draw_grid, shortened
from eyebright.evaluation.slices import Slice, describe_worst, image_parts, slice_images
from eyebright.metrics.figures import accuracy_interval
from eyebright.metrics.intervals import share_interval
from eyebright.metrics.scores import confusion_matrix, log_losses

DEFAULT_TOP = 24
_MOST_PAIRS = 10
_SIDE = 112  # pixels of a drawn picture
_COLUMNS = 8
_NOTHING = np.full((1, 1), 255, np.uint8)  # a white picture


@dataclass(frozen=True)
class Answer:
    """What a classifier said of one image.

    Attributes:
        index: of the image in its data set.
        image: its path, or its place among all.
        label: the image's class.
        predicted: the class that came first.
        probability: of that class.
        loss: -ln of the probability of the image's own class, nats.
    """

    index: int
    image: str
    label: str
    predicted: str
    probability: float
    loss: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        names = ("image", "label", "predicted", "probability", "loss")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class ConfusedPair:
    """Images of one class that were taken for another.

    Attributes:
        label: the class of the images.
        predicted: what they were taken for.
        count: how many were.
        n: how many images the class has.
        share_ci95: 95% interval of count / n (`share_interval`).
    """

    label: str
    predicted: str
    count: int
    n: int
    share_ci95: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**vars(self), "share": self.count / self.n, "share_ci95": list(self.share_ci95)}


@dataclass(frozen=True)
class Inspection:
    """Where a classifier fails on some images.

    Attributes:
        n: number of images.
        accuracy: on all of them.
        accuracy_ci95: its 95% interval, as `evaluate` gives it.
        top_losses: the images with the largest loss, the worst first.
        confused_pairs: the most frequent confusions.
        slices: accuracy on parts of the images, the worst first.
    """

    n: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    top_losses: list[Answer]
    confused_pairs: list[ConfusedPair]
    slices: list[Slice]

    @property
    def worst_slice(self) -> str:
        """A sentence about the worst part of the images."""
        return describe_worst(self.slices, self.accuracy)

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            "n": self.n,
            "accuracy": self.accuracy,
            "accuracy_ci95": list(self.accuracy_ci95),
            "top_losses": [one.to_dict() for one in self.top_losses],
            "confused_pairs": [one.to_dict() for one in self.confused_pairs],
            "worst_slice": self.worst_slice,
            "slices": [one.to_dict() for one in self.slices],
        }


def inspect(
    classifier: Classifier,
    dataset: Dataset,
    indices: NDArray[np.int64],
    logits: NDArray[np.floating],
    top: int = DEFAULT_TOP,
) -> Inspection:
    """Find out where a classifier fails. No model is run.

    Args:
        classifier: whose answers these are; its classes are those of the data set, by name.
        dataset: labelled images.
        indices: int64 [n], which of them.
        logits: float [n, classes], the classifier's for these.
        top: how many of the worst images to name.

    Raises:
        DataError: other classes, or no images.
    """
    if not len(indices):
        raise DataError(f"{dataset.name}: there are no images to inspect.")
    labels = labels_as_the_classifier_counts(classifier, dataset)[indices]
    probabilities = classifier.calibration.probabilities(logits)  # [n, classes]
    right = probabilities.argmax(axis=1) == labels
    units = units_of_images(dataset, indices)
    return Inspection(
        n=len(indices),
        accuracy=float(right.mean()),
        accuracy_ci95=accuracy_interval(labels, right, units),
        top_losses=_top_losses(classifier, dataset, indices, probabilities, labels, top),
        confused_pairs=_confused_pairs(labels, probabilities, units, classifier.class_names),
        slices=slice_images(right, image_parts(dataset, indices, _file_sizes(dataset, indices)), units),
    )


def draw_top_losses(inspection: Inspection, dataset: Dataset, path: Path) -> None:
    """Draw the images with the largest losses, the worst first, as a PNG: own class, what it was taken for.

    Raises:
        StorageError: the PNG cannot be written.
    """
    answers = inspection.top_losses
    captions = [_lines(f"is {one.label}", f"said {one.predicted} {one.probability:.2f}") for one in answers]
    draw_grid(path, [dataset.images[one.index] for one in answers], captions, min(_COLUMNS, len(answers)), _SIDE)


def draw_nearest(
    answers: Sequence[Answer], nearest: Sequence[Sequence[Neighbour]], dataset: Dataset, path: Path
) -> None:
    """Draw a row for each image: the image, then the training images nearest to it, as a PNG.

    Args:
        answers: what the classifier said of the images.
        nearest: to each of them.
        dataset: which all of them are of.
        path: of the PNG.

    Raises:
        StorageError: the PNG cannot be written.
    """
    columns = 1 + max(len(neighbours) for neighbours in nearest)
    pictures: list[NDArray[np.uint8]] = []
    captions: list[str] = []
    for answer, neighbours in zip(answers, nearest, strict=True):
        pictures += [dataset.images[answer.index], *(dataset.images[one.index] for one in neighbours)]
        captions.append(_lines(f"is {answer.label}", f"said {answer.predicted} {answer.probability:.2f}"))
        captions += [_lines(f"learnt as {one.label}", f"similarity {one.similarity:.2f}") for one in neighbours]
        missing = columns - 1 - len(neighbours)  # where there are hardly any training images
        pictures += [_NOTHING] * missing
        captions += [""] * missing
    draw_grid(path, pictures, captions, columns, _SIDE)


def _top_losses(
    classifier: Classifier,
    dataset: Dataset,
    indices: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    labels: NDArray[np.int32],
    top: int,
) -> list[Answer]:
    losses = log_losses(labels, probabilities)
    names = classifier.class_names
    answers = []
    for place in np.argsort(-losses, kind="stable")[:top].tolist():
        predicted = int(probabilities[place].argmax())
        index = int(indices[place])
        label, said = names[labels[place]], names[predicted]
        probability = float(probabilities[place, predicted])
        answers.append(Answer(index, dataset.path(index), label, said, probability, float(losses[place])))
    return answers


def _confused_pairs(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.floating],
    units: NDArray[np.int64] | None,
    names: Sequence[str],
) -> list[ConfusedPair]:
    wrong = confusion_matrix(labels, probabilities)
    np.fill_diagonal(wrong, 0)
    answers = probabilities.argmax(axis=1)
    pairs = []
    for place in np.argsort(-wrong, axis=None, kind="stable")[:_MOST_PAIRS].tolist():
        label, predicted = divmod(place, len(names))
        of_class = labels == label
        if count := int(wrong[label, predicted]):
            share = share_interval(answers[of_class] == predicted, None if units is None else units[of_class])
            pairs.append(ConfusedPair(names[label], names[predicted], count, int(of_class.sum()), share))
    return pairs


def _file_sizes(dataset: Dataset, indices: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Height and width that images have in their files, int64 [n, 2]; None unless all files are there."""
    if not dataset.paths:
        return None
    source = Path(dataset.source)
    root = source if source.is_dir() else source.parent
    sizes = [picture_size(root / dataset.paths[index]) for index in indices.tolist()]
    return None if None in sizes else np.array(sizes, np.int64)


def _lines(*texts: str) -> str:
    return "\n".join(shortened(text, _SIDE) for text in texts)
