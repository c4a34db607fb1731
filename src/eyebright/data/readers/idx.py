"""IDX files, the format of MNIST and its kin: a magic number, the sizes (big-endian), then the bytes.

A directory has `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-images-idx3-ubyte` and
`t10k-labels-idx1-ubyte` (or `.idx3-ubyte`), each as it is or compressed by gzip (`.gz`).
"""

from __future__ import annotations

import gzip
import io
import math
import re
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eyebright.data.dataset import Dataset
from eyebright.data.readers.files import cannot_read
from eyebright.errors import DataError

DIGITS = tuple("0123456789")

_FILE_NAME = re.compile(r"(train|t10k)-(images|labels)[-.]idx[13]-ubyte(\.gz)?")
_MAGIC = {"images": 0x00000803, "labels": 0x00000801}  # type 08: unsigned byte; 3 dimensions or 1
_READ_AT_ONCE = 1 << 20


def is_idx_file(name: str) -> bool:
    """Whether a file's name is that of one of the four.

    >>> is_idx_file("t10k-labels.idx1-ubyte.gz")
    True
    """
    return _FILE_NAME.fullmatch(name) is not None


def read_idx(directory: Path, *, name: str | None = None, class_names: tuple[str, ...] | None = None) -> Dataset:
    """Read MNIST or one of its kin.

    Args:
        directory: where the four files lie.
        name: what to call the data set; the directory's name if not given.
        class_names: names in the order of the labels; "0" … "9" if not given.

    Returns:
        Grey images uint8 [N, H, W, 1], training images first, with the splits "train" and "test".

    Raises:
        DataError: a file is missing, unreadable, of another format or size, damaged, or has a label out of range;
            or there are more or fewer labels than images.
    """
    class_names = class_names or DIGITS
    train_images, train_labels = _read_pair(directory, "train", class_names)
    test_images, test_labels = _read_pair(directory, "t10k", class_names)
    if train_images.shape[1:] != test_images.shape[1:]:
        raise DataError(
            f"{directory}: training images are {list(train_images.shape[1:])} pixels and test images "
            f"{list(test_images.shape[1:])}. Files of different data sets are mixed."
        )
    images = np.concatenate([train_images, test_images])[..., np.newaxis]  # [N, H, W] -> [N, H, W, 1]
    labels = np.concatenate([train_labels, test_labels]).astype(np.int32)
    n = len(train_labels)
    splits = {"train": np.arange(n), "test": np.arange(n, len(labels))}
    return Dataset(images, labels, class_names, name or directory.resolve().name, splits)


def _read_pair(directory: Path, part: str, class_names: tuple[str, ...]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    image_file, label_file = _find(directory, part, "images"), _find(directory, part, "labels")
    images, labels = _read_file(image_file, "images"), _read_file(label_file, "labels")
    if len(images) != len(labels):
        raise DataError(f"{label_file}: {len(labels):,} labels for the {len(images):,} images of {image_file.name}.")
    outside = np.flatnonzero(labels >= len(class_names))
    if outside.size:
        first = int(outside[0])
        raise DataError(
            f"{label_file}: image {first:,} (the first is 0) has the label {int(labels[first])}; they lie in 0 … "
            f"{len(class_names) - 1} ({outside.size:,} of {labels.size:,} do not). The file is damaged, or the data "
            "set has other classes."
        )
    return images, labels


def _find(directory: Path, part: str, content: str) -> Path:
    stem, dimensions = f"{part}-{content}", {"images": 3, "labels": 1}[content]
    for ending in (f"-idx{dimensions}-ubyte", f".idx{dimensions}-ubyte"):
        for compression in ("", ".gz"):
            path = directory / f"{stem}{ending}{compression}"
            if path.exists():
                return path
    raise DataError(f"{directory}: missing {stem}-idx{dimensions}-ubyte (or with .gz). Fetch it again, whole.")


def _read_file(path: Path, content: str) -> NDArray[np.uint8]:
    """Uint8 [N, H, W] of an image file, [N] of a label file."""
    if not path.is_file():
        raise DataError(f"{path}: this is no regular file.")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _read_array(file, path, content)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip file ({error}). Fetch it again.") from error
    except OSError as error:
        raise cannot_read(path, error) from error


def _read_array(file: io.BufferedIOBase, path: Path, content: str) -> NDArray[np.uint8]:
    magic = file.read(4)
    if magic != struct.pack(">I", _MAGIC[content]):
        raise DataError(
            f"{path}: wrong magic number {magic.hex() or '(empty file)'}; a file of {content} begins with "
            f"{_MAGIC[content]:08x}. It is damaged or another file."
        )
    dimensions = _MAGIC[content] & 0xFF
    header = file.read(4 * dimensions)
    if len(header) != 4 * dimensions:
        raise DataError(f"{path}: cut short within its header. Fetch it again.")
    shape = struct.unpack(f">{dimensions}I", header)
    expected = math.prod(shape)
    if not expected:
        raise DataError(f"{path}: empty: its header says {list(shape)}.")
    # One byte more than it should have is enough to know: whatever a small file unpacks to, it fills no memory.
    data = _read_at_most(file, expected + 1)
    if len(data) != expected:
        received = "more" if len(data) > expected else f"{len(data):,}"
        raise DataError(
            f"{path}: its header says {list(shape)}, which is {expected:,} bytes; it has {received}. It is damaged. "
            "Fetch it again."
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _read_at_most(file: io.BufferedIOBase, count: int) -> bytearray:
    """In pieces, so that a header that says far too much reserves no memory."""
    data = bytearray()
    while len(data) < count and (piece := file.read(min(_READ_AT_ONCE, count - len(data)))):
        data += piece
    return data
