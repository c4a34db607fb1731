"""Whole groups on one side of every split that is drawn; `test_split.py` has what holds without groups, too."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eyebright.data.dataset import Dataset
from eyebright.data.grouping import units_of_images
from eyebright.data.split import split_dataset
from eyebright.errors import DataError

NAMES = ("apple", "pear", "plum", "quince")
many = settings(max_examples=150, deadline=None)
seeds = st.integers(0, 2**64 - 1)


def grouped(labels, groups, splits=None, seed=0):
    labels, groups = np.asarray(labels, np.int32), np.asarray(groups, np.int32)
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 2, 2, 1), np.uint8)
    return Dataset(images, labels, NAMES, "fruit", splits or {}, groups=groups)


@st.composite
def grouped_datasets(draw, largest=8):
    """Images of two to four classes, in groups of one or several classes and in none, in any order."""
    classes = draw(st.integers(2, 4))
    sizes = draw(st.lists(st.integers(1, largest), min_size=10, max_size=40))
    mixed = draw(st.sampled_from([0.0, 0.3, 1.0]))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    groups = np.repeat(np.arange(len(sizes)), sizes)
    of_group = rng.integers(0, classes, len(sizes))
    labels = np.where(rng.random(len(groups)) < mixed, rng.integers(0, classes, len(groups)), of_group[groups])
    groups = np.where(np.array(sizes)[groups] == 1, -1, 3 * (len(sizes) - groups))  # numbers say nothing
    order = rng.permutation(len(groups))
    return grouped(labels[order], groups[order])


def split_or_assume(dataset, **amounts):
    """The split, where there is one."""
    try:
        return split_dataset(dataset, **{"validation": 0.2, "test_fraction": 0.25, "seed": 0, **amounts})
    except DataError:
        assume(False)


def units_of(dataset, pool):
    """The images of each group, and each image that is in none, as arrays."""
    alone = [np.array([index]) for index in pool if dataset.groups[index] < 0]
    numbers = sorted({int(dataset.groups[index]) for index in pool} - {-1})
    return alone + [pool[dataset.groups[pool] == number] for number in numbers]


def shares_of(dataset, pool, total):
    """Each class's share by largest remainder, the first class's where remainders are equal."""
    counts = dataset.class_counts(pool)
    shares, remainders = np.divmod(total * counts, len(pool))
    shares[np.argsort(-remainders, kind="stable")[: total - shares.sum()]] += 1
    return shares


@many
@given(dataset=grouped_datasets(), seed=seeds)
def test_no_group_is_parted_and_no_image_is_lost(dataset, seed):
    split = split_or_assume(dataset, seed=seed)
    parts = (split.train, split.validation, split.test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(dataset)))
    for unit in units_of(dataset, np.arange(len(dataset))):
        assert sum(np.isin(unit, part).any() for part in parts) == 1
    for part in parts:
        assert (np.diff(part) > 0).all()
        assert len(part)


@many
@given(dataset=grouped_datasets(), seed=seeds)
def test_each_class_keeps_training_images(dataset, seed):
    split = split_or_assume(dataset, seed=seed, test_fraction=0.45, validation=0.45)
    assert (dataset.class_counts(split.train)[dataset.class_counts() > 0] > 0).all()


@many
@given(dataset=grouped_datasets(), seed=seeds)
def test_no_group_more_or_less_would_bring_the_test_images_nearer_to_their_shares(dataset, seed):
    everything = np.arange(len(dataset))
    test = split_or_assume(dataset, seed=seed).test
    shares = shares_of(dataset, everything, round(0.25 * len(dataset)))
    taken = dataset.class_counts(test)
    off = np.abs(shares - taken).sum()
    for unit in units_of(dataset, everything):
        counts = dataset.class_counts(unit)
        other = taken - counts if np.isin(unit, test).all() else taken + counts
        exhausts_a_class = ((other >= dataset.class_counts()) & (counts > 0)).any()
        assert exhausts_a_class or np.abs(shares - other).sum() >= off


@many
@given(dataset=grouped_datasets(), seed=seeds)
def test_a_split_depends_on_what_belongs_together_not_on_numbers_or_pixels(dataset, seed):
    renamed = grouped(dataset.labels, np.where(dataset.groups < 0, -1, 1000 - dataset.groups), seed=1)
    one, other = split_or_assume(dataset, seed=seed), split_or_assume(renamed, seed=seed)
    np.testing.assert_array_equal(one.test, other.test)
    np.testing.assert_array_equal(one.validation, other.validation)


@many
@given(counts=st.lists(st.integers(6, 40), min_size=2, max_size=4), seed=seeds)
def test_groups_of_one_image_each_change_nothing(counts, seed):
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    without = Dataset(np.zeros((len(labels), 2, 2, 1), np.uint8), labels.astype(np.int32), NAMES, "fruit")
    expected = split_dataset(without, validation=0.2, test_fraction=0.25, seed=seed)
    for groups in (np.full(len(labels), -1), np.arange(len(labels))):
        split = split_dataset(grouped(labels, groups), validation=0.2, test_fraction=0.25, seed=seed)
        np.testing.assert_array_equal(split.test, expected.test)
        np.testing.assert_array_equal(split.validation, expected.validation)


def test_single_images_make_the_shares_exact():
    labels = np.repeat([0, 1], 50)
    groups = np.where(np.arange(100) % 50 < 20, np.arange(100) // 4, -1)  # groups of four, and 30 single images a class
    for seed in range(20):
        split = split_dataset(grouped(labels, groups), validation=0.125, test_fraction=0.2, seed=seed)
        assert (len(split.train), len(split.validation), len(split.test)) == (70, 10, 20)


def test_images_in_groups_and_alone_are_drawn_about_equally_often():
    labels = np.arange(200) % 2
    groups = np.where(np.arange(200) < 100, np.arange(200) // 4, -1)
    dataset, drawn = grouped(labels, groups), np.zeros(200)
    for seed in range(400):
        drawn[split_dataset(dataset, validation=0, test_fraction=0.2, seed=seed).test] += 1
    # 80 is the mean over all. A group that does not fit at the end makes room for single images.
    assert 60 < drawn[:100].mean() < 85
    assert 75 < drawn[100:].mean() < 100


def test_a_known_split_stays_what_it_was():
    dataset = grouped(np.arange(24) % 2, np.where(np.arange(24) < 12, np.arange(24) // 3, -1))
    split = split_dataset(dataset, validation=0.25, test_fraction=0.25, seed=0)
    assert (split.test.tolist(), split.validation.tolist()) == ([14, 15, 16, 17, 22, 23], [0, 1, 2, 19])


def test_a_class_with_two_large_groups_gives_one_only_if_that_is_nearer():
    labels = [0] * 10 + [1] * 10
    groups = [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5
    split = split_dataset(grouped(labels, groups), validation=0, test_fraction=0.4, seed=0)
    assert len(split.test) == 10  # four images of each class are asked for: five are nearer than none
    with pytest.raises(DataError, match=r"fruit: test_fraction = 0\.2 of 20 images: no whole group is small enough"):
        split_dataset(grouped(labels, groups), validation=0, test_fraction=0.2, seed=0)


def test_a_group_that_has_the_last_images_of_a_class_stays_in_training():
    labels = [0] * 10 + [1] + [0] * 10 + [1]
    groups = [0] * 11 + [1] * 11  # either may be tested, never both
    for seed in range(10):
        split = split_dataset(grouped(labels, groups), validation=0, test_fraction=0.6, seed=seed)
        assert len(split.test) == 11


def test_validation_images_that_no_group_allows_are_an_error_that_says_what_to_do():
    labels = [0] * 30 + [1] * 30
    groups = np.arange(60) // 10
    with pytest.raises(
        DataError, match=r"validation = 0\.1 of 40 images: .* Ask for more, or for none \(validation = 0\)"
    ):
        split_dataset(grouped(labels, groups), validation=0.1, test_fraction=0.3, seed=0)


def test_a_class_of_one_group_cannot_be_tested():
    labels = [0] * 10 + [1] * 10
    groups = [-1] * 10 + [4] * 10
    with pytest.raises(
        DataError, match=r"fruit: all images of the class 'pear' are of one group .* leave the class out"
    ):
        split_dataset(grouped(labels, groups), validation=0, test_fraction=0.2, seed=0)


def test_a_class_of_one_group_stays_in_training_where_validation_is_drawn():
    labels = [0] * 10 + [1] * 10 + [0, 1]
    dataset = grouped(labels, [-1] * 10 + [4] * 10 + [-1, -1], {"test": [20, 21]})
    split = split_dataset(dataset, validation=0.2, test_fraction=0.2, seed=0)
    assert dataset.class_counts(split.validation).tolist() == [2, 0, 0, 0]


def test_a_given_split_is_used_as_it_is():
    dataset = grouped([0, 1] * 10, [7] * 20, {"train": np.arange(10), "test": np.arange(10, 20)})
    split = split_dataset(dataset, validation=0, test_fraction=0.2, seed=0)
    assert (split.train.tolist(), split.test.tolist()) == (list(range(10)), list(range(10, 20)))


def test_the_units_of_some_images_are_numbered_without_gaps_and_none_where_no_two_are_of_one_group():
    dataset = grouped([0, 1, 0, 1, 0, 1], [7, 7, -1, 3, 3, -1])
    units = units_of_images(dataset, np.arange(6))
    assert units.dtype == np.int64
    assert sorted(set(units.tolist())) == [0, 1, 2, 3]
    assert (units[0] == units[1], units[3] == units[4], units[2] == units[5]) == (True, True, False)
    assert units_of_images(dataset, np.array([0, 2, 3, 5])) is None
    assert units_of_images(Dataset(dataset.images, dataset.labels, NAMES, "fruit"), np.arange(6)) is None
