"""From files to a `Dataset`: one format a file. `read_dataset` recognises what lies at a path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eyebright.data.dataset import Dataset
from eyebright.data.readers.cifar_binary import read_cifar10_binary, read_cifar100_binary
from eyebright.data.readers.cifar_python import read_cifar10_python, read_cifar100_python
from eyebright.data.readers.files import cannot_read
from eyebright.data.readers.idx import is_idx_file, read_idx
from eyebright.data.readers.npz import read_npz
from eyebright.errors import DataError

__all__ = ["read_dataset", "read_idx", "read_npz"]

_SHOWN = 10  # of the names found, in a message


@dataclass(frozen=True)
class _Layout:
    """A kind of directory.

    Args:
        description: what the user is told of it.
        marks: whether a file of this name is a sign of it. One is enough, so that of a data set with a missing file
            it can be said which.
        read: its reader.
        usual_name: how the directory is named in the official archive; it is found in its parent as well.
    """

    description: str
    marks: Callable[[str], bool]
    read: Callable[[Path], Dataset]
    usual_name: str | None = None


_CIFAR10_BATCHES = {*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"}
_LAYOUTS = (
    _Layout(
        "CIFAR-10, binary version (data_batch_1.bin …, test_batch.bin, batches.meta.txt)",
        {f"{name}.bin" for name in _CIFAR10_BATCHES}.__contains__,
        read_cifar10_binary,
        "cifar-10-batches-bin",
    ),
    _Layout(
        "CIFAR-10, Python version (data_batch_1 …, test_batch, batches.meta)",
        _CIFAR10_BATCHES.__contains__,
        read_cifar10_python,
        "cifar-10-batches-py",
    ),
    _Layout(
        "CIFAR-100, binary version (train.bin, test.bin, fine_label_names.txt)",
        {"train.bin", "test.bin"}.__contains__,
        read_cifar100_binary,
        "cifar-100-binary",
    ),
    _Layout(
        "CIFAR-100, Python version (files train, test, meta)",
        {"train", "test"}.__contains__,
        read_cifar100_python,
        "cifar-100-python",
    ),
    _Layout("IDX (train-images-idx3-ubyte …, with or without .gz)", is_idx_file, read_idx),
)
_NPZ = "a file .npz (arrays images and labels, or x_train, y_train, x_test, y_test)"


def read_dataset(path: Path) -> Dataset:
    """Read the data set that lies at a path.

    Args:
        path: a directory, recognised by the files in it (or the parent of one of CIFAR's official directories), or a
            `.npz` file.

    Returns:
        Images in the order of the files; the splits are those that the data came with.

    Raises:
        DataError: nothing is there, it cannot be read, is not recognised, or is not what it should be.
    """
    try:
        if path.is_dir():
            return _read_directory(path)
        if path.suffix.lower() == ".npz" and path.exists():
            return read_npz(path)
        if path.exists():
            raise DataError(f"{path}: this file is not recognised. {_recognised()}")
    except OSError as error:
        raise cannot_read(path, error) from error
    except MemoryError as error:
        raise DataError(f"{path}: too large for this machine's memory.") from error
    raise DataError(f"{path}: nothing is there. Give a path, or a name that `eyebright datasets` lists.")


def _read_directory(directory: Path) -> Dataset:
    entries = sorted(directory.iterdir())
    # Files only: folders `train` and `test` are no pickles.
    files = [entry.name for entry in entries if not entry.is_dir()]
    candidates = [(layout, directory) for layout in _LAYOUTS if any(map(layout.marks, files))]
    if not candidates:
        below = ((layout, directory / layout.usual_name) for layout in _LAYOUTS if layout.usual_name)
        candidates = [(layout, place) for layout, place in below if place.is_dir()]
    if len(candidates) > 1:
        several = "; ".join(f"{layout.description} in {place}" for layout, place in candidates)
        raise DataError(f"{directory}: this could be several data sets: {several}. Give the directory of one alone.")
    if candidates:
        layout, place = candidates[0]
        return layout.read(place)
    names = [entry.name for entry in entries]
    found = ", ".join(names[:_SHOWN]) or "nothing"
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    folders = any(entry.is_dir() for entry in entries)
    hint = " Folders of pictures are not read yet: put the pictures into an .npz." if folders else ""
    raise DataError(f"{directory}: no data set is recognised in it (found: {found}{more}). {_recognised()}{hint}")


def _recognised() -> str:
    kinds = [f"a directory of {layout.description}" for layout in _LAYOUTS]
    return f"Recognised are: {'; '.join([*kinds, _NPZ])}."
