import numpy as np
import pytest

from eyebright.data.dataset import Dataset
from eyebright.evaluation.slices import describe_worst, image_parts, slice_images
from eyebright.metrics.intervals import wilson_interval


@pytest.fixture(scope="module")
def dataset():
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (400, 6, 6, 3), np.uint8)
    images[300:] //= 4  # dark ones
    images[:100] = images[:100] // 8 + 100  # pale ones
    groups = np.full(400, -1, np.int32)
    groups[50:90], groups[200:203] = 0, 1
    return Dataset(images, np.tile(np.arange(4, dtype=np.int32), 100), ("a", "b", "c", "d"), "noise", groups=groups)


@pytest.fixture(scope="module")
def parts(dataset):
    return image_parts(dataset, np.arange(400), np.stack([np.arange(400) + 10, np.full(400, 50)], axis=1))


def test_images_are_parted_by_all_that_is_known_of_them(dataset, parts):
    assert set(parts) == {"class", "brightness", "contrast", "sharpness", "size in pixels", "group"}
    assert (parts["class"]["b"] == (dataset.labels == 1)).all()
    for attribute in ("brightness", "contrast", "sharpness", "size in pixels"):
        members = np.stack(list(parts[attribute].values()))
        assert members.shape == (4, 400)
        assert (members.sum(axis=0) == 1).all()
        assert members.sum(axis=1).tolist() == [100] * 4
    (darkest, in_it), *_ = parts["brightness"].items()
    assert darkest.endswith("(lowest quarter)")
    assert set(np.flatnonzero(in_it)) == set(range(300, 400))
    assert set(np.flatnonzero(next(iter(parts["contrast"].values())))) == set(range(100))
    assert {name: int(members.sum()) for name, members in parts["group"].items()} == {"of 50": 40, "of 200": 3}


def test_equal_numbers_stay_together():
    same = Dataset(np.full((40, 2, 2, 1), 7, np.uint8), np.tile([0, 1], 20).astype(np.int32), ("a", "b"), "same")
    assert [members.sum() for members in image_parts(same, np.arange(40))["brightness"].values()] == [40]
    assert "size in pixels" not in image_parts(same, np.arange(40))


@pytest.mark.parametrize(("attribute", "wrong"), [("brightness", range(300, 400)), ("group", range(50, 90))])
def test_a_planted_bad_slice_is_found(parts, attribute, wrong):
    correct = np.random.default_rng(1).random(400) < 0.95
    correct[list(wrong)] = np.random.default_rng(2).random(len(wrong)) < 0.5
    slices = slice_images(correct, parts)
    worst = slices[0]
    assert worst.attribute == attribute
    assert worst.n == len(wrong)
    assert worst.accuracy == correct[list(wrong)].mean()
    confidence = 1 - 0.05 / len(slices)
    assert worst.interval == wilson_interval(int(correct[list(wrong)].sum()), worst.n, confidence)
    sentence = describe_worst(slices, correct.mean())
    assert sentence.startswith(f"The worst slice is {attribute} {worst.name}: accuracy {worst.accuracy:.3f}")
    assert f"corrected for {len(slices)} slices" in sentence
    assert sentence.endswith("worse beyond chance.")


def test_chance_alone_is_no_bad_slice(parts):
    named = 0
    for seed in range(200):
        correct = np.random.default_rng(seed).random(400) < 0.8
        named += describe_worst(slice_images(correct, parts), correct.mean()).startswith("The worst")
    assert named <= 10  # 5%


def test_small_slices_and_the_whole_are_left_out(parts):
    slices = slice_images(np.ones(400, bool), {**parts, "all": {"of it": np.ones(400, bool)}})
    assert "of 200" not in {one.name for one in slices}
    assert "all" not in {one.attribute for one in slices}
    assert slice_images(np.ones(5, bool), {"class": {"a": np.arange(5) < 2}}) == []
    assert describe_worst([], 0.5).startswith("No part of the images that has 20 of them")
