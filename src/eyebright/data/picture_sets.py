"""From a folder, a table or an archive of pictures to a `Dataset`, by way of the cache."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.data import cache
from eyebright.data.cache_keys import listing_key, packed_key
from eyebright.data.containers import open_listing, packed_files
from eyebright.data.dataset import SPLIT_NAMES, Dataset, hash_keys, image_hashes
from eyebright.data.grouping import joined_groups
from eyebright.data.listing import Listing
from eyebright.data.picture_names import shown_path
from eyebright.data.pictures import decode_into, is_other_size, likely_size, refuse_unreadable
from eyebright.data.progress import say, shown
from eyebright.data.workspace import cache_directory, locked
from eyebright.errors import DataError
from eyebright.picture_options import DEFAULT_SIDE, PictureOptions

__all__ = ["open_listing", "read_pictures"]

_NO_SPLIT = len(SPLIT_NAMES)  # in the index, of a picture that came in none
_PLURAL, _ONE = re.compile(r"^(.*?)(file|folder|link)s\b"), r"\1\2"
_MOST_KINDS = 5  # of files that were passed over, in a note


def read_pictures(path: Path, options: PictureOptions, *, progress: bool = False) -> Dataset:
    """Read pictures, decoding those that the cache does not have yet.

    They come in a canonical order, by class and then by the hash of their pixels, so that the same pictures have the
    same fingerprint in whatever they lie.

    Args:
        path: a directory, a table or an archive.
        options: what is read, and how.
        progress: whether to show a progress bar on standard error.

    Raises:
        DataError: no pictures, or some of them, or what lists them, cannot be read; or the cache cannot be written.
        SettingsError: options that contradict each other.
        MissingExtraError: what this needs is not installed.
    """
    packed = packed_files(path, options)
    if packed and (dataset := cached_dataset(packed_key(path, options, packed))) is not None:
        return dataset
    with open_listing(path, options) as listing:
        notes = _notes(listing)
        if packed and all(map(listing.is_copy, listing.pictures)):
            key = packed_key(path, options, packed)
        else:
            key = listing_key(listing, options, packed)
        dataset = cached_dataset(key)
        if dataset is None:
            with locked(
                key, waiting=lambda: say("Another process reads these pictures: waiting for it.", progress=progress)
            ):
                dataset = cached_dataset(key) or _built(key, listing, notes, options, progress=progress)
    return replace(dataset, notes=notes)


def _built(key: str, listing: Listing, notes: tuple[str, ...], options: PictureOptions, *, progress: bool) -> Dataset:
    """Decode pictures into an entry of the cache, and read that."""
    cache.cache_limit()  # a mistake in it is said before the work, not after
    pictures = listing.pictures
    size = likely_size(pictures, options)
    channels = 1 if options.colour == "grey" else 3
    with cache.new_entry(key) as entry:
        decoded = entry / "decoded"
        grey, sizes = _decode(decoded, listing, (*size, channels), options, progress=progress)
        if is_other_size(size, sizes, options):
            size = DEFAULT_SIDE, DEFAULT_SIDE
            grey, sizes = _decode(decoded, listing, (*size, channels), options, progress=progress)
        pixels = np.memmap(decoded, np.uint8, "r", shape=(len(pictures), *size, channels))
        _write(entry, listing, notes, pixels, 1 if options.colour == "auto" and grey else channels)
        del pixels
        decoded.unlink()
    dataset = cached_dataset(key)
    if dataset is None:
        raise DataError(f"{cache_directory()}: what was just written there is gone, or damaged. Is its disk sound?")
    return dataset


def _decode(
    target: Path, listing: Listing, image_shape: tuple[int, int, int], options: PictureOptions, *, progress: bool
) -> tuple[bool, set[tuple[int, int]]]:
    """Decode pictures into a file; whether all of them are grey, and the sizes that they came in."""
    grey, sizes, errors = True, set[tuple[int, int]](), dict[int, str]()
    with closing(decode_into(target, listing.pictures, image_shape, options)) as parts:
        total = len(listing.pictures)
        for part in shown(parts, "Reading pictures", total, lambda part: len(part.grey), progress=progress):
            grey = grey and bool(part.grey.all())
            sizes |= part.sizes
            errors |= part.errors
    refuse_unreadable(listing.root, listing.pictures, errors)
    return grey, sizes


def _write(entry: Path, listing: Listing, notes: tuple[str, ...], pixels: NDArray[np.uint8], channels: int) -> None:
    """Write an entry's files, its pictures in their canonical order."""
    labels = {name: label for label, name in enumerate(listing.class_names)}
    pictures = listing.pictures
    pixels = pixels[..., :channels]  # where there is one, all are the same
    hashes = hash_keys(image_hashes(pixels, np.arange(len(pixels))))

    def canonical(place: int) -> tuple[int, bytes, str, str, str]:
        picture = pictures[place]
        return labels[picture.class_name], hashes[place], picture.split, picture.group, picture.path

    order = sorted(range(len(pictures)), key=canonical)
    ordered = [pictures[place] for place in order]
    cache.write_entry(
        entry,
        {
            "name": listing.name,
            "source": shown_path(str(listing.root.resolve())),
            "images": len(ordered),
            "image_shape": [*pixels.shape[1:]],
            "class_names": list(labels),
            "notes": notes,
        },
        {
            "labels": np.array([labels[picture.class_name] for picture in ordered], np.int32),
            "splits": np.array([split_code(picture.split) for picture in ordered], np.int8),
            "groups": joined_groups([picture.group for picture in ordered], [hashes[place] for place in order]),
            "paths": np.frombuffer("\n".join(picture.path for picture in ordered).encode(), np.uint8),
        },
        pixels,
        np.array(order),
    )


def split_code(split: str) -> int:
    """What stands for a split, or for none (""), in an entry's index."""
    return SPLIT_NAMES.index(split) if split else _NO_SPLIT


def cached_dataset(key: str) -> Dataset | None:
    """The data set of an entry of the cache; None if there is none, or it does not verify."""
    entry = cache.read_entry(key)
    if entry is None:
        return None
    description, index, images = entry
    dataset = dataset_of(description["name"], tuple(description["class_names"]), images, index)
    return replace(dataset, notes=tuple(description["notes"]))


def dataset_of(
    name: str, class_names: tuple[str, ...], images: NDArray[np.uint8], index: Mapping[str, NDArray[Any]]
) -> Dataset:
    """The data set of images and the arrays that an entry's index has of them."""
    splits = {split: np.flatnonzero(index["splits"] == split_code(split)) for split in SPLIT_NAMES}
    return Dataset(
        images,
        index["labels"],
        class_names,
        name,
        {split: places for split, places in splits.items() if len(places)},
        paths=tuple(index["paths"].tobytes().decode().split("\n")) if len(index["paths"]) else (),
        groups=index["groups"],
    )


def _notes(listing: Listing) -> tuple[str, ...]:
    """What the user should know: the listing's notes, and what was passed over, of many kinds the most frequent."""
    kinds = sorted(listing.ignored.items(), key=lambda kind: (-kind[1], kind[0]))
    told = [f"{count:,} {_PLURAL.sub(_ONE, kind) if count == 1 else kind}" for kind, count in kinds[:_MOST_KINDS]]
    if others := sum(count for _, count in kinds[_MOST_KINDS:]):
        told.append(f"{others:,} files of other kinds")
    return (*listing.notes, *((f"Passed over: {', '.join(told)}.",) if told else ()))
