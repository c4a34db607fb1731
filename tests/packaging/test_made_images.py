import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.packaging.made_images import made_images, spread_over
from eyebright.storage import sha256

OF_128 = "4bfabd041e45694b295f8486d3dcc12dbeb1ab18c2ae8f015968b2e4600d76d9"  # SHA-256 of their pixels


def test_they_are_images_of_the_shape_asked_for(image_shape):
    images = made_images(image_shape, 20)
    assert (images.shape, images.dtype) == ((20, *image_shape), np.uint8)
    np.testing.assert_array_equal(made_images(image_shape, 7), images[:7])


def test_they_are_the_same_wherever_and_whenever_they_are_made():
    assert sha256(made_images((8, 6, 3), 128).tobytes()) == OF_128


def test_they_vary():
    images = made_images((32, 32, 3), 128).astype(float)
    means, deviations = images.mean(axis=(1, 2, 3)), images.std(axis=(1, 2, 3))
    assert np.ptp(means) > 150
    assert deviations.min() < 15
    assert deviations.max() > 70
    assert len({image.tobytes() for image in images}) == 128


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 20))
def test_as_many_classes_as_can_be_are_among_those_chosen(classes, count):
    classes = np.array(classes)
    chosen = spread_over(classes, count)
    assert len(chosen) == min(count, len(classes))
    assert (np.diff(chosen) > 0).all()
    assert len(set(classes[chosen])) == min(len(set(classes)), count)
    left = np.delete(classes, chosen)
    sizes = np.bincount(classes[chosen], minlength=10)
    for label in set(left):  # who could have given one more has as many as any other, or one less
        assert sizes[label] >= sizes.max() - 1


@pytest.mark.parametrize("count", [1, 16])
def test_the_first_of_each_class_come_first(count):
    assert spread_over(np.zeros(30, int), count).tolist() == list(range(count))
