"""Small data sets written in each format, independently of the readers."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from eyebright.data.dataset import Dataset

CIFAR10_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR100_NAMES = tuple(f"fine_{number:02}" for number in range(100))


class Format(NamedTuple):
    """A way to write a data set; `write` returns the path to read."""

    write: Callable[[Path, Dataset], Path]
    dataset: Callable[[int, int, int], Dataset]  # (seed, training images, test images) -> a data set that fits


def labelled(
    seed: int, train: int, test: int, shape: tuple[int, int, int], class_names: tuple[str, ...], name: str
) -> Dataset:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (train + test, *shape), np.uint8)
    labels = generator.integers(0, len(class_names), train + test).astype(np.int32)
    labels[0] = len(class_names) - 1  # where no names are stored, the highest label says how many classes there are
    splits = {"train": np.arange(train), "test": np.arange(train, train + test)}
    return Dataset(images, labels, class_names, name, splits)


def parts(dataset: Dataset, training_files: int) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """(planes [n, 3072], labels [n]) of each training file, then of the test file."""
    planes = np.moveaxis(dataset.images, 3, 1).reshape(len(dataset), -1)
    indices = [*np.array_split(dataset.splits["train"], training_files), dataset.splits["test"]]
    return [(planes[part], dataset.labels[part]) for part in indices]


def write_cifar10_binary(directory: Path, dataset: Dataset) -> Path:
    for stem, (planes, labels) in zip(cifar10_stems(), parts(dataset, 5), strict=True):
        records = np.concatenate([labels[:, np.newaxis].astype(np.uint8), planes], axis=1)
        (directory / f"{stem}.bin").write_bytes(records.tobytes())
    (directory / "batches.meta.txt").write_text("".join(f"{name}\n" for name in dataset.class_names))
    return directory


def write_cifar100_binary(directory: Path, dataset: Dataset) -> Path:
    for stem, (planes, labels) in zip(("train", "test"), parts(dataset, 1), strict=True):
        both = np.stack([labels // 5, labels], axis=1).astype(np.uint8)  # coarse, fine
        (directory / f"{stem}.bin").write_bytes(np.concatenate([both, planes], axis=1).tobytes())
    (directory / "fine_label_names.txt").write_text("".join(f"{name}\n" for name in dataset.class_names))
    return directory


def write_cifar10_python(directory: Path, dataset: Dataset) -> Path:
    for stem, (planes, labels) in zip(cifar10_stems(), parts(dataset, 5), strict=True):
        batch = {
            b"batch_label": b"training batch 1 of 5",
            b"labels": labels.tolist(),
            b"data": planes,
            b"filenames": [f"leptodactylus_pentadactylus_s_{index:06}.png".encode() for index in range(len(labels))],
        }
        (directory / stem).write_bytes(python2_pickle(batch))
    names = [name.encode() for name in dataset.class_names]
    meta = {b"num_cases_per_batch": 10000, b"label_names": names, b"num_vis": 3072}
    (directory / "batches.meta").write_bytes(python2_pickle(meta))
    return directory


def write_cifar100_python(directory: Path, dataset: Dataset) -> Path:
    for stem, (planes, labels) in zip(("train", "test"), parts(dataset, 1), strict=True):
        batch = {
            b"filenames": [f"bos_taurus_s_{index:06}.png".encode() for index in range(len(labels))],
            b"batch_label": b"training batch 1 of 1",
            b"fine_labels": labels.tolist(),
            b"coarse_labels": (labels // 5).tolist(),
            b"data": planes,
        }
        (directory / stem).write_bytes(python2_pickle(batch))
    meta = {
        b"fine_label_names": [name.encode() for name in dataset.class_names],
        b"coarse_label_names": [f"coarse_{number}".encode() for number in range(20)],
    }
    (directory / "meta").write_bytes(python2_pickle(meta))
    return directory


def write_idx(directory: Path, dataset: Dataset, *, compressed: bool = False, separator: str = "-") -> Path:
    for part, split in (("train", "train"), ("t10k", "test")):
        indices = dataset.splits[split]
        for content, array in (("images", dataset.images[indices][..., 0]), ("labels", dataset.labels[indices])):
            name = f"{part}-{content}{separator}idx{array.ndim}-ubyte"
            data = idx_bytes(array)
            if compressed:
                (directory / f"{name}.gz").write_bytes(gzip.compress(data))
            else:
                (directory / name).write_bytes(data)
    return directory


def write_idx_gz(directory: Path, dataset: Dataset) -> Path:
    return write_idx(directory, dataset, compressed=True)


def write_npz(directory: Path, dataset: Dataset, save: Callable[..., None] = np.savez) -> Path:
    path = directory / f"{dataset.name}.npz"
    names = np.array(dataset.class_names)
    save(path, images=dataset.images, labels=dataset.labels, class_names=names, **dataset.splits)
    return path


def write_npz_compressed(directory: Path, dataset: Dataset) -> Path:
    return write_npz(directory, dataset, np.savez_compressed)


def write_npz_keras(directory: Path, dataset: Dataset) -> Path:
    train, test = dataset.splits["train"], dataset.splits["test"]
    path = directory / f"{dataset.name}.npz"
    np.savez_compressed(
        path,
        x_train=dataset.images[train][..., 0],
        y_train=dataset.labels[train].astype(np.uint8),
        x_test=dataset.images[test][..., 0],
        y_test=dataset.labels[test].astype(np.uint8)[:, np.newaxis],
    )
    return path


def idx_bytes(array: np.ndarray) -> bytes:
    header = struct.pack(f">{1 + array.ndim}I", 0x0800 | array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def cifar10_stems() -> list[str]:
    return [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


class Python2Pickler:
    """Protocol 2, instruction for instruction as the cPickle of Python 2 wrote CIFAR's files."""

    def __init__(self) -> None:
        self.output = bytearray(b"\x80\x02")
        self.memo = 0

    def write(self, value: Any) -> None:
        writers = {dict: self.dictionary, list: self.list, bytes: self.string, int: self.integer}
        writers.get(type(value), self.array)(value)

    def remember(self) -> None:
        self.memo += 1  # cPickle counts from 1
        self.output += b"q" + bytes([self.memo]) if self.memo < 256 else b"r" + struct.pack("<I", self.memo)

    def integer(self, number: int) -> None:
        if 0 <= number < 1 << 8:
            self.output += b"K" + bytes([number])
        elif 0 <= number < 1 << 16:
            self.output += b"M" + struct.pack("<H", number)
        else:
            self.output += b"J" + struct.pack("<i", number)

    def text(self, text: bytes) -> None:
        self.output += b"U" + bytes([len(text)]) if len(text) < 256 else b"T" + struct.pack("<i", len(text))
        self.output += text

    def string(self, text: bytes) -> None:
        self.text(text)
        self.remember()

    def list(self, values: list[Any]) -> None:
        self.output += b"]"
        self.remember()
        for start in range(0, len(values), 1000):
            self.output += b"("
            for value in values[start : start + 1000]:
                self.write(value)
            self.output += b"e"

    def dictionary(self, values: dict[Any, Any]) -> None:
        self.output += b"}"
        self.remember()
        self.output += b"("
        for key, value in values.items():
            self.write(key)
            self.write(value)
        self.output += b"u"

    def array(self, values: np.ndarray) -> None:
        for part in (
            b"cnumpy.core.multiarray\n_reconstruct\n",
            b"cnumpy\nndarray\n",
            b"K\x00\x85U\x01b\x87R",
        ):
            self.output += part
            self.remember()
        self.output += b"(K\x01"
        for size in values.shape:
            self.integer(size)
        self.output += bytes([0x84 + values.ndim])
        for part in (b"cnumpy\ndtype\n", b"U\x02u1K\x00K\x01\x87R"):
            self.output += part
            self.remember()
        self.output += b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        self.text(values.tobytes())
        self.output += b"tb"


def python2_pickle(value: Any) -> bytes:
    pickler = Python2Pickler()
    pickler.write(value)
    return bytes(pickler.output) + b"."


def _cifar10(seed: int, train: int, test: int) -> Dataset:
    return labelled(seed, train, test, (32, 32, 3), CIFAR10_NAMES, "cifar10")


def _cifar100(seed: int, train: int, test: int) -> Dataset:
    return labelled(seed, train, test, (32, 32, 3), CIFAR100_NAMES, "cifar100")


def _digits(seed: int, train: int, test: int) -> Dataset:
    return labelled(seed, train, test, (5, 4, 1), tuple("0123456789"), "digits")


def _named(seed: int, train: int, test: int) -> Dataset:
    return labelled(seed, train, test, (3, 5, 3), ("Apfel", "Öl", "梨"), "fruit")


FORMATS = {
    "cifar10-binary": Format(write_cifar10_binary, _cifar10),
    "cifar10-python": Format(write_cifar10_python, _cifar10),
    "cifar100-binary": Format(write_cifar100_binary, _cifar100),
    "cifar100-python": Format(write_cifar100_python, _cifar100),
    "idx": Format(write_idx, _digits),
    "idx-gz": Format(write_idx_gz, _digits),
    "npz": Format(write_npz, _named),
    "npz-compressed": Format(write_npz_compressed, _named),
    "npz-keras": Format(write_npz_keras, _digits),
}


@pytest.fixture(scope="session", params=FORMATS)
def file_format(request: pytest.FixtureRequest) -> Format:
    """Each format in turn."""
    return FORMATS[request.param]


@pytest.fixture(scope="session")
def formats() -> dict[str, Format]:
    """All formats by name."""
    return FORMATS


@pytest.fixture(scope="session")
def pickled() -> Callable[[Any], bytes]:
    """`python2_pickle`."""
    return python2_pickle


@pytest.fixture(scope="session")
def idx_content() -> Callable[[np.ndarray], bytes]:
    """`idx_bytes`."""
    return idx_bytes
