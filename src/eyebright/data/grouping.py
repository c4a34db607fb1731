"""Images that stay together when images are divided: units, of which none is ever parted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.data.dataset import Dataset, hash_keys
from eyebright.errors import DataError
from eyebright.randomness import Stream, permutation

_OF_NO_GROUP = 2**32  # beyond every group's number


@dataclass(frozen=True)
class Units:
    """Some images of a data set as the units that they are divided in: a group, or a single image that is in none.

    Attributes:
        of_image: int64 [n], the unit of each image, numbered by their first image.
        counts: for each unit the classes that it has images of, ascending, each with how many.
        order: int64 [units], the units in random order. The place of a unit is that of its first image in the same
            permutation that orders single images, so that neither a large nor a small one comes earlier.
    """

    of_image: NDArray[np.int64]
    counts: list[list[tuple[int, int]]]
    order: NDArray[np.int64]

    @classmethod
    def of(cls, dataset: Dataset, images: NDArray[np.int64], seed: int, step: int) -> Units:
        """The units of some images, in an order drawn for a purpose.

        Args:
            dataset: whose groups and labels are read.
            images: int64 [n], ascending.
            seed: of the split.
            step: of `Stream.SPLIT`.
        """
        _, first, unit = np.unique(_group_numbers(dataset, images), return_index=True, return_inverse=True)
        by_first = np.argsort(first, kind="stable")
        renumbered = np.empty_like(by_first)
        renumbered[by_first] = np.arange(len(by_first))
        of_image = renumbered[unit]  # [n]
        place = np.empty(len(images), np.int64)
        place[permutation(seed, Stream.SPLIT, step, len(images))] = np.arange(len(images))
        order = np.argsort(place[first[by_first]], kind="stable")
        return cls(of_image, _class_counts(of_image, dataset.labels[images], len(first)), order)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def per_class(self) -> dict[int, int]:
        """How many units have images of a class, by class; classes without images are left out."""
        labels = [label for counts in self.counts for label, _ in counts]
        return dict(zip(*(array.tolist() for array in np.unique(labels, return_counts=True)), strict=True))


def joined_groups(names: Sequence[str], digests: Sequence[bytes]) -> NDArray[np.int32]:
    """Which pictures belong together, int32 [N]: equal for those of one group or with the same pixels, -1 for the rest.

    Numbered from 0 as they first appear, so that they depend on nothing but what belongs together.

    Args:
        names: of the group of each picture; "" if it is of none.
        digests: of the pixels of each, equal for equal ones.
    """
    parents = list(range(len(names)))

    def find(place: int) -> int:
        while parents[place] != place:
            parents[place] = place = parents[parents[place]]
        return place

    first: dict[Any, int] = {}
    for place, (name, digest) in enumerate(zip(names, digests, strict=True)):
        for key in (("group", name), ("pixels", digest)) if name else (("pixels", digest),):
            other = first.setdefault(key, place)
            low, high = sorted((find(place), find(other)))
            parents[high] = low
    roots = np.array([find(place) for place in range(len(names))])
    of_several = np.bincount(roots, minlength=len(names))[roots] > 1
    groups = np.full(len(names), -1, np.int32)
    groups[of_several] = np.unique(roots[of_several], return_inverse=True)[1]  # a root is the first of its group
    return groups


def same_pixels_together(dataset: Dataset) -> Dataset:
    """The data set with a group for images of the same pixels, where it has no groups: as picture files are read."""
    if dataset.groups is not None:
        return dataset
    keys = hash_keys(dataset.image_hashes)
    if len(set(keys)) == len(keys):
        return dataset
    return replace(dataset, groups=joined_groups([""] * len(keys), keys))


def refuse_class_of_one_unit(dataset: Dataset, units: Units) -> None:
    """Raise DataError where all images of a class are one unit: training and testing cannot both have some."""
    for label, number in units.per_class.items():
        if number == 1:
            raise DataError(
                f"{dataset.name}: all images of the class {dataset.class_names[label]!r} are of one group (or the same "
                "picture), which cannot be divided between training and testing. Add images of another group, or leave "
                "the class out."
            )


def has_groups(dataset: Dataset, images: NDArray[np.int64]) -> bool:
    """Whether any of these images is in a group."""
    return dataset.groups is not None and bool((dataset.groups[images] >= 0).any())


def units_of_images(dataset: Dataset, images: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """The unit of each of some images, int64 [n], from 0 without gaps; None where no two of them are of one group."""
    numbers, unit = np.unique(_group_numbers(dataset, images), return_inverse=True)
    return None if len(numbers) == len(images) else unit.astype(np.int64)


def choose_units(units: Units, shares: NDArray[np.int64], available: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Choose whole units so that the numbers of their images come near to each class's share.

    In their random order those are taken that are no more than what is missing of any class. Then units are added and
    given back as long as that brings the numbers nearer to the shares (the sum over classes of what is too much or too
    little), never one that would take a class's last image. In the end no single unit's change brings them nearer.
    Where each unit is a single image, the numbers are the shares, and what is taken are each class's first images.

    Args:
        units: what to choose from.
        shares: int64 [classes], how many images of each class to take; fewer than there are.
        available: int64 [classes], how many there are.

    Returns:
        bool [units], which are taken.
    """
    missing, left = shares.tolist(), available.tolist()
    taken = [False] * len(units)

    def change(unit: int) -> None:
        sign = 1 if taken[unit] else -1
        taken[unit] = not taken[unit]
        for label, count in units.counts[unit]:
            missing[label] += sign * count
            left[label] += sign * count

    def is_nearer(unit: int) -> bool:
        sign = 1 if taken[unit] else -1
        change: int = sum(abs(missing[c] + sign * n) - abs(missing[c]) for c, n in units.counts[unit])
        return change < 0

    order = units.order.tolist()
    for unit in order:
        if all(count <= missing[label] for label, count in units.counts[unit]):
            change(unit)
    improved = any(missing)
    while improved:
        improved = False
        for unit in order:
            leaves_some = taken[unit] or all(count < left[label] for label, count in units.counts[unit])
            if leaves_some and is_nearer(unit):
                change(unit)
                improved = True
    return np.array(taken, bool)


def _group_numbers(dataset: Dataset, images: NDArray[np.int64]) -> NDArray[np.int64]:
    """int64 [n], equal for images of one group alone."""
    groups = np.full(len(images), -1) if dataset.groups is None else dataset.groups[images].astype(np.int64)
    return np.where(groups < 0, _OF_NO_GROUP + np.arange(len(images)), groups)


def _class_counts(of_image: NDArray[np.int64], labels: NDArray[np.int32], units: int) -> list[list[tuple[int, int]]]:
    counts: list[list[tuple[int, int]]] = [[] for _ in range(units)]
    pairs, numbers = np.unique(np.stack([of_image, labels]), axis=1, return_counts=True)  # [2, pairs], sorted
    for unit, label, number in zip(*pairs.tolist(), numbers.tolist(), strict=True):
        counts[unit].append((label, number))
    return counts
