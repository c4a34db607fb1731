"""How far accuracy falls when pictures are worse than those that a classifier was trained on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.data.grouping import units_of_images
from eyebright.data.progress import shown
from eyebright.errors import DataError, MissingExtraError, SettingsError
from eyebright.evaluation.corruptions import CORRUPTIONS, STRENGTHS, corrupt
from eyebright.evaluation.evaluate import labels_as_the_classifier_counts
from eyebright.metrics.intervals import grouped_variance, share_interval
from eyebright.randomness import Stream, permutation
from eyebright.storage import write_file

DEFAULT_IMAGES = 1000
_SUBSET = 0  # the step of `Stream.CORRUPTION` that chooses images
_AT_ONCE = 250  # images between two movements of the bar
_COLUMNS = 4  # panels of the chart


class Share(NamedTuple):
    """An accuracy, 0 … 1, and its 95% interval (`share_interval`, but for a mean)."""

    accuracy: float
    accuracy_ci95: tuple[float, float]


@dataclass(frozen=True)
class Robustness:
    """Accuracy on images as they are and under each change of them.

    Attributes:
        n: number of images, the same ones throughout.
        clean: as they are.
        corrupted: by kind (of `CORRUPTIONS`), for the strengths 1 … 5.
        mean: over all kinds and strengths; its interval is that of a mean over images (normal approximation), or over
            the groups in which they come, since the answers to one image's changes go together.
        seed: of the choice of images and of what was drawn.
    """

    n: int
    clean: Share
    corrupted: dict[str, tuple[Share, ...]]
    mean: Share
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {
            "n": self.n,
            "seed": self.seed,
            **_as_json(self.clean),
            "mean_corrupted": _as_json(self.mean),
            "corrupted": {
                kind: [
                    {"strength": strength, **_as_json(share)} for strength, share in zip(STRENGTHS, row, strict=True)
                ]
                for kind, row in self.corrupted.items()
            },
        }


def robustness(
    classifier: Classifier,
    dataset: Dataset,
    indices: NDArray[np.int64] | None = None,
    images: int = DEFAULT_IMAGES,
    seed: int = 0,
    *,
    progress: bool = False,
) -> Robustness:
    """Measure a classifier, as it answers, on images that are changed in the way of CIFAR-10-C.

    Args:
        classifier: whose classes are those of the data set, by name.
        dataset: labelled images of the classifier's size.
        indices: int64 [n], which of the images; None for all.
        images: at most so many of these, chosen by the seed.
        seed: of that choice, and of what is drawn.
        progress: whether to show a progress bar on standard error.

    Raises:
        DataError: other classes, or images of another size, or none.
        SettingsError: fewer than one image is asked for.
    """
    if images < 1:
        raise SettingsError(f"--images {images}: it must be at least 1.")
    chosen = np.arange(len(dataset)) if indices is None else indices
    if not len(chosen):
        raise DataError(f"{dataset.name}: there are no images to evaluate on.")
    chosen = np.sort(chosen[permutation(seed, Stream.CORRUPTION, _SUBSET, len(chosen))[:images]])
    labels = labels_as_the_classifier_counts(classifier, dataset)[chosen]
    pictures = dataset.images[chosen]
    clean = classifier.predict(pictures).argmax(axis=1) == labels
    cells = [(kind, strength) for kind in CORRUPTIONS for strength in STRENGTHS]
    correct = np.zeros((len(cells), len(chosen)), bool)
    steps = shown(
        _steps(len(cells), len(chosen)), "Robustness", correct.size, lambda step: len(step[1]), progress=progress
    )
    for cell, some in steps:
        kind, strength = cells[cell]
        changed = np.stack([corrupt(pictures[place], kind, strength, seed) for place in some])
        correct[cell, some] = classifier.predict(changed).argmax(axis=1) == labels[some]
    rows = correct.reshape(len(CORRUPTIONS), len(STRENGTHS), -1)
    units = units_of_images(dataset, chosen)
    corrupted = {kind: tuple(_share(one, units) for one in row) for kind, row in zip(CORRUPTIONS, rows, strict=True)}
    return Robustness(len(chosen), _share(clean, units), corrupted, _mean(correct.mean(axis=0), units), seed)


def draw_robustness(result: Robustness, path: Path) -> None:
    """Draw accuracy over strengths, a panel a kind, with its 95% intervals, as a PNG.

    Raises:
        StorageError: the PNG cannot be written.
    """
    try:
        from matplotlib.figure import Figure  # not pyplot: no window system, no global state
    except ImportError as error:
        raise MissingExtraError("Drawing", "train") from error

    figure = Figure(figsize=(11, 5.5), layout="constrained")
    panels = figure.subplots(-(-len(result.corrupted) // _COLUMNS), _COLUMNS, sharex=True, sharey=True)
    for panel, (kind, row) in zip(panels.flat, result.corrupted.items(), strict=True):
        shares = [result.clean, *row]
        strengths = [0, *STRENGTHS]
        panel.plot(strengths, [share.accuracy for share in shares], marker="o", markersize=4)
        low, high = zip(*(share.accuracy_ci95 for share in shares), strict=True)
        panel.fill_between(strengths, low, high, alpha=0.2)
        panel.set(title=kind, xticks=strengths, ylim=(0, 1))
        panel.grid(alpha=0.3)
    figure.supxlabel(f"strength (0: as the images are); bands: 95% intervals, {result.n:,} images")
    figure.supylabel("accuracy")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    write_file(path, picture.getvalue())


def _steps(cells: int, images: int) -> Iterator[tuple[int, NDArray[np.int64]]]:
    for cell in range(cells):
        for start in range(0, images, _AT_ONCE):
            yield cell, np.arange(start, min(images, start + _AT_ONCE))


def _share(correct: NDArray[np.bool_], units: NDArray[np.int64] | None) -> Share:
    return Share(float(correct.mean()), share_interval(correct, units))


def _mean(of_images: NDArray[np.float64], units: NDArray[np.int64] | None) -> Share:
    """The mean of each image's share of right answers [n]."""
    mean = float(of_images.mean())
    variance = grouped_variance(of_images, units)
    spread = 1.0 if variance is None else 1.96 * variance**0.5
    return Share(mean, (max(0.0, mean - spread), min(1.0, mean + spread)))


def _as_json(share: Share) -> dict[str, Any]:
    return {"accuracy": share.accuracy, "accuracy_ci95": list(share.accuracy_ci95)}
