"""Findings about shortcuts: what tells a class from the others without being what it shows.

For each signal (format, kind of pixels, size, length of the file, colour of the border) and each class it is measured
how well the signal alone tells the images of the class from all others. Border colours do so to some degree in honest
data, too (planes have blue ones): only what tells nearly all of them apart is a finding.

See Torralba and Efros, "Unbiased Look at Dataset Bias" (CVPR 2011), and Geirhos et al., "Shortcut learning in deep
neural networks" (Nature Machine Intelligence 2, 2020).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from eyebright.data.audit.embedding import images_at_once
from eyebright.data.audit.files import kind_of_pixels
from eyebright.data.audit.report import Finding
from eyebright.data.dataset import Dataset
from eyebright.data.pictures import PictureFile

_LEAST = 10  # images of a class, and of the others: of fewer, chance alone may make such a signal
_TELLS = 0.5  # share of a class's images with a value, less the share of the others': 0 by chance, 1 for certain
_RANKS = 0.99  # probability that an image of the class has more than another one: 0.5 by chance
_PLAIN = 12.0  # standard deviation of a border of one colour, in levels
_SHADES = 32  # levels that are one shade of a border
_COLOURS = ("red", "green", "blue")


def shortcut_findings(dataset: Dataset, files: Sequence[PictureFile]) -> list[Finding]:
    """A finding for each class that a signal gives away, the plainest signal alone.

    Args:
        dataset: the images.
        files: what they were like in their files, one an image; empty for data that came as arrays.
    """
    values: dict[str, list[Hashable]] = {}
    amounts: dict[str, NDArray[np.float64]] = {}
    if files:
        values["the file's format"] = [file.format for file in files]
        values["the kind of pixels"] = [kind_of_pixels(file) for file in files]
        values["the size"] = [f"{file.size[1]} × {file.size[0]}" for file in files]
        amounts["number of pixels"] = np.array([float(file.size[0] * file.size[1]) for file in files])
        amounts["bytes of the file"] = np.array([float(file.bytes) for file in files])
    border, variation = _borders(dataset)  # [N, C], [N]
    values["the colour of the border"] = list(map(_border_name, border, variation))
    grey = bool(np.all(border == border[:, :1]))
    for channel, colour in enumerate(("grey",) if grey else _COLOURS):
        amounts[f"level of {colour} in the border"] = border[:, channel]
    findings = []
    for label, name in enumerate(dataset.class_names):
        members = dataset.labels == label
        if min(members.sum(), (~members).sum()) < _LEAST:
            continue
        message = _telling_value(members, values) or _telling_amount(members, amounts)
        if message:
            paths = tuple(dataset.path(index) for index in np.flatnonzero(members).tolist())
            findings.append(Finding("shortcut", f"{name}: {message}", paths))
    return findings


def _telling_value(members: NDArray[np.bool_], values: dict[str, list[Hashable]]) -> str | None:
    """What a value gives away of the images of a class (bool [N]); None if nothing."""
    for signal, of_images in values.items():
        _, codes = np.unique(np.array(list(map(str, of_images))), return_inverse=True)
        inside = np.bincount(codes[members], minlength=codes.max() + 1) / members.sum()
        outside = np.bincount(codes[~members], minlength=codes.max() + 1) / (~members).sum()
        best = int((inside - outside).argmax())
        if inside[best] - outside[best] >= _TELLS:
            value = of_images[int(np.flatnonzero(codes == best)[0])]
            return (
                f"{signal} tells it from the others: {inside[best]:.0%} have {value}, and {outside[best]:.0%} of those"
            )
    return None


def _telling_amount(members: NDArray[np.bool_], amounts: dict[str, NDArray[np.float64]]) -> str | None:
    for signal, of_images in amounts.items():
        more = _probability_of_more(of_images, members)
        if max(more, 1 - more) >= _RANKS:
            word = "more" if more > 0.5 else "less"
            inside, outside = np.median(of_images[members]), np.median(of_images[~members])
            return (
                f"the {signal} tells it from the others: {word} in {max(more, 1 - more):.0%} of pairs "
                f"(medians {inside:,.0f} and {outside:,.0f})"
            )
    return None


def _probability_of_more(amounts: NDArray[np.float64], members: NDArray[np.bool_]) -> float:
    """That an image of the class has more than one of the others, ties counted half (the area under the ROC curve)."""
    _, places, counts = np.unique(amounts, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]  # the mean rank, from 1, of equal amounts
    inside, outside = int(members.sum()), int((~members).sum())
    return float((ranks[members].sum() - inside * (inside + 1) / 2) / (inside * outside))


def _borders(dataset: Dataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each image's outermost pixels the mean, float64 [N, C], and the largest standard deviation, float64 [N]."""
    colours, variation = np.empty((len(dataset), dataset.image_shape[2])), np.empty(len(dataset))
    at_once = images_at_once(dataset.images)
    for start in range(0, len(dataset), at_once):
        images = dataset.images[start : start + at_once]
        border = np.concatenate((images[:, 0], images[:, -1], images[:, :, 0], images[:, :, -1]), axis=1)
        colours[start : start + at_once] = border.mean(axis=1)
        variation[start : start + at_once] = border.std(axis=1).max(axis=-1)
    return colours, variation


def _border_name(colour: NDArray[np.float64], variation: float) -> str:
    """The shade of a border of one colour; all others, which are most of them, are alike."""
    if variation > _PLAIN:
        return "a border of several colours"
    shade = " ".join(f"{int(level // _SHADES * _SHADES)}" for level in colour)
    return f"a border of one colour near {shade}"
