"""Parts of the images on which a classifier may be worse than on the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.data.dataset import Dataset
from eyebright.metrics.intervals import share_interval

FEWEST_IMAGES = 20  # of a slice; of fewer, nearly any accuracy is possible
_BINS = ("lowest", "second", "third", "highest")  # quarters
_GREY = np.array([0.299, 0.587, 0.114])  # ITU-R 601


@dataclass(frozen=True)
class Slice:
    """Accuracy on a part of the images.

    Attributes:
        attribute: what the images have in common, for example "brightness".
        name: which ones, for example "12 to 57 (lowest quarter)".
        n: number of images.
        accuracy: on them, 0 … 1.
        interval: of it, 95% for all slices together: `share_interval` of confidence 1 - 0.05 / m, m being the number
            of slices that were looked at (Bonferroni). Among many slices one is always bad by chance; with this the
            chance that any interval misses its accuracy is 5% at most.
    """

    attribute: str
    name: str
    n: int
    accuracy: float
    interval: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "attribute": self.attribute,
            "slice": self.name,
            "n": self.n,
            "accuracy": self.accuracy,
            "accuracy_ci95_corrected": list(self.interval),
        }


def slice_images(
    correct: NDArray[np.bool_],
    parts: Mapping[str, Mapping[str, NDArray[np.bool_]]],
    units: NDArray[np.int64] | None = None,
) -> list[Slice]:
    """Accuracy on each part of the images that has at least 20 of them, the worst first.

    Args:
        correct: bool [n], whether each image's own class came first.
        parts: by attribute and name, bool [n], which images are in the part.
        units: int64 [n], the group of each image; None where each stands for itself. A part that is a group is taken
            for what it is, that many images: it says nothing of other groups.

    Returns:
        The slices, ordered by the upper end of their interval: the first is the one that is bad beyond chance, if any
        is.
    """
    kept = [
        (attribute, name, members)
        for attribute, of_attribute in parts.items()
        for name, members in of_attribute.items()
        if FEWEST_IMAGES <= members.sum() < len(correct)
    ]
    confidence = 1 - 0.05 / max(1, len(kept))
    slices = []
    for attribute, name, members in kept:
        own = correct[members]
        groups = None if units is None or attribute == "group" else units[members]
        interval = share_interval(own, groups, confidence)
        slices.append(Slice(attribute, name, len(own), float(own.mean()), interval))
    return sorted(slices, key=lambda one: one.interval[1])


def describe_worst(slices: list[Slice], accuracy: float) -> str:
    """A sentence that names the worst slice, and says whether it is worse than chance alone would make one.

    Args:
        slices: as `slice_images` gives them.
        accuracy: on all images.
    """
    if not slices:
        return f"No part of the images that has {FEWEST_IMAGES} of them could be looked at by itself."
    worst = slices[0]
    low, high = worst.interval
    figures = (
        f"accuracy {worst.accuracy:.3f} ({low:.3f} to {high:.3f}, corrected for {len(slices)} slices) on {worst.n:,}"
    )
    where = f"{worst.attribute} {worst.name}: {figures} images"
    if high < accuracy:
        return f"The worst slice is {where}, against {accuracy:.3f} on all: worse beyond chance."
    return f"No slice is worse than all images ({accuracy:.3f}) beyond chance. The lowest is {where}."


def image_parts(
    dataset: Dataset, indices: NDArray[np.int64], sizes: NDArray[np.int64] | None = None
) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Images in parts: by class, brightness, contrast, sharpness, group, and the size that they have in their files.

    Brightness is the mean of the grey values, contrast their standard deviation, sharpness the mean difference between
    neighbours in relation to the contrast. Where a number is what they differ in, the parts are quarters of the images.

    Args:
        dataset: labelled images.
        indices: int64 [n], which of them.
        sizes: int64 [n, 2], height and width in the files; None where they are not known.

    Returns:
        By attribute and name, bool [n].
    """
    labels = dataset.labels[indices]
    parts = {"class": {name: labels == label for label, name in enumerate(dataset.class_names)}}
    for attribute, values in _figures(dataset.images, indices).items():
        parts[attribute] = _quarters(values)
    if sizes is not None:
        parts["size in pixels"] = _quarters(np.sqrt(sizes.prod(axis=1)))
    if dataset.groups is not None:
        groups = dataset.groups[indices]
        numbers, first = np.unique(groups, return_index=True)
        parts["group"] = {
            f"of {dataset.path(int(indices[place]))}": groups == number
            for number, place in zip(numbers.tolist(), first.tolist(), strict=True)
            if number >= 0
        }
    return parts


def _figures(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Brightness, contrast and sharpness of images, float64 [n] each, 0 … 255 but for the last."""
    rows = np.empty((len(indices), 3))
    for place, index in enumerate(indices.tolist()):  # one by one: no copy of all pixels as floats
        image = images[index].astype(np.float64)
        grey = image @ _GREY if image.shape[-1] == 3 else image[..., 0]
        contrast = grey.std()
        edges = np.concatenate([np.abs(np.diff(grey, axis=axis)).ravel() for axis in (0, 1)])
        rows[place] = grey.mean(), contrast, edges.mean() / contrast if contrast and edges.size else 0.0
    return dict(zip(("brightness", "contrast", "sharpness"), rows.T, strict=True))


def _quarters(values: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
    """Quarters of the images by a number of each; equal numbers stay together, so that there may be fewer parts."""
    edges = np.unique(np.quantile(values, (0.25, 0.5, 0.75)))
    place = np.searchsorted(edges, values, side="left")  # [n], 0 … len(edges)
    found = np.unique(place)
    names = (
        _BINS if len(found) == len(_BINS) else [f"part {number + 1} of {len(found)}" for number in range(len(found))]
    )
    parts = {}
    for name, number in zip(names, found.tolist(), strict=True):
        own = values[place == number]
        what = f"{name} quarter" if names is _BINS else name
        parts[f"{own.min():.3g} to {own.max():.3g} ({what})"] = place == number
    return parts
