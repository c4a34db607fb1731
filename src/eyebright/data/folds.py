"""Cross-validation's folds: every training image is a test image of exactly one of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from eyebright.data.dataset import Dataset, Fold
from eyebright.data.grouping import Units, refuse_class_of_one_unit
from eyebright.data.split import given_split, training_pool
from eyebright.errors import DataError, SettingsError

_STEP = 2  # of the stream; 0 and 1 are split_dataset's. Never renumber.


def fold_datasets(dataset: Dataset, folds: int, seed: int) -> list[Dataset]:
    """Divide the training images of a data set into folds, and give the data set as each fold has it.

    Each class gives every fold the same number of images, to less than one; groups are never parted, and the numbers
    are then about as near to that as whole groups come. A split "test" that the data
    came with is in none of the folds, and takes no part; a split "validation" stays what it is.

    Args:
        dataset: what to divide.
        folds: how many, at least 2.
        seed: decides which image is in which fold.

    Returns:
        One data set a fold, of the same images, with a split "test" (the fold) and a split "train" (the others, of
        which `split_dataset` takes validation images), and with its `fold` noted.

    Raises:
        SettingsError: fewer than 2 folds.
        DataError: a class has fewer images than there are folds, or is of one group alone, or there are fewer groups
            than folds.

    >>> labels = np.repeat([0, 1], 6).astype(np.int32)
    >>> dataset = Dataset(np.zeros((12, 8, 8, 1), np.uint8), labels, ("zero", "one"), "twelve")
    >>> [part.class_counts(part.splits["test"]).tolist() for part in fold_datasets(dataset, 3, seed=0)]
    [[2, 2], [2, 2], [2, 2]]
    """
    if folds < 2:
        raise SettingsError(f"--folds {folds}: cross-validation needs at least 2 folds.")
    pool = training_pool(dataset)
    _check_counts(dataset, pool, folds)
    validation = given_split(dataset, "validation")
    kept = {} if validation is None else {"validation": validation}
    return [
        replace(
            dataset,
            splits={**kept, "train": np.setdiff1d(pool, fold, assume_unique=True), "test": fold},
            fold=Fold(number, folds),
        )
        for number, fold in enumerate(_divide(dataset, pool, folds, seed), start=1)
    ]


def fold_dataset(dataset: Dataset, fold: Fold, seed: int) -> Dataset:
    """One of the data sets that `fold_datasets` gives."""
    return fold_datasets(dataset, fold.of, seed)[fold.number - 1]


def _check_counts(dataset: Dataset, pool: NDArray[np.int64], folds: int) -> None:
    counts = dataset.class_counts(pool)
    smallest = int(np.where(counts, counts, len(dataset) + 1).argmin())  # a class without images takes no part
    if counts[smallest] < folds:
        few = f"Give --folds {counts[smallest]}" if counts[smallest] > 1 else "Add images of it"
        raise DataError(
            f"{dataset.name}: --folds {folds}: the class {dataset.class_names[smallest]!r} has {counts[smallest]} "
            f"training {'image' if counts[smallest] == 1 else 'images'}, too few for one in each fold. {few}, or leave "
            "the class out."
        )


def _divide(dataset: Dataset, pool: NDArray[np.int64], folds: int, seed: int) -> list[NDArray[np.int64]]:
    """The images of each fold, int64 [n], ascending.

    Units are dealt out, the largest first, those of one size in random order: each to the fold that has the smallest
    share so far of the classes that it has images of, and of such folds to the smallest. So a run is resumed with the
    same folds whatever becomes of the libraries.
    """
    units = Units.of(dataset, pool, seed, _STEP)
    _check_units(dataset, units, folds)
    totals = dataset.class_counts(pool).tolist()
    dealt = [[0] * len(totals) for _ in range(folds)]  # [folds, classes], images so far
    sizes = [0] * folds
    fold_of = np.empty(len(units), np.int64)
    for unit in sorted(units.order.tolist(), key=lambda unit: -sum(count for _, count in units.counts[unit])):
        counts = units.counts[unit]
        shares = [sum(count * own[label] / totals[label] for label, count in counts) for own in dealt]
        fold = min(range(folds), key=lambda fold: (shares[fold], sizes[fold]))
        fold_of[unit] = fold
        for label, count in counts:
            dealt[fold][label] += count
            sizes[fold] += count
    return [pool[fold_of[units.of_image] == fold] for fold in range(folds)]


def _check_units(dataset: Dataset, units: Units, folds: int) -> None:
    refuse_class_of_one_unit(dataset, units)
    if len(units) < folds:
        raise DataError(
            f"{dataset.name}: --folds {folds}: there are {len(units)} groups, too few for one in each fold. Give "
            f"--folds {len(units)}."
        )
