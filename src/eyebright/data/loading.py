"""`load_dataset`: from a name of the catalogue, or a path, to a `Dataset`."""

from __future__ import annotations

import difflib
import importlib.util
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from eyebright.data.catalog import CATALOG, DIGITS, CatalogEntry
from eyebright.data.dataset import Dataset
from eyebright.data.grouping import same_pixels_together
from eyebright.data.listing import read_exclusions
from eyebright.errors import DataError, MissingExtraError, SettingsError, suggestion
from eyebright.paths import expanded, is_url
from eyebright.picture_options import PictureOptions

ENVIRONMENT_VARIABLE = "EYEBRIGHT_DATA"


def load_dataset(
    data: str | Path,
    *,
    options: PictureOptions | None = None,
    data_dir: Path | None = None,
    progress: bool = False,
) -> Dataset:
    """Load a data set of the catalogue, or one that lies somewhere.

    A data set of the catalogue is downloaded at its first use, verified, and kept in the data directory. One that was
    put there by hand, in any form that is recognised, is used as it is.

    Images of the same pixels come as a group, so that no split parts them.

    Its `source` is the absolute path that was read; for data of the catalogue `<name>:<data directory>`, or the name
    alone where nothing lies in the data directory.

    Args:
        data: a name of the catalogue (`eyebright datasets` lists them), a path, or the URL of shards. A name wins over
            a file or directory of the same name; "./digits", or a `Path`, means the latter.
        options: how pictures are read; data that come as arrays of pixels take none but `exclude`.
        data_dir: the data directory; by default what EYEBRIGHT_DATA says, or else the user's data directory.
        progress: whether a download, or the reading of pictures, shows a progress bar on standard error.

    Raises:
        DataError: no such name and no such path, or data that cannot be read.
        SettingsError: options of pictures for data that are none.
        DownloadError: a download failed.
        MissingExtraError: what the data set needs is not installed.

    >>> digits = load_dataset("digits")
    >>> digits.images.shape, digits.images.max(), digits.splits
    ((1797, 8, 8, 1), np.uint8(255), mappingproxy({}))
    """
    options = options or PictureOptions.model_validate({})
    if isinstance(data, str) and data in CATALOG:
        entry = _load_entry(CATALOG[data], data_directory(data_dir), progress=progress)
        return same_pixels_together(_of_arrays(entry, options))
    if isinstance(data, str) and is_url(data):
        from eyebright.data.shards.reading import read_shards

        of_shards = _of_arrays(read_shards(data, progress=progress), options)
        return same_pixels_together(replace(of_shards, source=data))
    path = expanded(data)
    if not os.path.lexists(path):
        if isinstance(data, Path):
            raise DataError(f"{path}: nothing is there. (A Path means a file; the catalogue's names are strings.)")
        near = suggestion(data.lower(), [*CATALOG, *_beside(path)])
        raise DataError(f"{data!r} is neither the name of a data set nor a path that exists.{near}")
    from eyebright.data.picture_sets import read_pictures
    from eyebright.data.readers import read_arrays

    dataset = read_arrays(path, progress=progress)
    dataset = read_pictures(path, options, progress=progress) if dataset is None else _of_arrays(dataset, options)
    return same_pixels_together(replace(dataset, source=str(path.resolve())))


def _beside(path: Path) -> list[str]:
    """What lies where a path that does not exist would, if its name resembles that: what may have been meant."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return []
    return [str(path.with_name(name)) for name in difflib.get_close_matches(path.name, names)]


def _of_arrays(dataset: Dataset, options: PictureOptions) -> Dataset:
    given = [name for name in options.given if name != "exclude"]
    if given:
        raise SettingsError(
            f"--{given[0].replace('_', '-')}: is for picture files; {dataset.name} comes as pixels of one size."
        )
    if options.exclude is None:
        return dataset
    excluded = set(read_exclusions(Path(options.exclude)))
    kept = np.array([dataset.path(index) not in excluded for index in range(len(dataset))])
    note = f"{(~kept).sum():,} images left out by {options.exclude}."
    return replace(dataset.subset(np.flatnonzero(kept)), notes=(*dataset.notes, note))


def data_directory(data_dir: Path | None = None) -> Path:
    """Where data sets of the catalogue are kept.

    Args:
        data_dir: what the user asked for; None for what EYEBRIGHT_DATA says, or else the user's data directory.
    """
    if data_dir is not None:
        return expanded(data_dir)  # "~" is as it is where the command line took it from EYEBRIGHT_DATA
    if from_environment := os.environ.get(ENVIRONMENT_VARIABLE):
        return expanded(from_environment)
    import platformdirs

    return Path(platformdirs.user_data_dir("eyebright"))


def _load_entry(entry: CatalogEntry, data_dir: Path, *, progress: bool) -> Dataset:
    if entry.name == DIGITS:
        return _digits(entry)
    path = entry.found_in(data_dir)
    if path is None:
        from eyebright.data.download import fetch

        fetch(entry, data_dir, progress=progress)
        path = entry.found_in(data_dir) or entry.directory(data_dir)
    from eyebright.data.readers import read_arrays

    dataset = read_arrays(path)
    if dataset is None:
        raise DataError(f"{path}: this is not {entry.name}. Remove it to have the right one downloaded.")
    return replace(_checked(entry, dataset, path), source=f"{entry.name}:{data_dir.resolve()}")


def _digits(entry: CatalogEntry) -> Dataset:
    """Scikit-learn's digits. It came without a test split.

    Their pixels have 17 levels, 0 … 16; level p becomes round(255 · p / 16), so that black and white are those of
    every other picture. No two levels fall together: nothing is lost.
    """
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError(f"The data set {entry.name!r}", "train")
    path = Path(package.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    if path.is_file():  # the import of scikit-learn takes ten times as long as all that is done here
        table = np.loadtxt(path, delimiter=",")  # [1797, 65]: 64 pixels, and the label
        levels, labels = table[:, :-1], table[:, -1]
    else:  # a version that has them elsewhere
        from sklearn.datasets import load_digits

        levels, labels = load_digits(return_X_y=True)
    images = np.rint(levels * (255 / 16)).astype(np.uint8).reshape(-1, *entry.image_shape)
    return Dataset(images, labels.astype(np.int32), entry.class_names, entry.name, source=entry.name)


def _checked(entry: CatalogEntry, dataset: Dataset, path: Path) -> Dataset:
    """The data set under its catalogue name, after a check that it is that one: it may have been put there by hand."""
    found = (len(dataset), dataset.image_shape, len(dataset.class_names))
    expected = (entry.images, entry.image_shape, len(entry.class_names))
    if found != expected:
        raise DataError(
            f"{path}: this is not {entry.name}: it has {_described(*found)}; {entry.name} has {_described(*expected)}. "
            "Remove it to have the right one downloaded."
        )
    numbers = tuple(map(str, range(found[2])))  # what a reader calls the classes of a format without names
    if dataset.class_names not in (entry.class_names, numbers):
        label, name, right = next(
            (i, *pair)
            for i, pair in enumerate(zip(dataset.class_names, entry.class_names, strict=True))
            if pair[0] != pair[1]
        )
        raise DataError(
            f"{path}: this is not {entry.name}: its class {label} is {name!r}; {entry.name}'s is {right!r}. "
            "Remove it to have the right one downloaded."
        )
    return replace(dataset, class_names=entry.class_names, name=entry.name)


def _described(images: int, image_shape: tuple[int, int, int], classes: int) -> str:
    return f"{images:,} images of {'×'.join(map(str, image_shape))} in {classes} classes"
