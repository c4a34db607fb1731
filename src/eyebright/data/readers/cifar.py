"""What the binary and the Python version of CIFAR-10 and CIFAR-100 have in common.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009. Images are 32×32 RGB; a file has all red
values of an image, then all green, then all blue, each row by row. Both versions of the same data give the same
`Dataset`, hence the same fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.data.dataset import Dataset
from eyebright.errors import DataError

SIDE = 32
PIXEL_BYTES = 3 * SIDE * SIDE


class Batch(NamedTuple):
    """One file's images.

    Args:
        path: where they come from, for messages.
        planes: uint8 [n, 3072], the red, green and blue plane of each image.
        labels: uint8 or int64 [n], checked to be in range.
    """

    path: Path
    planes: NDArray[np.uint8]
    labels: NDArray[np.integer]


@dataclass(frozen=True)
class Variant:
    """CIFAR-10 or CIFAR-100.

    Args:
        name: name of the `Dataset`.
        train, test: file names of the Python version; the binary version adds `.bin`.
        labels: the labels that each image has, in the order of the binary record, with the number of classes of
            each. The last one is what is learnt: for CIFAR-100 the fine label.
        official_images: number of images in each file of the official data set.
    """

    name: str
    train: tuple[str, ...]
    test: str
    labels: Mapping[str, int]
    official_images: Mapping[str, int]

    @property
    def classes(self) -> int:
        """How many classes there are to learn."""
        return list(self.labels.values())[-1]


_CIFAR10_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
CIFAR10 = Variant(
    name="cifar10",
    train=_CIFAR10_TRAIN,
    test="test_batch",
    labels={"labels": 10},
    official_images=dict.fromkeys((*_CIFAR10_TRAIN, "test_batch"), 10_000),
)
CIFAR100 = Variant(
    name="cifar100",
    train=("train",),
    test="test",
    labels={"coarse_labels": 20, "fine_labels": 100},
    official_images={"train": 50_000, "test": 10_000},
)


def assemble(variant: Variant, class_names: tuple[str, ...], batches: Sequence[Batch]) -> Dataset:
    """One `Dataset` from the batches.

    Args:
        variant: which data set it is.
        class_names: names in the order of the labels.
        batches: the training batches in their order, then the test batch.

    Returns:
        Images in the order of the files, training images first, with the splits "train" and "test".

    Raises:
        DataError: some batches have the official number of images and others have not.
    """
    _check_sizes(variant, batches)
    sizes = [len(batch.labels) for batch in batches]
    images = np.empty((sum(sizes), SIDE, SIDE, 3), np.uint8)
    labels = np.empty(sum(sizes), np.int32)
    start = 0
    for batch, size in zip(batches, sizes, strict=True):
        # [n, 3072] -> [n, 3, 32, 32] -> [n, 32, 32, 3], in one copy
        planes = batch.planes.reshape(size, 3, SIDE, SIDE)
        images[start : start + size] = planes.transpose(0, 2, 3, 1)
        labels[start : start + size] = batch.labels
        start += size
    in_training = start - sizes[-1]
    splits = {"train": np.arange(in_training), "test": np.arange(in_training, start)}
    return Dataset(images, labels, class_names, variant.name, splits)


def check_labels(path: Path, labels: NDArray[np.integer], classes: int, kind: str = "label") -> None:
    """Check that every label is a class.

    Raises:
        DataError: one is not. The message names the first such record.
    """
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if outside.size:
        first = int(outside[0])
        raise DataError(
            f"{path}: record {first:,} (the first is 0) has the {kind} {int(labels[first])}; they lie in "
            f"0 … {classes - 1} ({outside.size:,} of {labels.size:,} records do not). The file is damaged or of "
            "another format. Fetch it again."
        )


def _check_sizes(variant: Variant, batches: Sequence[Batch]) -> None:
    """Notice an official file that was cut between two records. Small sets of any size, made for tests, may pass."""
    official = [variant.official_images[batch.path.stem] for batch in batches]
    sizes = [len(batch.labels) for batch in batches]
    if not any(size == expected for size, expected in zip(sizes, official, strict=True)):
        return
    for batch, size, expected in zip(batches, sizes, official, strict=True):
        if size != expected:
            raise DataError(
                f"{batch.path}: it has {size:,} images where the official file has {expected:,}, as others here do. "
                "It was cut short, or data sets are mixed. Fetch it again."
            )
