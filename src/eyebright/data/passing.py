"""A data set on its way to another process: what is mapped from a file is mapped there again, not copied."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.data.dataset import Dataset


class Mapped(NamedTuple):
    """Where images lie in a file: uint8 [N, H, W, C] from a byte on."""

    file: str
    offset: int
    shape: tuple[int, ...]


def packed(dataset: Dataset) -> dict[str, Any]:
    """A data set as values that can be pickled, by name."""
    values = {one.name: getattr(dataset, one.name) for one in fields(dataset)}
    images = _mapping(dataset.images)
    return {**values, "splits": dict(dataset.splits), "images": dataset.images if images is None else images}


def unpacked(values: dict[str, Any]) -> Dataset:
    """The data set that was `packed`.

    Raises:
        OSError: the file that its images are mapped from is no longer there.
    """
    images = values["images"]
    if isinstance(images, Mapped):
        images = np.memmap(images.file, np.uint8, "r", images.offset, images.shape)
    return Dataset(**{**values, "images": images})


def _mapping(images: NDArray[np.uint8]) -> Mapped | None:
    """Where images are mapped from, or None where they are in memory."""
    root: Any = images
    while root is not None and not (isinstance(root, np.memmap) and not isinstance(root.base, np.memmap)):
        root = root.obj if isinstance(root, memoryview) else getattr(root, "base", None)
    if root is None or root.filename is None or not images.flags.c_contiguous:
        return None
    offset = root.offset + images.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    return Mapped(str(root.filename), offset, images.shape)
