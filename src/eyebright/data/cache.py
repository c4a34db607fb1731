"""Decoded pictures on disk: what was decoded once is mapped into memory the next time.

An entry is a directory: `images.u8` (the pixels and nothing else), `index.npz` (labels, splits, groups, paths) and
`entry.json` (class names, what it was made of, and the SHA-256 of the two others and of itself). It appears whole or
not at all, and all of it is verified whenever it is used: what is damaged is made anew.

Its name, `data/cache_keys.py`, says what it was made of.

The least recently used entries are removed where all of them together take more than `EYEBRIGHT_CACHE_GB` (20).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.data.parallel import in_threads
from eyebright.data.workspace import HALF_MADE, cache_directory, size_of, working_directory, writing_to
from eyebright.errors import DataError
from eyebright.storage import json_bytes, sha256, sync

LIMIT_VARIABLE = "EYEBRIGHT_CACHE_GB"
_DEFAULT_LIMIT = 20.0  # GB
_BLOCK_BYTES = 2**24  # of pixels that are hashed by themselves; another size makes older entries useless
_IMAGES, _INDEX, _ENTRY, _OWN_HASH = "images.u8", "index.npz", "entry.json", "entry_sha256"


class CacheEntry(NamedTuple):
    """One data set in the cache.

    Attributes:
        path: its directory.
        source: what it was made of; "(damaged)" where that cannot be read.
        images: how many.
        image_shape: (height, width, channels).
        bytes: that it takes on disk.
        used: when it was last used, in seconds since 1970.
    """

    path: Path
    source: str
    images: int
    image_shape: tuple[int, int, int]
    bytes: int
    used: float


class Content(NamedTuple):
    """What is in an entry.

    Attributes:
        description: of the data set: name, source, class names and so on.
        arrays: of its index.
        images: uint8 [N, H, W, C], mapped.
    """

    description: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    images: NDArray[np.uint8]


def cache_limit() -> float:
    """How many bytes the cache may take.

    Raises:
        DataError: EYEBRIGHT_CACHE_GB is no positive number.
    """
    text = os.environ.get(LIMIT_VARIABLE, str(_DEFAULT_LIMIT))
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not limit > 0:
        raise DataError(f"{LIMIT_VARIABLE}={text}: give the cache's limit in GB, a number above 0.")
    return limit * 1e9


@contextlib.contextmanager
def new_entry(key: str) -> Iterator[Path]:
    """A directory to fill with an entry, which takes its name at the end; nothing is left of it after an error.

    Hold the lock of the key's name.

    Raises:
        DataError: it cannot be written.
    """
    target = cache_directory() / key
    with working_directory() as workplace, writing_to(target.parent):
        half_made = workplace / "entry"  # which all may read who may read the cache, other than its parent
        half_made.mkdir()
        yield half_made
        sync(half_made)
        if target.exists():  # one that did not verify
            remove(target)
        half_made.rename(target)
        sync(target.parent)
    evict(keep=target)


def write_entry(
    entry: Path,
    description: dict[str, Any],
    index: dict[str, NDArray[Any]],
    images: NDArray[np.uint8],
    order: NDArray[np.int64],
) -> None:
    """Write the files of an entry.

    Args:
        entry: its directory.
        description: of the data set, for JSON. `source`, `images` and `image_shape` must be among it.
        index: arrays; `labels`, one for each image, must be among them.
        images: uint8 [N, H, W, C], may be mapped.
        order: int64 [N], in which they are written.
    """
    (entry / _IMAGES).touch()

    def write(start: int, count: int) -> bytes:
        block = np.ascontiguousarray(images[order[start : start + count]]).reshape(-1)
        with (entry / _IMAGES).open("r+b") as file:
            file.seek(start * images[0].size)
            file.write(block.data)
        return hashlib.sha256(block.data).digest()

    images_sha256 = _hash_of_blocks(write, len(images), images[0].size)
    buffer = io.BytesIO()
    np.savez(buffer, **index)  # type: ignore[arg-type]
    (entry / _INDEX).write_bytes(buffer.getvalue())
    content = {**description, "images_sha256": images_sha256, "index_sha256": sha256(buffer.getvalue())}
    (entry / _ENTRY).write_bytes(json_bytes({**content, _OWN_HASH: sha256(json_bytes(content))}))
    for name in (_IMAGES, _INDEX, _ENTRY):
        sync(entry / name)


def read_entry(key: str) -> Content | None:
    """An entry; None if there is none, or it does not verify."""
    path = cache_directory() / key
    try:
        description: dict[str, Any] = json.loads((path / _ENTRY).read_bytes())
        if description.pop(_OWN_HASH) != sha256(json_bytes(description)):
            return None
        index_bytes = (path / _INDEX).read_bytes()
        if sha256(index_bytes) != description["index_sha256"]:
            return None
        with np.load(io.BytesIO(index_bytes), allow_pickle=False) as file:
            index = {name: file[name] for name in file.files}
        shape = (len(index["labels"]), *description["image_shape"])
        if _hash_of_file(path / _IMAGES, shape) != description["images_sha256"]:
            return None
        images = np.memmap(path / _IMAGES, np.uint8, "r", shape=shape)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    with contextlib.suppress(OSError):  # of a cache that may only be read
        os.utime(path)
    return Content(description, index, images)


def _hash_of_file(path: Path, shape: tuple[int, ...]) -> str:
    image_bytes = int(np.prod(shape[1:]))
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size != shape[0] * image_bytes:
            return ""

        def read(start: int, count: int) -> bytes:
            return hashlib.sha256(os.pread(file.fileno(), count * image_bytes, start * image_bytes)).digest()

        return _hash_of_blocks(read, shape[0], image_bytes)


def _hash_of_blocks(hash_of: Callable[[int, int], bytes], images: int, image_bytes: int) -> str:
    """A hash over the hashes of blocks of images, which are worked on at the same time.

    Args:
        hash_of: from a block's first image, and how many it has at most, to its hash.
        images: how many there are.
        image_bytes: of each.
    """
    count = max(1, _BLOCK_BYTES // image_bytes)
    return sha256(b"".join(in_threads(lambda start: hash_of(start, count), range(0, images, count))))


def entries() -> list[CacheEntry]:
    """What is in the cache, the most recently used first.

    Raises:
        DataError: its directory cannot be read.
    """
    directory, found = cache_directory(), []
    try:
        paths = sorted(directory.iterdir()) if directory.exists() else []
    except OSError as error:
        raise DataError(f"{directory}: cannot be read: {error.strerror or error}.") from error
    for path in paths:
        if re.fullmatch(r"[0-9a-f]{32}", path.name) and any((path / name).exists() for name in (_ENTRY, _IMAGES)):
            with contextlib.suppress(OSError):  # removed in this moment
                found.append(_entry(path))
    return sorted(found, key=lambda entry: -entry.used)


def _entry(path: Path) -> CacheEntry:
    size, used = size_of(path), path.stat().st_mtime
    try:
        description = json.loads((path / _ENTRY).read_bytes())
        height, width, channels = map(int, description["image_shape"])
        images = int(description["images"])
        return CacheEntry(path, str(description["source"]), images, (height, width, channels), size, used)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return CacheEntry(path, "(damaged)", 0, (0, 0, 0), size, used)


def evict(keep: Path) -> None:
    """Remove the least recently used entries until the rest keeps the limit; never the one at `keep`."""
    limit, found = cache_limit(), entries()
    total = sum(entry.bytes for entry in found)
    for entry in reversed(found):
        if total > limit and entry.path != keep and remove(entry.path):
            total -= entry.bytes


def remove(entry: Path) -> bool:
    """Remove an entry, whole or not at all; returns whether it is gone.

    A process that has it mapped keeps it until it ends.
    """
    doomed = entry.with_name(f"{HALF_MADE}removed-{entry.name}-{os.getpid()}")
    try:
        entry.rename(doomed)
    except OSError:
        return not entry.exists()
    shutil.rmtree(doomed, ignore_errors=True)
    return True
