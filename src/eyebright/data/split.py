"""Training, validation and test images: a stratified split that is a pure function of (labels, groups, seed)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eyebright.data.dataset import Dataset
from eyebright.data.grouping import Units, choose_units, has_groups, refuse_class_of_one_unit
from eyebright.errors import DataError, SettingsError
from eyebright.randomness import Stream, permutation

# The steps of the stream, so that the two choices do not depend on each other. Never renumber.
_TEST, _VALIDATION = 0, 1


@dataclass(frozen=True)
class Split:
    """Which images are for what.

    Args:
        train: int64 [n], indices of the images to learn from, ascending; so the other two.
        validation: those that every choice looks at. May be empty.
        test: those that are looked at once, at the end. Disjoint from both.
    """

    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


def split_dataset(dataset: Dataset, *, validation: float, test_fraction: float, seed: int) -> Split:
    """Split a data set, keeping to the splits that it came with.

    A split "test" or "validation" that the data came with is used as it is, whatever `test_fraction` and `validation`
    say. One that it did not come with is drawn from its split "train" or, without one, from all images that are in
    no other split: `test` first, then `validation` from what is left. Each class gives its share, to less than one
    image (largest remainder), and the total is exact. The pixels play no part.

    Where the data have groups, none of them is parted by what is drawn, and the numbers are as near to these shares as
    whole groups come (see `grouping.choose_units`); no class's last training image is taken. A class whose images are
    all of one group cannot be tested, which is an error as a single image is; for validation it stays in training.

    A class of which there are no images at all takes no part and is no error: it is for `check` to report.

    Args:
        dataset: what to split.
        validation: how much of the training images to keep for validation: a fraction below 1, a whole number of
            images from 1 on, or 0 for none.
        test_fraction: how much to keep for testing, in (0, 1).
        seed: the run's seed.

    Returns:
        The indices, each ascending, with no image in two of them.

    Raises:
        SettingsError: `validation` or `test_fraction` is out of its range.
        DataError: the data are too few: a class with a single image, a class that would have no training image, a
            single class, more validation images than there are for training, a fraction that comes to no image, or
            groups too large to give their shares.

    >>> images, labels = np.zeros((20, 8, 8, 1), np.uint8), np.repeat([0, 1], 10).astype(np.int32)
    >>> dataset = Dataset(images, labels, ("zero", "one"), "twenty")
    >>> split = split_dataset(dataset, validation=2, test_fraction=0.2, seed=0)
    >>> len(split.train), dataset.class_counts(split.validation).tolist(), dataset.class_counts(split.test).tolist()
    (14, [1, 1], [2, 2])
    """
    _check_amounts(validation, test_fraction)
    train = training_pool(dataset)
    test = given_split(dataset, "test")
    if test is None:
        train, test = _carve(dataset, train, test_fraction, seed, _TEST)
    kept = given_split(dataset, "validation")
    if kept is None:
        train, kept = _carve(dataset, train, validation, seed, _VALIDATION) if validation else (train, train[:0])
    _check_training_images(dataset, train, np.concatenate([kept, test]))
    return Split(train, kept, test)


def given_split(dataset: Dataset, name: str) -> NDArray[np.int64] | None:
    """A split that the data came with, int64 [n], ascending, or None."""
    return np.sort(dataset.splits[name]) if name in dataset.splits else None


def training_pool(dataset: Dataset) -> NDArray[np.int64]:
    """Where training images come from, int64 [n], ascending: the split "train", or all images that are in no split."""
    train = given_split(dataset, "train")
    if train is not None:
        return train
    free = np.ones(len(dataset), bool)
    for indices in dataset.splits.values():
        free[indices] = False
    return np.flatnonzero(free)


def _carve(
    dataset: Dataset, pool: NDArray[np.int64], amount: float, seed: int, step: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(what stays, what is taken) of a pool of images, both ascending."""
    purpose, setting = ("testing", "test_fraction") if step == _TEST else ("validation", "validation")
    total = round(amount * len(pool)) if amount < 1 else int(amount)
    where = f"{dataset.name}: {setting} = {amount:g} of {len(pool):,} images"
    if total == 0:
        raise DataError(f"{where} comes to no image. Ask for more.")
    if total >= len(pool):
        raise DataError(f"{where} leaves none to train on. Ask for fewer.")
    counts = dataset.class_counts(pool)
    for label in np.flatnonzero(counts == 1):
        raise DataError(
            f"{dataset.name}: the class {dataset.class_names[label]!r} has a single image to be divided between "
            f"training and {purpose}; a stratified split needs two of each class. Add images of it, or leave it out."
        )
    shares = _shares(total, counts)
    for label in np.flatnonzero((counts > 0) & (shares == counts)):
        raise DataError(
            f"{where} takes all {counts[label]} images of the class {dataset.class_names[label]!r} and leaves none to "
            "train on. Ask for fewer."
        )
    taken = (_take_units if has_groups(dataset, pool) else _take_images)(dataset, pool, shares, seed, step)
    if not len(taken):
        none = ", or for none (validation = 0)" if step == _VALIDATION else ""
        raise DataError(f"{where}: no whole group is small enough to come near to that. Ask for more{none}.")
    return np.setdiff1d(pool, taken, assume_unique=True), taken


def _take_images(
    dataset: Dataset, pool: NDArray[np.int64], shares: NDArray[np.int64], seed: int, step: int
) -> NDArray[np.int64]:
    """Each class's share of a pool, images int64 [n], ascending."""
    order = pool[permutation(seed, Stream.SPLIT, step, len(pool))]
    labels = dataset.labels[order]
    return np.sort(np.concatenate([order[labels == label][:share] for label, share in enumerate(shares)]))


def _take_units(
    dataset: Dataset, pool: NDArray[np.int64], shares: NDArray[np.int64], seed: int, step: int
) -> NDArray[np.int64]:
    """The same in whole groups, as near to the shares as they come."""
    units = Units.of(dataset, pool, seed, step)
    if step == _TEST:
        refuse_class_of_one_unit(dataset, units)
    return pool[choose_units(units, shares, dataset.class_counts(pool))[units.of_image]]


def _shares(total: int, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Int64 [classes]: `total` divided in proportion to `counts`, the largest remainders rounded up.

    In whole numbers, hence exact; of equal remainders the first class's is the larger.

    >>> _shares(5, np.array([10, 10, 10])).tolist()
    [2, 2, 1]
    """
    shares, remainders = np.divmod(total * counts, counts.sum())
    rounded_up = np.argsort(-remainders, kind="stable")[: total - shares.sum()]
    shares[rounded_up] += 1
    return shares


def _check_amounts(validation: float, test_fraction: float) -> None:
    if not (0 <= validation < 1 or (validation >= 1 and float(validation).is_integer())):
        raise SettingsError(
            f"validation = {validation}: it must be a fraction below 1, a whole number of images, or 0 for none."
        )
    if not 0 < test_fraction < 1:
        raise SettingsError(f"test_fraction = {test_fraction}: it must lie between 0 and 1.")


def _check_training_images(dataset: Dataset, train: NDArray[np.int64], others: NDArray[np.int64]) -> None:
    counts = dataset.class_counts(train)
    for label in np.flatnonzero((counts == 0) & (dataset.class_counts(others) > 0)):
        raise DataError(
            f"{dataset.name}: the class {dataset.class_names[label]!r} has no training image, and validation or test "
            "images. Add training images of it, or leave it out."
        )
    present = np.flatnonzero(counts)
    if len(present) < 2:
        what = f"all are of the class {dataset.class_names[present[0]]!r}" if len(present) else "there are none"
        raise DataError(f"{dataset.name}: a classifier needs training images of at least two classes; {what}.")
