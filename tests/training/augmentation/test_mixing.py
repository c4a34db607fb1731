import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.backend import tf
from eyebright.training.augmentation.mixing import erase, mix

CLASSES = 4


def random_boxes(rng: np.random.Generator, n: int, height: int, width: int) -> np.ndarray:
    """Int32 [n, 4], some of them empty, some the whole image."""
    rows = np.sort(rng.integers(0, height + 1, (n, 2)), axis=1)
    columns = np.sort(rng.integers(0, width + 1, (n, 2)), axis=1)
    boxes = np.stack([rows[:, 0], columns[:, 0], rows[:, 1], columns[:, 1]], axis=1).astype(np.int32)
    boxes[0], boxes[1] = 0, (0, 0, height, width)
    return boxes


sizes = {"height": st.integers(1, 8), "width": st.integers(1, 8), "channels": st.sampled_from([1, 3])}


@settings(max_examples=40, deadline=None)
@given(**sizes, seed=st.integers(0, 999))
def test_boxes_are_hidden_under_the_mean_colour(height, width, channels, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (5, height, width, channels), np.uint8)
    boxes = random_boxes(rng, 5, height, width)
    actual = erase(tf.constant(images), boxes)
    assert actual.dtype == tf.uint8
    expected = images.astype(float)
    for image, (top, left, bottom, right) in zip(expected, boxes, strict=True):
        image[top:bottom, left:right] = image.mean(axis=(0, 1))
    np.testing.assert_allclose(actual, expected, atol=0.5 + 1e-4)
    np.testing.assert_array_equal(actual[0], images[0])


@settings(max_examples=40, deadline=None)
@given(
    **sizes,
    seed=st.integers(0, 999),
    ways=st.sampled_from([("share",), ("patch",), ("share", "patch")]),
    dtype=st.sampled_from(["float32", "float64"]),
)
def test_images_and_targets_are_mixed_by_the_same_parts(height, width, channels, seed, ways, dtype):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (6, height, width, channels), np.uint8)
    targets = rng.dirichlet(np.ones(CLASSES), 6).astype(dtype)
    partner = rng.permutation(6).astype(np.int32)
    shares = rng.random(6).astype(np.float32)
    boxes = random_boxes(rng, 6, height, width)
    shares[3:], boxes[:3] = (1, boxes[:3]) if ways == ("share", "patch") else (shares[3:], 0)
    given_parameters = {"share": shares, "patch": boxes}
    new_images, new_targets = mix(
        tf.constant(images), tf.constant(targets), partner, **{way: given_parameters[way] for way in ways}
    )
    assert new_images.dtype == tf.uint8
    assert new_targets.dtype == dtype
    np.testing.assert_allclose(np.sum(new_targets, axis=1), 1, rtol=1e-5)
    assert np.min(new_targets) >= 0
    for i in range(6):
        # How much of each pixel is the image's own; the target is mixed by the mean of it.
        own = np.full((height, width), shares[i] if "share" in ways else 1.0)
        if "patch" in ways:
            top, left, bottom, right = boxes[i]
            own[top:bottom, left:right] = 0
        other = partner[i]
        expected = own[..., None] * images[i] + (1 - own[..., None]) * images[other]
        np.testing.assert_allclose(new_images[i], expected, atol=0.5 + 1e-3)
        np.testing.assert_allclose(
            new_targets[i], own.mean() * targets[i] + (1 - own.mean()) * targets[other], atol=1e-5
        )


def test_whole_shares_and_empty_patches_change_nothing(image_shape, random_images):
    images, targets = random_images(5, *image_shape), np.eye(5, CLASSES, dtype=np.float32)
    partner, ones, empty = np.arange(5, dtype=np.int32)[::-1], np.ones(5, np.float32), np.zeros((5, 4), np.int32)
    new_images, new_targets = mix(images, targets, partner, ones, empty)
    np.testing.assert_array_equal(new_images, images)
    np.testing.assert_array_equal(new_targets, targets)
    np.testing.assert_array_equal(erase(images, empty), images)


@pytest.mark.parametrize("targets", [np.zeros(5, np.float32), np.zeros((4, 3), np.float32)])
def test_targets_that_are_no_distributions_are_an_error(targets, random_images):
    with pytest.raises(ValueError, match=r"needs targets \[5, classes\]"):
        mix(random_images(5, 4, 4, 1), targets, np.arange(5, dtype=np.int32), np.ones(5, np.float32))
