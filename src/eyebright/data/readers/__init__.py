"""From files to a `Dataset`: one format a file. `read_arrays` recognises what lies at a path."""

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
from eyebright.data.readers.tables import TABLE_SUFFIXES
from eyebright.data.unpacking import is_archive
from eyebright.errors import DataError
from eyebright.paths import exists, is_directory

__all__ = ["is_picture_set", "read_arrays", "read_idx", "read_npz", "recognised"]


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
_PICTURES = "folders of pictures, a table of them (.csv, .tsv, .parquet), or an archive of either (.zip, .tar …)"
_NPZ = "a file .npz (arrays images and labels, or x_train, y_train, x_test, y_test)"


def read_arrays(path: Path, *, progress: bool = False) -> Dataset | None:
    """Read the data set of arrays of pixels, or of shards, that lies at a path.

    Args:
        path: a directory, recognised by the files in it (or the parent of one of CIFAR's official directories), or a
            `.npz` file.
        progress: whether the reading of shards shows a progress bar on standard error.

    Returns:
        Images in the order of the files; the splits are those that the data came with. None for what may be a set of
        pictures: another directory, a table or an archive.

    Raises:
        DataError: nothing is there, it cannot be read, is not recognised, or is not what it should be.
    """
    try:
        if path.is_dir():
            return _read_directory(path, progress=progress)
        if path.suffix.lower() == ".npz" and path.exists():
            return read_npz(path)
        if is_picture_set(path):
            return None
        if path.exists():
            raise DataError(f"{path}: this file is not recognised. {recognised()}")
    except OSError as error:
        raise cannot_read(path, error) from error
    except MemoryError as error:
        raise DataError(f"{path}: too large for this machine's memory.") from error
    raise DataError(f"{path}: nothing is there. Give a path, or a name that `eyebright datasets` lists.")


def _read_directory(directory: Path, *, progress: bool) -> Dataset | None:
    from eyebright.data.shards.reading import holds_shards, read_shards  # which are read as pictures are, a floor above

    if holds_shards(directory):
        return read_shards(directory, progress=progress)
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
    return None


def recognised() -> str:
    """What `load_dataset` reads, in a sentence."""
    shards = "a directory of shards (train-000000.tar …, index.json; eyebright shard writes them)"
    kinds = [shards, *(f"a directory of {layout.description.partition(' (')[0]}" for layout in _LAYOUTS)]
    return f"Recognised are: {'; '.join([_PICTURES, *kinds, _NPZ])}."


def is_picture_set(path: Path) -> bool:
    """Whether a path may be a set of pictures: a directory, a table or an archive."""
    return is_directory(path) or (exists(path) and (path.name.lower().endswith(TABLE_SUFFIXES) or is_archive(path)))
