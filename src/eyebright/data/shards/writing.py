"""From a data set to shards: the same bytes for the same data."""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from eyebright.data.catalog import CATALOG
from eyebright.data.containers import open_listing
from eyebright.data.dataset import Dataset
from eyebright.data.loading import load_dataset
from eyebright.data.parallel import in_threads
from eyebright.data.picture_files import kind_of
from eyebright.data.places import FileMissingError, Place, place_of
from eyebright.data.progress import shown
from eyebright.data.readers import read_arrays
from eyebright.data.shards.index import FILE, Shard, ShardIndex, Split
from eyebright.data.shards.members import NO_GROUP, Sample, pack
from eyebright.errors import DataError, SettingsError, StorageError
from eyebright.paths import expanded, is_url
from eyebright.picture_options import PictureOptions
from eyebright.randomness import Stream, permutation
from eyebright.storage import cleaned_up, put_in_place, sha256

DEFAULT_MEGABYTES = 32.0
_DEAL_SEED = 0  # which pictures share a shard: the same for the same data, whoever writes it
_OF_NO_SPLIT = "data"  # in the place of a split, in a shard's name
_LOOKED_AT = 256  # pictures whose length is taken for that of all
_AT_ONCE = 64  # pictures that a thread packs
_MOST_SHARDS = 10**6  # of a split: their names have six digits

PictureOf = Callable[[int], bytes]  # from a place in the data set
SamplesOf = Callable[[NDArray[np.int64]], list[Sample]]  # from places


class ShardSize(NamedTuple):
    """How much is in a shard: about so many bytes, or at most so many images."""

    bytes: float = DEFAULT_MEGABYTES * 1e6
    images: int | None = None


def write_shards(
    data: str | Path,
    output: str | Path,
    *,
    options: PictureOptions | None = None,
    size: ShardSize | None = None,
    resized: bool = False,
    data_dir: Path | None = None,
    progress: bool = False,
) -> ShardIndex:
    """Write a data set as shards: tar files in WebDataset's form, and an index.

    Picture files are kept as they are; what comes as arrays of pixels, or as shards, becomes PNG, which loses
    nothing. Which pictures share a shard is drawn, once for all, within each split that the data came with. A directory
    appears whole or not at all; of object storage the index is written last, and without it there are no shards.

    Args:
        data: as for `load_dataset`.
        output: a directory that does not exist yet, or the URL of one.
        options: how pictures are read.
        size: of a shard.
        resized: whether pictures are written as PNG in the size that they are brought to, in the place of their files.
        data_dir: as for `load_dataset`.
        progress: whether to show progress bars on standard error.

    Raises:
        DataError: the data cannot be read.
        SettingsError: shards of a size that cannot be.
        StorageError: something is there already, or it cannot be written.
        MissingExtraError: a URL, and what it needs is not installed.
    """
    options, size = options or PictureOptions.model_validate({}), size or ShardSize()
    if not 0 < size.bytes < math.inf or (size.images is not None and size.images < 1):
        raise SettingsError("--shard-size, --shard-images: give a number above 0.")
    with _target(output) as place:
        dataset = load_dataset(data, options=options, data_dir=data_dir, progress=progress)
        with _pictures(data, dataset, options, resized=resized) as picture:
            samples = partial(_samples, dataset, picture)
            shards = _write(place, dataset, samples, size, progress=progress)
        index = ShardIndex(
            name=dataset.name,
            class_names=dataset.class_names,
            image_shape=dataset.image_shape,
            fit=options.fit,
            max_pixels=options.max_pixels,
            fingerprint=dataset.fingerprint,
            shards=shards,
        )
        place.write(FILE, index.to_bytes())
    return index


@contextlib.contextmanager
def _target(output: str | Path) -> Iterator[Place]:
    """Where to write to: what is there at the end appears under its name, if nothing fails."""
    if not str(output).strip():
        raise SettingsError("-o: names no place. Is a variable empty?")
    place = place_of(output)  # a slip of a URL is told by its own name
    if is_url(output):
        with contextlib.suppress(FileMissingError):
            place.read(FILE)
            raise StorageError(f"{output}: shards are there already. Give another place, or remove them.")
        yield place
        return
    path = expanded(output)
    if os.path.lexists(path):
        raise StorageError(f"{path}: it is there already. Give another name, or remove it.")
    half_made = path.with_name(f".writing-{path.name}-{os.getpid()}")
    try:
        with cleaned_up(half_made):
            half_made.mkdir(parents=True)
            yield place_of(half_made)
            put_in_place(half_made, path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}.") from error


@contextlib.contextmanager
def _pictures(data: str | Path, dataset: Dataset, options: PictureOptions, *, resized: bool) -> Iterator[PictureOf]:
    """What gives the bytes of each picture: its file, or a PNG of its pixels."""
    is_elsewhere = data in CATALOG or is_url(data)
    if resized or not dataset.paths or is_elsewhere or read_arrays(expanded(data)) is not None:
        yield lambda place: _png(dataset.images[place])
        return
    with open_listing(expanded(data), options) as listing:
        files = {picture.path: picture.file for picture in listing.pictures}
        yield lambda place: _content(dataset.paths[place], files)


def _content(path: str, files: dict[str, str]) -> bytes:
    try:
        return Path(files[path]).read_bytes()
    except (OSError, KeyError) as error:
        raise DataError(f"{path}: gone, or cannot be read any more. Were the data changed just now?") from error


def _png(image: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(file, "PNG")
    return file.getvalue()


def _write(place: Place, dataset: Dataset, samples: SamplesOf, size: ShardSize, *, progress: bool) -> tuple[Shard, ...]:
    """Write the tar files."""
    shards = []
    dealt = _dealt(dataset, samples, size)
    for split, name, places in shown(
        dealt, "Writing shards", len(dataset), lambda part: len(part[2]), progress=progress
    ):
        parts = (places[start : start + _AT_ONCE] for start in range(0, len(places), _AT_ONCE))
        content = pack(sample for part in in_threads(samples, parts) for sample in part)
        place.write(name, content)
        shards.append(
            Shard(name=name, split=cast(Split, split), images=len(places), bytes=len(content), sha256=sha256(content))
        )
    return tuple(shards)


def _dealt(dataset: Dataset, samples: SamplesOf, size: ShardSize) -> Iterator[tuple[str, str, NDArray[np.int64]]]:
    """(split, name, places in the data set) of each shard. Those of a split differ by one picture at most."""
    unsplit = np.setdiff1d(np.arange(len(dataset)), np.concatenate([[], *dataset.splits.values()]))
    parts = {**dataset.splits, **({"": unsplit} if len(unsplit) else {})}
    for number, (split, places) in enumerate(sorted(parts.items())):
        dealt = places[permutation(_DEAL_SEED, Stream.DEALING, number, len(places))]
        for shard, some in enumerate(np.array_split(dealt, _shards_of(dealt, samples, size))):
            yield split, f"{split or _OF_NO_SPLIT}-{shard:06d}.tar", some


def _shards_of(places: NDArray[np.int64], samples: SamplesOf, size: ShardSize) -> int:
    if size.images is not None:
        count = -(-len(places) // size.images)
    else:
        some = places[:_LOOKED_AT]
        whole = len(pack(samples(some))) / len(some) * len(places)
        count = min(len(places), math.ceil(whole / size.bytes))
    if count > _MOST_SHARDS:
        raise SettingsError(f"--shard-size: these would be {count:,} shards. Give larger ones.")
    return count


def _samples(dataset: Dataset, picture: PictureOf, places: NDArray[np.int64]) -> list[Sample]:
    samples = []
    for place in places.tolist():
        content = picture(place)
        samples.append(
            Sample(
                place,
                int(dataset.labels[place]),
                content,
                _suffix(content),
                dataset.paths[place] if dataset.paths else "",
                NO_GROUP if dataset.groups is None else int(dataset.groups[place]),
            )
        )
    return samples


def _suffix(content: bytes) -> str:
    """By what a file is, not by what it is called: the readers of others go by it."""
    kind = kind_of(content) or "img"
    return "jpg" if kind == "JPEG" else kind.lower()
