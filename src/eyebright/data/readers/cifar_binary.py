"""The binary version of CIFAR-10 and CIFAR-100: `data_batch_1.bin` … or `train.bin`, `test.bin`.

A file is a row of records: a label byte (CIFAR-100: a coarse one, then a fine one) and 3,072 pixel bytes. The
official files have 10,000 records (CIFAR-100's `train.bin` 50,000); any whole number from 1 on is read.
"""

from __future__ import annotations

from pathlib import Path

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
from eyebright.errors import DataError


def read_cifar10_binary(directory: Path) -> Dataset:
    """Read `cifar-10-batches-bin`.

    Raises:
        DataError: a file is missing, unreadable, cut short, too long, empty, or has a label out of range.
    """
    return _read(directory, CIFAR10, "batches.meta.txt", "the binary version of CIFAR-10")


def read_cifar100_binary(directory: Path) -> Dataset:
    """Read `cifar-100-binary`, with the fine labels.

    Raises:
        DataError: a file is missing, unreadable, cut short, too long, empty, or has a label out of range.
    """
    return _read(directory, CIFAR100, "fine_label_names.txt", "the binary version of CIFAR-100")


def _read(directory: Path, variant: Variant, names_file: str, kind: str) -> Dataset:
    files = [f"{stem}.bin" for stem in (*variant.train, variant.test)]
    require_files(directory, [*files, names_file], kind)
    class_names = _read_names(directory / names_file, variant.classes)
    return assemble(variant, class_names, [_read_batch(directory / file, variant) for file in files])


def _read_names(path: Path, classes: int) -> tuple[str, ...]:
    """One name a line. The last line must be ended, as a file that was cut short would give a wrong name."""
    try:
        text = read_bytes(path).decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: these are no class names in UTF-8. Fetch the file again.") from error
    names = tuple(line.strip() for line in text.splitlines() if line.strip())
    if len(names) != classes or not text.endswith("\n"):
        ended = "" if text.endswith("\n") else ", and the last line is not ended"
        raise DataError(
            f"{path}: {len(names)} class names where there must be {classes}, one a line{ended}. Fetch the file again."
        )
    return names


def _read_batch(path: Path, variant: Variant) -> Batch:
    content = read_bytes(path)
    label_bytes = len(variant.labels)
    record_bytes = label_bytes + PIXEL_BYTES
    records, rest = divmod(len(content), record_bytes)
    if not content:
        raise DataError(f"{path}: empty (0 bytes); a batch has records of {record_bytes:,} bytes. Fetch it again.")
    if rest:
        raise DataError(
            f"{path}: its {len(content):,} bytes are no whole number of records of {record_bytes:,} bytes "
            f"({records:,} records and {rest:,} bytes). It was cut short or added to. Fetch it again."
        )
    rows = np.frombuffer(content, np.uint8).reshape(records, record_bytes)
    for column, (key, classes) in enumerate(variant.labels.items()):
        check_labels(path, rows[:, column], classes, key.removesuffix("s").replace("_", " "))
    return Batch(path, rows[:, label_bytes:], rows[:, label_bytes - 1])
