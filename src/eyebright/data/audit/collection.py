"""The data that an audit looks at: all that can be read of them, and what is wrong with the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.data.catalog import CATALOG
from eyebright.data.containers import open_listing
from eyebright.data.dataset import SPLIT_NAMES, Dataset, hash_keys, image_hashes
from eyebright.data.decode import is_grey
from eyebright.data.grouping import joined_groups
from eyebright.data.listing import ListedPicture, Listing
from eyebright.data.loading import load_dataset
from eyebright.data.pictures import PictureFile, decode_into, is_other_size, likely_size
from eyebright.data.progress import shown
from eyebright.data.readers import is_picture_set, read_arrays
from eyebright.data.workspace import working_directory, writing_to
from eyebright.paths import expanded, whole_path
from eyebright.picture_options import DEFAULT_SIDE, PictureOptions


class Failure(NamedTuple):
    """A picture that cannot be read: its path, and what is wrong with it."""

    path: str
    reason: str


@dataclass(frozen=True)
class Collection:
    """What an audit looks at.

    Attributes:
        name: of the data.
        dataset: the images that can be read; None if none can.
        files: what they were like in their files, one an image; empty for data that came as arrays.
        failures: the pictures that cannot be read.
        empty_classes: folders of classes in which no picture is.
        notes: what the user should know of how they were read, in whole sentences.
    """

    name: str
    dataset: Dataset | None
    files: tuple[PictureFile, ...] = ()
    failures: tuple[Failure, ...] = ()
    empty_classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """How many images there are, those included that cannot be read."""
        return len(self.dataset or ()) + len(self.failures)


@contextlib.contextmanager
def collect(
    data: str, options: PictureOptions, *, data_dir: Path | None = None, progress: bool = False
) -> Iterator[Collection]:
    """Read data as `load_dataset` does, but go on where a picture cannot be read.

    Pictures are decoded into a file that is there as long as the context lasts; nothing is kept.

    Args:
        data: a name of the catalogue or a path.
        options: how pictures are read.
        data_dir: where data sets of the catalogue are kept; None for the usual place.
        progress: whether a download, or the reading of pictures, shows a progress bar on standard error.

    Raises:
        DataError: no such data, or what lists them cannot be read.
        SettingsError: options of pictures for data that are none.
    """
    path = expanded(data)
    if data in CATALOG or not is_picture_set(path) or read_arrays(path) is not None:
        dataset = load_dataset(data, options=options, data_dir=data_dir, progress=progress)
        yield Collection(dataset.name, dataset, notes=dataset.notes)
        return
    with open_listing(path, options, checked=False) as listing, working_directory() as workplace:
        empty_classes, listing = listing.empty_classes, replace(listing, empty_classes=())
        listing.check()
        yield _decoded(listing.with_plain_names(), empty_classes, workplace / "pixels", options, progress=progress)


def _decoded(
    listing: Listing, empty_classes: tuple[str, ...], target: Path, options: PictureOptions, *, progress: bool
) -> Collection:
    pictures = listing.pictures
    size, channels = likely_size(pictures, options), 1 if options.colour == "grey" else 3
    files, errors = _decode(listing, target, (*size, channels), options, progress=progress)
    if is_other_size(size, {file.size for file in files.values()}, options):
        size = DEFAULT_SIDE, DEFAULT_SIDE
        files, errors = _decode(listing, target, (*size, channels), options, progress=progress)
    failures = tuple(Failure(pictures[place].path, reason) for place, reason in sorted(errors.items()))
    readable = sorted(files)
    dataset = None
    if readable:
        images = _moved_together(np.memmap(target, np.uint8, "r+", shape=(len(pictures), *size, channels)), readable)
        if options.colour == "auto" and all(is_grey(file.mode) for file in files.values()):
            images = images[..., :1]
        dataset = _dataset(listing, [pictures[place] for place in readable], images)
    in_order = tuple(files[place] for place in readable)
    return Collection(listing.name, dataset, in_order, failures, empty_classes, listing.notes)


def _decode(
    listing: Listing, target: Path, image_shape: tuple[int, int, int], options: PictureOptions, *, progress: bool
) -> tuple[dict[int, PictureFile], dict[int, str]]:
    """Decode pictures into a file: what those are like that can be read, what is wrong with the others, by place."""
    files, errors, total = dict[int, PictureFile](), dict[int, str](), len(listing.pictures)
    with writing_to(target.parent), closing(decode_into(target, listing.pictures, image_shape, options)) as parts:
        for part in shown(parts, "Reading pictures", total, lambda part: len(part.grey), progress=progress):
            files |= part.files
            errors |= part.errors
    return files, errors


def _moved_together(pixels: NDArray[np.uint8], readable: list[int]) -> NDArray[np.uint8]:
    """The images at some places, ascending; in the same memory, which may be a file larger than what there is else."""
    for place, readable_place in enumerate(readable):
        if place != readable_place:
            pixels[place] = pixels[readable_place]
    return pixels[: len(readable)]


def _dataset(listing: Listing, pictures: list[ListedPicture], images: NDArray[np.uint8]) -> Dataset:
    labels = {name: label for label, name in enumerate(listing.class_names)}
    keys = hash_keys(image_hashes(images, np.arange(len(images))))
    splits = {name: np.flatnonzero([picture.split == name for picture in pictures]) for name in SPLIT_NAMES}
    return Dataset(
        images,
        np.array([labels[picture.class_name] for picture in pictures], np.int32),
        listing.class_names,
        listing.name,
        {name: places for name, places in splits.items() if len(places)},
        source=whole_path(listing.root),
        paths=tuple(picture.path for picture in pictures),
        groups=joined_groups([picture.group for picture in pictures], keys),
    )
