import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.data.dataset import Dataset, image_hashes
from eyebright.errors import DataError

NAMES = ("apple", "pear", "plum")
few = settings(max_examples=60, deadline=None)


def make(**changes):
    """Six small images of three classes, with some of its arguments changed."""
    images = np.arange(6 * 4 * 5 * 3, dtype=np.uint8).reshape(6, 4, 5, 3)
    labels = np.array([0, 1, 2, 2, 1, 0], np.int32)
    arguments = {"images": images, "labels": labels, "class_names": NAMES, "name": "fruit", "splits": {}}
    return Dataset(**{**arguments, **changes})


@st.composite
def datasets(draw):
    n, height, width = draw(st.integers(1, 6)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    images = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, (n, height, width, 3), np.uint8)
    labels = np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)), np.int32)
    return Dataset(images, labels, NAMES, "drawn")


@few
@given(dataset=datasets())
def test_equal_data_have_equal_fingerprints_under_any_name(dataset):
    copy = Dataset(dataset.images.copy(), dataset.labels.copy(), tuple(dataset.class_names), "another name")
    assert copy.fingerprint == dataset.fingerprint
    assert len(dataset.fingerprint) == 64


@few
@given(dataset=datasets(), data=st.data())
def test_a_changed_pixel_changes_the_fingerprint(dataset, data):
    images = dataset.images.copy()
    images.reshape(-1)[data.draw(st.integers(0, images.size - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert dataclasses.replace(dataset, images=images).fingerprint != dataset.fingerprint


@few
@given(dataset=datasets(), data=st.data())
def test_a_changed_label_changes_the_fingerprint(dataset, data):
    labels = dataset.labels.copy()
    position = data.draw(st.integers(0, len(labels) - 1))
    labels[position] = (labels[position] + data.draw(st.integers(1, 2))) % 3
    assert dataclasses.replace(dataset, labels=labels).fingerprint != dataset.fingerprint


@few
@given(dataset=datasets(), names=st.permutations(["apple", "pear", "plum", "quince"]), count=st.integers(3, 4))
def test_other_class_names_have_another_fingerprint(dataset, names, count):
    renamed = dataclasses.replace(dataset, class_names=tuple(names[:count]))
    assert (renamed.fingerprint == dataset.fingerprint) == (renamed.class_names == dataset.class_names)


def test_other_splits_have_another_fingerprint():
    splits = [{}, {"test": [1]}, {"test": [2]}, {"test": [1, 2]}, {"validation": [1]}, {"test": [1], "train": [2]}]
    assert len({make(splits=split).fingerprint for split in splits}) == len(splits)


def test_the_same_bytes_in_another_shape_have_another_fingerprint():
    images = make().images
    assert make(images=images.reshape(6, 5, 4, 3)).fingerprint != make().fingerprint
    assert make(images=images.reshape(6, 12, 5, 1)).fingerprint != make().fingerprint


def test_names_that_run_together_alike_have_different_fingerprints():
    assert make(class_names=("ab", "c", "d")).fingerprint != make(class_names=("a", "bc", "d")).fingerprint


def test_the_fingerprint_does_not_depend_on_where_and_how_the_pixels_lie(tmp_path):
    images = make().images
    np.save(tmp_path / "images.npy", images)
    for same in (
        np.load(tmp_path / "images.npy", mmap_mode="r"),
        np.asfortranarray(images),
        np.repeat(images, 2, axis=0)[::2],
    ):
        assert make(images=same).fingerprint == make().fingerprint


def test_the_fingerprint_of_known_data_is_the_one_that_older_runs_recorded():
    fingerprint = make(splits={"test": [5]}).fingerprint
    assert fingerprint == "bd1b4717807447a3d74def96ba49c0c62a422a39abb2b32865bf3f4d66f0663a"


def test_more_images_than_are_hashed_at_once_are_all_hashed():
    images = np.zeros((5_000, 1, 1, 1), np.uint8)
    labels = np.zeros(5_000, np.int32)
    before = Dataset(images, labels, NAMES, "many").fingerprint
    changed = images.copy()
    changed[4_999] = 1
    assert Dataset(changed, labels, NAMES, "many").fingerprint != before


def test_where_the_data_came_from_is_no_part_of_the_fingerprint():
    assert make().source == ""
    assert make(source="somewhere").fingerprint == make().fingerprint


def test_image_hashes_tell_images_apart():
    hashes = image_hashes(make().images, np.array([0, 1, 0]))
    assert (hashes.shape, hashes.dtype) == ((3, 32), np.uint8)
    assert np.array_equal(hashes[0], hashes[2])
    assert not np.array_equal(hashes[0], hashes[1])
    assert hashes[1].tobytes() == hashlib.sha256(make().images[1].tobytes()).digest()
    assert image_hashes(make().images, np.array([], np.int64)).shape == (0, 32)


def test_a_dataset_cannot_be_changed():
    dataset = make(splits={"test": np.array([1])})
    for array in (dataset.images, dataset.labels, dataset.splits["test"]):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.name = "vegetables"
    with pytest.raises(TypeError):
        dataset.splits["train"] = np.array([2])


def test_the_arrays_that_it_was_made_of_stay_their_owners():
    images, test = make().images.copy(), np.array([1])
    dataset = make(images=images, splits={"test": test})
    images[0, 0, 0, 0] += 1  # still writeable
    test[0] = 2
    assert dataset.splits["test"].tolist() == [1]


def test_images_are_not_copied():
    images = np.zeros((6, 4, 5, 3), np.uint8)
    assert np.shares_memory(make(images=images).images, images)


def test_what_it_says_of_itself():
    dataset = make(splits={"train": [0, 1, 2], "test": [3]})
    assert len(dataset) == 6
    assert dataset.image_shape == (4, 5, 3)
    assert dataset.class_counts().tolist() == [2, 2, 2]
    assert dataset.class_counts(dataset.splits["test"]).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((6, 4, 5, 3), np.float32)}, r"images must be uint8 .* these are float32 \[6, 4, 5, 3\]"),
        ({"images": np.zeros((6, 4, 5), np.uint8)}, r"images must be uint8 .* these are uint8 \[6, 4, 5\]"),
        ({"images": np.zeros((0, 4, 5, 3), np.uint8), "labels": np.zeros(0, np.int32)}, "it has no images"),
        ({"images": np.zeros((6, 0, 5, 3), np.uint8)}, "it has no images"),
        ({"images": np.zeros((6, 4, 5, 4), np.uint8)}, r"must have 1 channel \(grey\) or 3 \(RGB\); these have 4"),
        ({"labels": np.zeros(6)}, r"labels must be int32 \[6\], one an image; these are float64 \[6\]"),
        ({"labels": np.zeros(5, np.int32)}, r"labels must be int32 \[6\], one an image; these are int32 \[5\]"),
        ({"labels": np.zeros((6, 1), np.int32)}, r"these are int32 \[6, 1\]"),
        ({"labels": np.array([0, 1, 3, 4, 0, 0], np.int32)}, r"label of image 2 is 3; .* in 0 … 2 \(2 do not\)"),
        ({"labels": np.full(6, -1, np.int32)}, r"label of image 0 is -1; .* \(6 do not\)"),
        ({"class_names": ("apple",)}, "it has 1 class; a classifier needs at least two"),
        ({"class_names": ("apple", "pear", "apple")}, "two classes have the name 'apple'"),
        ({"class_names": ("apple", "pear", "")}, "the class name '' is empty or"),
        ({"class_names": ("apple", "pear", "two\nlines")}, r"the class name 'two\\nlines' is empty or has characters"),
        ({"class_names": ("apple", "pear", "\udcff")}, r"the class name '\\udcff'"),
        ({"splits": {"val": [0]}}, "unknown split 'val'; splits are train, validation, test"),
        ({"splits": {"test": []}}, "the split 'test' is empty or names images that are not there"),
        ({"splits": {"test": [6]}}, "the split 'test' is empty or names images that are not there"),
        ({"splits": {"test": [-1]}}, "the split 'test' is empty or names images that are not there"),
        ({"splits": {"test": [[1]]}}, "the split 'test' is empty or names images that are not there"),
        ({"splits": {"test": [1, 1]}}, "an image of the split 'test' is also in another split, or in it twice"),
        ({"splits": {"train": [0, 1], "test": [1]}}, "an image of the split 'test' is also in another split"),
    ],
)
def test_what_cannot_be_learnt_from_is_a_data_error(changes, message):
    with pytest.raises(DataError, match=f"fruit: .*{message}"):
        make(**changes)
