"""From shards to a `Dataset`, by way of the cache of decoded pictures."""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.data import cache
from eyebright.data.dataset import Dataset
from eyebright.data.decode import decode_image
from eyebright.data.parallel import process_pool
from eyebright.data.picture_sets import cached_dataset, dataset_of, split_code
from eyebright.data.places import Place, place_of
from eyebright.data.progress import say, shown
from eyebright.data.shards.index import FILE, KIND, Shard, ShardIndex, read_index, verified_shard
from eyebright.data.shards.members import NO_GROUP, Sample, unpack
from eyebright.data.workspace import cache_directory, locked
from eyebright.errors import DataError, ImageError

_VERSION = 1  # of what is made of shards: another makes older entries of the cache useless
_AT_ONCE = 16  # pictures in one task
_AHEAD = 2  # shards that are read while others are decoded
_NOT_READ = -1  # in the place of a split
_LOOKED_AT = 4096  # bytes of a file, for what kind of index it is


def holds_shards(directory: Path) -> bool:
    """Whether a directory is one of shards: tar files beside an index, or an index that says so."""
    index = directory / FILE
    if not index.is_file():
        return False
    with index.open("rb") as file:
        return f'"{KIND}"'.encode() in file.read(_LOOKED_AT) or any(directory.glob("*.tar"))


def read_shards(location: str | Path, *, progress: bool = False) -> Dataset:
    """Read all shards of a set, or what the cache has of them.

    Every shard is read whole and its hash verified. The images come in the order of the data set that the shards were
    made of: it has its fingerprint.

    Args:
        location: a directory, or the URL of one.
        progress: whether to show a progress bar on standard error.

    Returns:
        Its images are mapped from the cache.

    Raises:
        DataError: shards are missing, cut, damaged or from another set, or object storage refuses or stalls.
        MissingExtraError: a URL, and what it needs is not installed.
    """
    place = place_of(location)
    index = read_index(place)
    key = _key(index)
    dataset = cached_dataset(key)
    if dataset is None:
        with locked(key, waiting=lambda: say("Another process reads these shards: waiting for it.", progress=progress)):
            dataset = cached_dataset(key) or _built(key, place, index, str(location), progress=progress)
    return dataset


def _key(index: ShardIndex) -> str:
    """The name of the entry in the cache: by content, wherever the shards lie."""
    import PIL

    return hashlib.sha256(f"shards {_VERSION} {PIL.__version__} {index.sha256}".encode()).hexdigest()[:32]


def _built(key: str, place: Place, index: ShardIndex, source: str, *, progress: bool) -> Dataset:
    """Decode all pictures into an entry of the cache, and read that."""
    cache.cache_limit()  # a mistake in it is said before the work, not after
    with cache.new_entry(key) as entry:
        decoded = entry / "decoded"
        with decoded.open("wb") as file:
            file.truncate(index.images * math.prod(index.image_shape))
        arrays = _fill(decoded, place, index, progress=progress)
        images = np.memmap(decoded, np.uint8, "r", shape=(index.images, *index.image_shape))
        description = {
            "name": index.name,
            "source": source,
            "images": index.images,
            "image_shape": [*index.image_shape],
            "class_names": [*index.class_names],
            "notes": _notes(dataset_of(index.name, index.class_names, images, arrays).fingerprint, index),
        }
        cache.write_entry(entry, description, arrays, images, np.arange(index.images))
        del images
        decoded.unlink()
    dataset = cached_dataset(key)
    if dataset is None:
        raise DataError(f"{cache_directory()}: what was just written there is gone, or damaged. Is its disk sound?")
    return dataset


def _fill(target: Path, place: Place, index: ShardIndex, *, progress: bool) -> dict[str, NDArray[Any]]:
    """Decode all pictures into a file, uint8 [N, H, W, C]; returns the arrays that a cache's index has of them."""
    count = index.images
    labels, groups = np.zeros(count, np.int32), np.full(count, NO_GROUP, np.int32)
    splits, paths = np.full(count, _NOT_READ, np.int8), [""] * count
    with process_pool() as pool, closing(_read(place, index)) as parts:
        for shard, samples in shown(parts, "Reading shards", count, lambda part: len(part[1]), progress=progress):
            where = place.where(shard.name)
            places = np.array([sample.place for sample in samples])
            is_new = places.min() >= 0 and places.max() < count and (splits[places] == _NOT_READ).all()
            if not is_new or len(np.unique(places)) < len(places):
                raise DataError(
                    f"{where}: its pictures have numbers that others have, or that cannot be. Write the shards again."
                )
            some = (samples[start : start + _AT_ONCE] for start in range(0, len(samples), _AT_ONCE))
            pending = [pool.submit(_decode_into, target, where, index, with_bytes(part)) for part in some]
            for done in pending:
                done.result()
            labels[places] = [sample.label for sample in samples]
            groups[places] = [sample.group for sample in samples]
            splits[places] = split_code(shard.split)
            for sample in samples:
                paths[sample.place] = sample.path
    packed = "\n".join(paths).encode() if any(paths) else b""
    return {"labels": labels, "splits": splits, "groups": groups, "paths": np.frombuffer(packed, np.uint8)}


def _read(place: Place, index: ShardIndex) -> Generator[tuple[Shard, list[Sample]], None, None]:
    """All shards, some of them being read while others are decoded."""
    pool, ahead = ThreadPoolExecutor(_AHEAD, "shards"), deque[tuple[Shard, Future[list[Sample]]]]()
    try:
        for shard in index.shards:
            ahead.append((shard, pool.submit(read_shard, place, index, shard)))
            if len(ahead) > _AHEAD:
                first, samples = ahead.popleft()
                yield first, samples.result()
        for first, samples in ahead:
            yield first, samples.result()
    finally:
        pool.shutdown(cancel_futures=True)


def read_shard(place: Place, index: ShardIndex, shard: Shard) -> list[Sample]:
    """The pictures of a shard, verified but not decoded, in the order of their places.

    Raises:
        DataError: it is missing, cut, damaged or from another set.
    """
    return unpack(place.where(shard.name), verified_shard(place, shard), shard, len(index.class_names))


def decode_sample(where: str, sample: Sample, index: ShardIndex) -> NDArray[np.uint8]:
    """The pixels of a picture, uint8 [H, W, C].

    Raises:
        ImageError: it cannot be decoded.
    """
    try:
        return decode_image(bytes(sample.picture), index.image_shape, index.fit, index.max_pixels)
    except ImageError as error:
        name = sample.path or sample.place
        raise ImageError(f"{where}: picture {name}: {str(error).removeprefix('the picture: ')}") from error


def _decode_into(target: Path, where: str, index: ShardIndex, samples: list[Sample]) -> None:
    with target.open("r+b") as file:
        for sample in samples:
            file.seek(sample.place * math.prod(index.image_shape))
            file.write(decode_sample(where, sample, index).data)


def with_bytes(samples: Sequence[Sample]) -> list[Sample]:
    """Pictures on their way to another process: their own bytes, not a view of a shard."""
    return [sample._replace(picture=bytes(sample.picture)) for sample in samples]


def _notes(fingerprint: str, index: ShardIndex) -> list[str]:
    note = (
        f"These shards were made of data with another fingerprint ({index.fingerprint[:12]}…): their pictures are "
        "decoded otherwise here, as by another version of a decoder."
    )
    return [] if fingerprint == index.fingerprint else [note]
