import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.data.dataset import Dataset, Fold
from eyebright.data.folds import fold_dataset, fold_datasets
from eyebright.data.split import split_dataset
from eyebright.errors import DataError, SettingsError


def labelled(labels, groups=None, **splits):
    labels = np.array(labels, np.int32)
    images = np.arange(len(labels), dtype=np.uint8).reshape(-1, 1, 1, 1)
    groups = None if groups is None else np.array(groups, np.int32)
    return Dataset(images, labels, ("cat", "dog", "owl"), "animals", splits, groups=groups)


def folds_of(parts):
    return [part.splits["test"] for part in parts]


@given(
    counts=st.tuples(st.integers(7, 30), st.integers(7, 30), st.just(0) | st.integers(7, 30)),
    folds=st.integers(2, 7),
    seed=st.integers(0, 2**63 - 1),
)
@settings(max_examples=40, deadline=None)
def test_every_image_is_in_one_fold_and_each_class_gives_every_fold_its_share(counts, folds, seed):
    dataset = labelled(np.repeat([0, 1, 2], counts))
    parts = fold_datasets(dataset, folds, seed)
    assert np.sort(np.concatenate(folds_of(parts))).tolist() == list(range(len(dataset)))
    for part in parts:
        assert np.union1d(part.splits["train"], part.splits["test"]).tolist() == list(range(len(dataset)))
        assert len(part.splits["train"]) + len(part.splits["test"]) == len(dataset)
    shares = np.array([dataset.class_counts(test) for test in folds_of(parts)])
    assert (shares.max(axis=0) - shares.min(axis=0) <= 1).all()
    assert np.ptp(shares.sum(axis=1)) <= 3


@given(data=st.data(), folds=st.integers(2, 4), seed=st.integers(0, 2**63 - 1))
@settings(max_examples=40, deadline=None)
def test_groups_are_never_parted_nor_is_their_fold_validated_with_them(data, folds, seed):
    labels = np.arange(60) % 2
    groups = np.array(data.draw(st.permutations(range(60)))) // data.draw(st.integers(1, 5))
    groups[data.draw(st.lists(st.integers(0, 59), max_size=30))] = -1
    dataset = labelled(labels, groups)
    for part in fold_datasets(dataset, folds, seed):
        split = split_dataset(part, validation=0.2, test_fraction=0.5, seed=seed)
        sides = [set(dataset.groups[side].tolist()) - {-1} for side in (split.train, split.validation, split.test)]
        assert not any(one & other for one, other in itertools.combinations(sides, 2))
        assert split.test.tolist() == part.splits["test"].tolist()


def test_the_division_is_a_function_of_the_seed_and_of_no_pixels():
    dataset = labelled(np.arange(60) % 3)
    same = replace(dataset, images=dataset.images[::-1].copy())
    first, again, other = (fold_datasets(*which) for which in ((dataset, 4, 0), (same, 4, 0), (dataset, 4, 1)))
    for a, b in zip(folds_of(first), folds_of(again), strict=True):
        assert a.tolist() == b.tolist()
    assert any(a.tolist() != b.tolist() for a, b in zip(folds_of(first), folds_of(other), strict=True))
    # Of every seed's meaning: a run of today is resumed by the version of tomorrow.
    assert fold_datasets(labelled([0] * 4 + [1] * 5), 3, 7)[0].splits["test"].tolist() == [2, 4, 5]


def test_images_for_testing_stay_out_and_those_for_validation_stay_what_they_are():
    dataset = labelled(np.arange(30) % 3, test=np.arange(6), validation=np.arange(27, 30))
    parts = fold_datasets(dataset, 3, 0)
    assert np.sort(np.concatenate(folds_of(parts))).tolist() == list(range(6, 27))
    for part in parts:
        assert part.splits["validation"].tolist() == [27, 28, 29]
        assert set(part.splits["train"]) | set(part.splits["test"]) == set(range(6, 27))


def test_a_fold_knows_which_it_is_and_its_fingerprint_is_its_own():
    dataset = labelled(np.arange(30) % 3)
    parts = fold_datasets(dataset, 3, 0)
    assert [part.fold for part in parts] == [Fold(1, 3), Fold(2, 3), Fold(3, 3)]
    assert len({part.fingerprint for part in [dataset, *parts]}) == 4
    assert fold_dataset(dataset, Fold(2, 3), 0).fingerprint == parts[1].fingerprint


@pytest.mark.parametrize(
    ("labels", "groups", "folds", "error", "message"),
    [
        ([0, 0, 1, 1], None, 1, SettingsError, r"--folds 1: cross-validation needs at least 2 folds"),
        (
            [0] * 9 + [1] * 3,
            None,
            4,
            DataError,
            r"animals: --folds 4: the class 'dog' has 3 training images.*--folds 3",
        ),
        ([0] * 9 + [2], None, 2, DataError, r"the class 'owl' has 1 training image, .* Add images of it, or leave"),
        ([0] * 6 + [1] * 6, [-1] * 6 + [3] * 6, 2, DataError, r"all images of the class 'dog' are of one group"),
        ([0, 1] * 8, [0, 1] * 8, 3, DataError, r"all images of the class 'cat' are of one group"),
        ([0, 0, 1, 1] * 4, [0, 1] * 8, 3, DataError, r"--folds 3: there are 2 groups.* Give --folds 2"),
    ],
)
def test_what_cannot_be_divided_is_an_error_that_says_why(labels, groups, folds, error, message):
    with pytest.raises(error, match=message):
        fold_datasets(labelled(labels, groups), folds, 0)
