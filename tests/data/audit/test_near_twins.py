import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright import Dataset, load_dataset
from eyebright.data.audit import near_twins
from eyebright.data.audit.agreement import agreement
from eyebright.data.audit.embedding import averaging, embed, resized
from eyebright.data.audit.near_twins import find_near_twins
from eyebright.data.audit.signals import shortcut_findings


def photographs(number, side=32, seed=0):
    """Random images with the spectrum of photographs, whose amplitude falls with the frequency."""
    noise = np.random.default_rng(seed).normal(size=(number, side, side, 3))
    frequencies = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    falling = 1 / np.maximum(frequencies, 1 / side) ** 1.2
    images = np.fft.ifft2(np.fft.fft2(noise, axes=(1, 2)) * falling[:, :, None], axes=(1, 2)).real
    images *= 50 / images.std(axis=(1, 2, 3), keepdims=True)
    return np.clip(images + 128, 0, 255).astype(np.uint8)


def dataset(images, splits=None):
    labels = (np.arange(len(images)) % 2).astype(np.int32)
    return Dataset(images, labels, ("a", "b"), "some", splits or {})


def groups(images):
    data = dataset(images)
    return find_near_twins(data).groups


def test_photographs_have_no_twins():
    assert groups(photographs(200)) == []


CHANGES = {
    "brighter": lambda image: np.clip(image * 1.2 + 5, 0, 255),
    "mirrored": lambda image: image[:, ::-1],
    "shifted": lambda image: np.roll(image, (1, 2), axis=(0, 1)),
    "noisy": lambda image: np.clip(image + np.random.default_rng(1).normal(0, 6, image.shape), 0, 255),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found(change):
    images = photographs(60)
    images[47] = CHANGES[change](images[11].astype(np.float32)).astype(np.uint8)
    assert groups(images) == [[11, 47]]


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2), st.integers(0, 2), st.booleans(), st.floats(0.8, 1.2), st.floats(-20, 20))
def test_copies_agree_and_others_do_not(down, across, mirrored, contrast, brightness):
    images = photographs(8)
    shifted = np.roll(images, (down, across), axis=(1, 2)).astype(np.float32)
    changed = np.clip((shifted - 128) * contrast + 128 + brightness, 0, 255).astype(np.uint8)
    assert (agreement(images, changed) > 0.85).all()
    assert (agreement(images, np.roll(changed, 1, axis=0)) < 0.8).all()
    if mirrored:
        assert (agreement(images, changed[:, :, ::-1]) < 0.8).all()


def test_exactly_equal_images_are_left_to_those_who_look_for_them():
    images = photographs(20)
    images[7] = images[3]
    assert groups(images) == []


def test_of_equal_images_one_of_each_split_is_compared():
    images = photographs(20)
    images[7] = images[3]  # in train
    images[15] = images[3]  # in test
    images[18] = np.clip(images[3] * 0.9, 0, 255)  # in test, almost the same
    data = dataset(images, {"train": np.arange(10), "test": np.arange(10, 20)})
    assert find_near_twins(data).groups == [[3, 15, 18]]


def test_images_too_small_to_show_much_are_not_compared_and_that_is_said():
    digits = load_dataset("digits")
    found = find_near_twins(digits)
    assert found.groups == []
    assert found.notes == ["Near duplicates were not looked for: images of 8 × 8 show too little."]


def test_handwritten_digits_that_resemble_each_other_are_not_twins():
    digits = load_dataset("digits")
    large = np.repeat(np.repeat(digits.images, 4, axis=1), 4, axis=2)[:1000]
    blurred = np.round(resized(large, 28)).astype(np.uint8)
    found = find_near_twins(Dataset(blurred, digits.labels[:1000], digits.class_names, "large"))
    assert len(found.groups) <= 5


def test_of_too_many_images_those_of_the_test_split_are_compared_and_the_rest_is_said(monkeypatch):
    monkeypatch.setattr(near_twins, "_MOST", 30)
    images = photographs(100)
    images[95] = images[90][:, ::-1]
    data = dataset(images, {"train": np.arange(80), "test": np.arange(80, 100)})
    found = find_near_twins(data)
    assert found.groups == [[90, 95]]
    assert found.notes == [
        "Near duplicates were looked for among 30 images, evenly chosen; 70 were left out.",
    ]


def test_of_too_many_similar_pairs_the_most_similar_are_compared(monkeypatch):
    monkeypatch.setattr(near_twins, "_MOST_PAIRS", 3)
    monkeypatch.setattr(near_twins, "_SIMILAR_OF_FEW", -1.0)
    images = photographs(20)
    images[15] = images[10][:, ::-1]
    data = dataset(images)
    found = find_near_twins(data)
    assert found.groups == [[10, 15]]
    assert "only the 3 most similar pairs" in found.notes[0]


def test_blocks_make_no_difference(monkeypatch):
    images = photographs(50)
    images[49] = np.clip(images[0] * 0.9, 0, 255)
    monkeypatch.setattr(near_twins, "_ROWS", 7)
    assert groups(images) == [[0, 49]]


def test_constant_images_resemble_nothing():
    images = photographs(20)
    images[4], images[9] = 7, 200
    assert groups(images) == []
    assert (embed(images, np.arange(20)).plain[[4, 9]] == 0).all()


@given(st.integers(1, 40), st.integers(1, 12))
def test_averages_of_ones_are_ones(length, parts):
    np.testing.assert_allclose(averaging(length, parts) @ np.ones(length), 1, rtol=1e-5)


def test_the_twins_of_cifar10_that_are_known_are_found(cifar10_path):
    """Ten pairs of those that the authors of ciFAIR list, among as many images as a test has time for."""
    pairs = [
        (7871, 18791), (2391, 5945), (2019, 32409), (9683, 1583), (264, 46580),
        (385, 32426), (2736, 46811), (9516, 9316), (5856, 44145), (6080, 34616),
    ]  # fmt: skip
    cifar10 = load_dataset(cifar10_path)
    places = [place for test, train in pairs for place in (train, 50_000 + test)]
    kept = np.unique([*places, *range(0, 60_000, 12)])
    some = cifar10.subset(kept)
    found = find_near_twins(some).groups
    of_image = {int(kept[place]): number for number, group in enumerate(found) for place in group}
    assert [pair for pair in pairs if of_image.get(pair[1], -1) != of_image.get(50_000 + pair[0], -2)] == []


def test_memory_does_not_grow_with_the_size_of_the_images():
    """48 images of 1000 × 1000 are 576 MB as float32."""
    small = photographs(24)
    images = np.empty((48, 1000, 1000, 3), np.uint8)
    for place in range(48):
        images[place] = np.kron(small[place % 24, :25, :25], np.ones((40, 40, 1), np.uint8))
    images[24:, 5] ^= 1  # near twins of the first half
    data = dataset(images)
    assert len(data.image_hashes) == 48  # computed before the memory is measured
    tracemalloc.start()
    try:
        found = find_near_twins(data).groups
        shortcut_findings(data, ())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == [[place, place + 24] for place in range(24)]
    assert peak < 150e6


def test_twins_of_twins_are_told_pair_by_pair_and_no_pair_is_lost():
    """Of images that change a little from one to the next, the ends are no twins."""
    pairs = np.array([[0, 1], [1, 2], [2, 3], [3, 4]])
    found = near_twins._groups(pairs)
    assert found == [[0, 1, 2], [2, 3], [3, 4]]
    everyone = np.array([[5, 6], [6, 7], [5, 7]])
    assert near_twins._groups(everyone) == [[5, 6, 7]]
    assert near_twins._groups(np.empty((0, 2), np.int64)) == []


@settings(deadline=None)
@given(st.sets(st.tuples(st.integers(0, 12), st.integers(0, 12)).filter(lambda pair: pair[0] < pair[1])))
def test_every_pair_is_in_a_group_and_every_group_has_an_image_that_is_everyones_twin(pairs):
    found = near_twins._groups(np.array(sorted(pairs), np.int64).reshape(-1, 2))
    for one, other in pairs:
        assert any({one, other} <= set(group) for group in found)
    for group in found:
        assert any(all(tuple(sorted((one, other))) in pairs for other in group if other != one) for one in group)
