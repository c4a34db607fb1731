"""The Python version of CIFAR-10 and CIFAR-100: pickles `data_batch_1` … or `train`, `test`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from eyebright.data.dataset import Dataset
from eyebright.data.readers.cifar import (
    CIFAR10,
    CIFAR100,
    PIXEL_BYTES,
    Batch,
    Variant,
    assemble,
    check_labels,
)
from eyebright.data.readers.files import read_bytes, require_files
from eyebright.data.readers.restricted_pickle import restricted_loads
from eyebright.errors import DataError


def read_cifar10_python(directory: Path) -> Dataset:
    """Read `cifar-10-batches-py`.

    Raises:
        DataError: a file is missing, unreadable, damaged, holds more than data, or has a label out of range.
    """
    return _read(directory, CIFAR10, "batches.meta", "label_names", "the Python version of CIFAR-10")


def read_cifar100_python(directory: Path) -> Dataset:
    """Read `cifar-100-python`, with the fine labels.

    Raises:
        DataError: a file is missing, unreadable, damaged, holds more than data, or has a label out of range.
    """
    return _read(directory, CIFAR100, "meta", "fine_label_names", "the Python version of CIFAR-100")


def _read(directory: Path, variant: Variant, names_file: str, names_key: str, kind: str) -> Dataset:
    files = [*variant.train, variant.test]
    require_files(directory, [*files, names_file], kind)
    class_names = _read_names(directory / names_file, names_key, variant.classes)
    return assemble(variant, class_names, [_read_batch(directory / file, variant) for file in files])


def _read_dict(path: Path) -> dict[str, Any]:
    content = restricted_loads(read_bytes(path), path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: it holds a {type(content).__name__}, not a dictionary. Fetch the official file.")
    # Python 2 wrote the keys as bytes; files that Python 3 wrote again may have text.
    return {key.decode("latin1") if isinstance(key, bytes) else str(key): value for key, value in content.items()}


def _read_names(path: Path, key: str, classes: int) -> tuple[str, ...]:
    names = _read_dict(path).get(key)
    if not isinstance(names, list) or not all(isinstance(name, bytes | str) for name in names):
        raise DataError(f"{path}: it has no list of class names {key!r}. Fetch the official file.")
    if len(names) != classes:
        raise DataError(f"{path}: {key!r} has {len(names)} class names where there must be {classes}.")
    return tuple(name.decode("latin1") if isinstance(name, bytes) else name for name in names)


def _read_batch(path: Path, variant: Variant) -> Batch:
    content = _read_dict(path)
    planes = content.get("data")
    if not isinstance(planes, np.ndarray) or planes.ndim != 2 or planes.shape[1] != PIXEL_BYTES:
        found = list(planes.shape) if isinstance(planes, np.ndarray) else type(planes).__name__
        raise DataError(f"{path}: 'data' must be uint8 [images, {PIXEL_BYTES:,}]; it is {found}.")
    if not len(planes):
        raise DataError(f"{path}: empty: 'data' has no images. Fetch the official file.")
    for key, classes in variant.labels.items():
        labels = content.get(key)
        if not isinstance(labels, list) or not all(type(label) is int for label in labels):
            raise DataError(f"{path}: it has no list of whole numbers {key!r}. Fetch the official file.")
        if len(labels) != len(planes):
            raise DataError(f"{path}: {key!r} has {len(labels):,} labels for {len(planes):,} images.")
        numbers = np.array(labels, np.int64)
        check_labels(path, numbers, classes, key.removesuffix("s").replace("_", " "))
    return Batch(path, planes, numbers)
