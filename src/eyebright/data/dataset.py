"""`Dataset`: labelled images in memory (or mapped into it), and what is true of every one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.data.parallel import in_threads
from eyebright.errors import DataError

SPLIT_NAMES = ("train", "validation", "test")
_HASHED_AT_ONCE = 4096  # images; part of what the fingerprint is
_HASHED_BY_A_THREAD = 64  # images in one task


class Fold(NamedTuple):
    """Which fold of a cross-validation: its number, from 1, and of how many."""

    number: int
    of: int


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images. Immutable: its arrays are read-only.

    Args:
        images: uint8 [N, H, W, C], C = 1 (grey) or 3 (RGB), values 0 … 255. May be a memory map.
        labels: int32 [N], each an index into `class_names`.
        class_names: the classes in the order of their indices.
        name: what to call it; no part of the fingerprint.
        splits: the splits that the data came with, by name (of `SPLIT_NAMES`): indices int64, disjoint. Empty where
            it came with none. What a run uses is made by `split_dataset`.
        source: where it was loaded from, as `load_dataset` notes it; "" for data made in memory. No part of the
            fingerprint.
        paths: of the picture files, one an image, relative to the source; empty for data that came as arrays. No part
            of the fingerprint.
        groups: int32 [N]: images of the same number stay on one side of every split that is made; -1 for an image that
            is in no group. None where there are no groups.
        notes: what the user should know of how it was read, in whole sentences. No part of the fingerprint.
        fold: which fold of a cross-validation the split "test" is; None where it is none. No part of the fingerprint.

    Raises:
        DataError: an array of another shape or type, no images, a label out of range, a class name twice or
            unprintable.

    >>> import numpy as np
    >>> digits = Dataset(np.zeros((2, 8, 8, 1), np.uint8), np.array([0, 1], np.int32), ("zero", "one"), "two digits")
    >>> len(digits), digits.image_shape, digits.class_counts().tolist()
    (2, (8, 8, 1), [1, 1])
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]
    class_names: tuple[str, ...]
    name: str
    splits: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)
    source: str = ""
    paths: tuple[str, ...] = ()
    groups: NDArray[np.int32] | None = None
    notes: tuple[str, ...] = ()
    fold: Fold | None = None

    def __post_init__(self) -> None:
        images, labels = np.asanyarray(self.images), np.asarray(self.labels)
        _check_arrays(self.name, images, labels, self.class_names)
        splits = {name: np.array(indices, np.int64) for name, indices in self.splits.items()}
        _check_splits(self.name, splits, len(images))
        for name, array in (("images", images), ("labels", labels)):
            view = array.view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)
        if self.groups is not None:
            object.__setattr__(self, "groups", _checked_groups(self.name, np.array(self.groups), len(images)))
        if self.paths and len(self.paths) != len(images):
            raise DataError(f"{self.name}: {len(self.paths):,} paths for {len(images):,} images.")
        for indices in splits.values():
            indices.flags.writeable = False
        object.__setattr__(self, "class_names", tuple(self.class_names))
        object.__setattr__(self, "splits", MappingProxyType(splits))

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, kept: NDArray[np.int64]) -> Dataset:
        """The data set of some of the images, in their order.

        Args:
            kept: int64 [n], ascending.

        Raises:
            DataError: none is kept, or none of a split that it came with.
        """
        places = np.full(len(self), -1)
        places[kept] = np.arange(len(kept))
        splits = {name: found[found >= 0] for name, found in ((n, places[i]) for n, i in self.splits.items())}
        return replace(
            self,
            images=self.images[kept],
            labels=self.labels[kept],
            splits=splits,
            paths=tuple(self.path(index) for index in kept.tolist()),
            groups=None if self.groups is None else self.groups[kept],
        )

    def path(self, index: int) -> str:
        """What to call an image: the path of its file, or its place among all, from 0."""
        return self.paths[index] if self.paths else str(index)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels)."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def class_counts(self, indices: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """int64 [classes]: how many images each class has, among `indices` or among all."""
        labels = self.labels if indices is None else self.labels[indices]
        return np.bincount(labels, minlength=len(self.class_names))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256, 64 hexadecimal digits, over shape, pixels, labels, class names, and its splits and groups.

        Readers put images whose order on disk carries no meaning into a canonical order, so that the same data has
        the same fingerprint wherever it lies.
        """
        digest = hashlib.sha256()

        def add(tag: str, *contents: bytes | memoryview) -> None:
            # Lengths go in first, so that no two different data sets feed the hash the same bytes.
            digest.update(f"{tag} {sum(len(content) for content in contents)}\n".encode())
            for content in contents:
                digest.update(content)

        add("shape", repr(self.images.shape).encode())
        for start in range(0, len(self), _HASHED_AT_ONCE):
            chunk = np.ascontiguousarray(self.images[start : start + _HASHED_AT_ONCE])
            add("pixels", chunk.reshape(-1).data)  # no copy of what is mapped
        add("labels", self.labels.astype("<i4").tobytes())
        for name in self.class_names:
            add("class", name.encode())
        for name in sorted(self.splits):
            add(f"split {name}", self.splits[name].astype("<i8").tobytes())
        if self.groups is not None and (self.groups >= 0).any():  # what is in no group is as if there were none
            add("groups", self.groups.astype("<i4").tobytes())
        return digest.hexdigest()

    @cached_property
    def image_hashes(self) -> NDArray[np.uint8]:
        """uint8 [N, 32]: of all images, see the function of this name."""
        return image_hashes(self.images, np.arange(len(self)))


def image_hashes(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> NDArray[np.uint8]:
    """uint8 [n, 32]: SHA-256 of the pixels of each image in `indices`, to know the same images again."""
    images = np.asarray(images)  # of a memory map, which takes its time to hand out each image as another

    def some(start: int) -> bytes:
        part = indices[start : start + _HASHED_BY_A_THREAD]
        return b"".join(hashlib.sha256(images[index].tobytes()).digest() for index in part)

    digests = b"".join(in_threads(some, range(0, len(indices), _HASHED_BY_A_THREAD)))
    return np.frombuffer(digests, np.uint8).reshape(-1, 32)


def hash_prefixes(hashes: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """uint64 [n]: the first 8 bytes of hashes [n, 32], to know the same images again in less space."""
    return hashes[:, :8].copy().view("<u8")[:, 0].astype(np.uint64)


def hash_keys(hashes: NDArray[np.uint8]) -> list[bytes]:
    """Hashes [n, 32] as bytes, which can be keys."""
    return [row.tobytes() for row in hashes]


def _check_arrays(
    name: str, images: NDArray[np.uint8], labels: NDArray[np.int32], class_names: tuple[str, ...]
) -> None:
    if images.dtype != np.uint8 or images.ndim != 4:
        raise DataError(
            f"{name}: images must be uint8 [N, height, width, channels]; these are {images.dtype} {list(images.shape)}."
        )
    if 0 in images.shape:
        raise DataError(f"{name}: it has no images (their array has the shape {list(images.shape)}).")
    if images.shape[3] not in (1, 3):
        raise DataError(f"{name}: images must have 1 channel (grey) or 3 (RGB); these have {images.shape[3]}.")
    if labels.dtype != np.int32 or labels.shape != images.shape[:1]:
        raise DataError(
            f"{name}: labels must be int32 [{len(images)}], one an image; these are {labels.dtype} "
            f"{list(labels.shape)}."
        )
    if len(class_names) < 2:
        raise DataError(f"{name}: it has {len(class_names)} class; a classifier needs at least two.")
    for class_name in class_names:
        # What could not be encoded, or would steer a terminal, would only fail later.
        if not (class_name and class_name.isprintable()):
            raise DataError(f"{name}: the class name {class_name!a} is empty or has characters that cannot be printed.")
    if len(set(class_names)) != len(class_names):
        twice = next(c for c in class_names if class_names.count(c) > 1)
        raise DataError(f"{name}: two classes have the name {twice!r}.")
    outside = np.flatnonzero((labels < 0) | (labels >= len(class_names)))
    if outside.size:
        first = int(outside[0])
        raise DataError(
            f"{name}: the label of image {first} is {int(labels[first])}; labels must lie in 0 … "
            f"{len(class_names) - 1} ({outside.size:,} do not)."
        )


def _checked_groups(name: str, groups: NDArray[np.int32], n: int) -> NDArray[np.int32]:
    if groups.dtype != np.int32 or groups.shape != (n,):
        raise DataError(f"{name}: groups must be int32 [{n}]; these are {groups.dtype} {list(groups.shape)}.")
    groups.flags.writeable = False
    return groups


def _check_splits(name: str, splits: Mapping[str, NDArray[np.int64]], n: int) -> None:
    unknown = set(splits) - set(SPLIT_NAMES)
    if unknown:
        raise DataError(f"{name}: unknown split {sorted(unknown)[0]!r}; splits are {', '.join(SPLIT_NAMES)}.")
    taken = np.zeros(n, bool)
    for split, indices in splits.items():
        if indices.ndim != 1 or indices.size == 0 or indices.min() < 0 or indices.max() >= n:
            raise DataError(f"{name}: the split {split!r} is empty or names images that are not there.")
        if taken[indices].any() or len(np.unique(indices)) != len(indices):
            raise DataError(f"{name}: an image of the split {split!r} is also in another split, or in it twice.")
        taken[indices] = True
