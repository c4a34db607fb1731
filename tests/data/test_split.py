import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from eyebright.data.dataset import Dataset
from eyebright.data.split import split_dataset
from eyebright.errors import DataError, SettingsError

NAMES = ("apple", "pear", "plum", "quince")
many = settings(max_examples=150, deadline=None)
seeds = st.integers(0, 2**64 - 1)


def with_labels(labels, splits=None, seed=0):
    labels = np.asarray(labels, np.int32)
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 2, 2, 1), np.uint8)
    return Dataset(images, labels, NAMES, "fruit", splits or {})


@st.composite
def labels_with_enough_of_each(draw, least=6):
    """Labels of two to four classes in any order, each class with at least a few images; some classes with none."""
    counts = draw(st.lists(st.just(0) | st.integers(least, 40), min_size=2, max_size=4))
    assume(np.count_nonzero(counts) >= 2)
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(draw(st.integers(0, 99))).permutation(labels)


def parts(split):
    return [getattr(split, field.name) for field in dataclasses.fields(split)]


def assert_stratified(taken, pool_counts, taken_counts):
    """The classes' counts are their shares of `taken`, to less than one image."""
    for pool_count, taken_count in zip(pool_counts.tolist(), taken_counts.tolist(), strict=True):
        assert abs(Fraction(taken * pool_count, int(pool_counts.sum())) - taken_count) < 1


@many
@given(labels=labels_with_enough_of_each(), validation=st.sampled_from([0, 0.1, 0.25, 3, 0.5]), seed=seeds)
def test_a_split_is_disjoint_complete_ascending_and_stratified(labels, validation, seed):
    dataset = with_labels(labels)
    split = split_dataset(dataset, validation=validation, test_fraction=0.2, seed=seed)
    assert sorted(np.concatenate(parts(split)).tolist()) == list(range(len(labels)))
    for indices in parts(split):
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()
    left = len(labels) - len(split.test)
    assert len(split.test) == round(0.2 * len(labels))
    assert len(split.validation) == (round(validation * left) if validation < 1 else validation)
    in_test, in_validation = dataset.class_counts(split.test), dataset.class_counts(split.validation)
    assert_stratified(len(split.test), dataset.class_counts(), in_test)
    assert_stratified(len(split.validation), dataset.class_counts() - in_test, in_validation)


@many
@given(labels=labels_with_enough_of_each(), seed=seeds)
def test_a_split_is_a_pure_function_of_labels_and_seed(labels, seed):
    first = split_dataset(with_labels(labels, seed=1), validation=0.1, test_fraction=0.2, seed=seed)
    again = split_dataset(with_labels(labels, seed=2), validation=0.1, test_fraction=0.2, seed=seed)
    for one, other in zip(parts(first), parts(again), strict=True):
        np.testing.assert_array_equal(one, other)


@many
@given(labels=labels_with_enough_of_each(), seed=seeds, validation=st.sampled_from([0, 0.3, 1]))
def test_the_test_images_do_not_depend_on_validation(labels, seed, validation):
    dataset = with_labels(labels)
    split = split_dataset(dataset, validation=validation, test_fraction=0.2, seed=seed)
    default = split_dataset(dataset, validation=0.1, test_fraction=0.2, seed=seed)
    np.testing.assert_array_equal(split.test, default.test)


@many
@given(labels=labels_with_enough_of_each(), seed=seeds, data=st.data())
def test_a_test_split_that_the_data_came_with_is_used(labels, seed, data):
    # One image of each class stays in training, so that there is something to learn.
    first = {int(np.flatnonzero(labels == label)[index]) for label in np.unique(labels) for index in (0, 1, 2, 3, 4)}
    test = data.draw(st.permutations([index for index in range(len(labels)) if index not in first]))
    assume(test)
    dataset = with_labels(labels, {"test": test})
    split = split_dataset(dataset, validation=2, test_fraction=0.5, seed=seed)
    assert split.test.tolist() == sorted(test)
    assert len(split.validation) == 2
    assert sorted(np.concatenate(parts(split)).tolist()) == list(range(len(labels)))


def test_different_seeds_give_different_splits():
    dataset = with_labels(np.arange(400) % 4)
    splits = [split_dataset(dataset, validation=0.1, test_fraction=0.2, seed=seed) for seed in range(5)]
    assert len({tuple(split.test.tolist()) for split in splits}) == 5
    assert len({tuple(split.validation.tolist()) for split in splits}) == 5


def test_every_image_is_drawn_equally_often():
    dataset = with_labels(np.arange(40) % 2)
    drawn = np.zeros(40)
    for seed in range(1000):
        drawn[split_dataset(dataset, validation=0, test_fraction=0.25, seed=seed).test] += 1
    # Each is binomial with mean 250 and standard deviation 13.7; five of them is one in 1.7 million.
    assert abs(drawn - 250).max() < 5 * 13.7


def test_a_known_split_stays_what_it_was():
    dataset = with_labels(np.arange(20) % 2)
    split = split_dataset(dataset, validation=0.25, test_fraction=0.2, seed=0)
    assert split.test.tolist() == [14, 15, 16, 17]
    assert split.validation.tolist() == [0, 1, 4, 19]


def test_the_order_of_the_indices_of_a_given_split_plays_no_part():
    labels = np.arange(40) % 2
    test = np.arange(10)
    split = split_dataset(with_labels(labels, {"test": test}), validation=4, test_fraction=0.2, seed=3)
    other = split_dataset(
        with_labels(labels, {"test": test[::-1], "train": np.arange(40)[:9:-1]}),
        validation=4,
        test_fraction=0.2,
        seed=3,
    )
    for one, another in zip(parts(split), parts(other), strict=True):
        np.testing.assert_array_equal(one, another)


def test_given_train_validation_and_test_are_used_as_they_are():
    splits = {"train": [0, 1, 2, 3], "validation": [4, 5], "test": [6, 7]}
    dataset = with_labels(np.arange(10) % 2, splits)  # the images 8 and 9 are in no split
    for validation in (0, 0.5):
        split = split_dataset(dataset, validation=validation, test_fraction=0.2, seed=0)
        assert [part.tolist() for part in parts(split)] == [[0, 1, 2, 3], [4, 5], [6, 7]]


def test_given_validation_alone_stays_out_of_training_and_testing():
    dataset = with_labels(np.arange(20) % 2, {"validation": [0, 1, 2, 3]})
    split = split_dataset(dataset, validation=0.1, test_fraction=0.25, seed=0)
    assert split.validation.tolist() == [0, 1, 2, 3]
    assert (len(split.train), len(split.test)) == (12, 4)


def test_given_train_alone_is_divided():
    dataset = with_labels(np.arange(20) % 2, {"train": np.arange(10)})
    split = split_dataset(dataset, validation=2, test_fraction=0.2, seed=0)
    assert [len(part) for part in parts(split)] == [6, 2, 2]
    assert max(map(max, parts(split))) < 10


def test_no_validation_leaves_all_for_training():
    dataset = with_labels(np.arange(20) % 2, {"test": [0, 1]})
    split = split_dataset(dataset, validation=0, test_fraction=0.2, seed=0)
    assert split.validation.tolist() == []
    assert split.train.tolist() == list(range(2, 20))


def test_a_single_image_needs_no_second_where_nothing_is_drawn():
    dataset = with_labels([0, 1, 1, 0], {"train": [0, 1], "test": [2, 3]})
    split = split_dataset(dataset, validation=0, test_fraction=0.2, seed=0)
    assert split.train.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("labels", "splits", "validation", "message"),
    [
        ([0] * 9 + [1] * 9 + [2], None, 0, "the class 'plum' has a single image .* training and testing"),
        (
            [0] * 9 + [1] * 9 + [2] + [0, 1],
            {"test": [19, 20]},
            0.1,
            "the class 'plum' has a single image .* validation",
        ),
        ([0] * 20, None, 0, "training images of at least two classes; all are of the class 'apple'"),
        ([0] * 9 + [1] * 2, {"test": [9, 10]}, 0, "the class 'pear' has no training image, and validation or test"),
        ([0, 1], {"test": [0, 1]}, 0, "has no training image"),
        (
            [0] * 9 + [1] * 9,
            {"test": [0, 9]},
            16,
            "validation = 16 of 16 images leaves none to train on. Ask for fewer",
        ),
        ([0] * 9 + [1] * 9, {"test": [0, 9]}, 1000, "validation = 1000 of 16 images leaves none to train on"),
        ([0] * 9 + [1] * 9, {"test": [0, 9]}, 0.01, r"validation = 0\.01 of 16 images comes to no image. Ask for more"),
        ([0] * 9 + [1] * 2, {"test": [0]}, 0.9, "takes all 2 images of the class 'pear' and leaves none to train on"),
        ([0, 1], None, 0, r"test_fraction = 0\.2 of 2 images comes to no image"),
    ],
)
def test_too_few_images_are_a_data_error(labels, splits, validation, message):
    with pytest.raises(DataError, match=f"fruit: .*{message}"):
        split_dataset(with_labels(labels, splits), validation=validation, test_fraction=0.2, seed=0)


@pytest.mark.parametrize("validation", [-0.1, 1.5, float("nan"), float("inf")])
def test_validation_out_of_its_range_is_a_settings_error(validation):
    with pytest.raises(SettingsError, match=r"validation = .* a fraction below 1, a whole number of images, or 0"):
        split_dataset(with_labels(np.arange(20) % 2), validation=validation, test_fraction=0.2, seed=0)


@pytest.mark.parametrize("test_fraction", [0, 1, -0.2, float("nan")])
def test_test_fraction_out_of_its_range_is_a_settings_error(test_fraction):
    with pytest.raises(SettingsError, match=r"test_fraction = .* must lie between 0 and 1"):
        split_dataset(with_labels(np.arange(20) % 2), validation=0, test_fraction=test_fraction, seed=0)
