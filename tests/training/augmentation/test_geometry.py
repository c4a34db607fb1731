import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from eyebright.backend import tf
from eyebright.training.augmentation.geometry import flip_and_shift, warp
from eyebright.training.augmentation.matrices import place_maps


def moved(image: np.ndarray, flip: bool, down: int, right: int) -> np.ndarray:
    """The reference: mirror, pad by reflection, and cut out."""
    height, width, _ = image.shape
    image = image[:, ::-1] if flip else image
    padded = np.pad(image, [(abs(down),) * 2, (abs(right),) * 2, (0, 0)], mode="reflect")
    top, left = abs(down) - down, abs(right) - right
    return padded[top : top + height, left : left + width]


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), channels=st.sampled_from([1, 3]), seed=st.integers(0, 999))
def test_flips_and_shifts_are_those_of_numpy(height, width, channels, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (6, height, width, channels), np.uint8)
    flip = rng.integers(0, 2, 6).astype(bool)
    down, right = rng.integers(1 - height, height, 6), rng.integers(1 - width, width, 6)
    expected = np.array([moved(*each) for each in zip(images, flip, down.tolist(), right.tolist(), strict=True)])
    actual = flip_and_shift(tf.constant(images), flip, down.astype(np.int32), right.astype(np.int32))
    assert actual.dtype == tf.uint8
    np.testing.assert_array_equal(actual, expected)


def test_flip_or_shift_alone(random_images):
    images = random_images(4, 6, 5, 3)
    flip, down, right = (
        np.array([0, 1, 0, 1], bool),
        np.array([0, 1, -2, 3], np.int32),
        np.array([0, 4, 0, -4], np.int32),
    )
    flipped, shifted = flip_and_shift(images, flip=flip), flip_and_shift(images, down=down, right=right)
    for i in range(4):
        np.testing.assert_array_equal(flipped[i], moved(images[i], flip[i], 0, 0))
        np.testing.assert_array_equal(shifted[i], moved(images[i], False, int(down[i]), int(right[i])))


def test_neutral_parameters_change_nothing(image_shape, random_images):
    images = random_images(5, *image_shape)
    still = np.zeros(5, np.int32)
    np.testing.assert_array_equal(flip_and_shift(images, still.astype(bool), still, still), images)
    np.testing.assert_array_equal(warp(images, np.broadcast_to(np.eye(3, dtype=np.float32), (5, 3, 3))), images)


def warped(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The reference: SciPy's linear interpolation, whose `mirror` is a reflection without repeated edge."""
    height, width, channels = image.shape
    y, x = np.mgrid[:height, :width].astype(float)
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    old_x, old_y, _ = np.einsum("ij,jhw->ihw", places, [x - middle_x, y - middle_y, np.ones_like(x)])
    sources = [old_y + middle_y, old_x + middle_x]
    return np.stack(
        [
            ndimage.map_coordinates(image[..., channel].astype(float), sources, order=1, mode="mirror")
            for channel in range(channels)
        ],
        axis=-1,
    )


@settings(max_examples=60, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), channels=st.sampled_from([1, 3]), seed=st.integers(0, 999))
def test_warped_pixels_are_those_of_scipy(height, width, channels, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (5, height, width, channels), np.uint8)
    places = np.tile(np.eye(3), (5, 1, 1))
    places[:, :2] += rng.normal(0, [0.7, 0.7, 5.0], (5, 2, 3))  # some of them far outside
    actual = warp(tf.constant(images), places.astype(np.float32))
    assert actual.dtype == tf.uint8
    for image, place, result in zip(images, places, actual.numpy(), strict=True):
        # Half a grey level of rounding, and places in single precision, between pixels that differ by up to 255.
        np.testing.assert_allclose(result, warped(image, place), atol=0.52)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"degrees": 90.0}, lambda images: np.rot90(images, 1, (1, 2))),
        ({"degrees": -90.0}, lambda images: np.rot90(images, -1, (1, 2))),
        ({"degrees": 180.0}, lambda images: images[:, ::-1, ::-1]),
        ({"scale_x": -1.0}, lambda images: images[:, :, ::-1]),
        ({"move_x": 2.0}, lambda images: np.pad(images, [(0, 0), (0, 0), (0, 2), (0, 0)], mode="reflect")[:, :, 2:]),
        ({"move_y": -3.0}, lambda images: np.pad(images, [(0, 0), (3, 0), (0, 0), (0, 0)], mode="reflect")[:, :-3]),
    ],
)
@pytest.mark.parametrize("side", [6, 7])
def test_maps_between_whole_pixels_are_exact(settings, expected, side, random_images):
    images = random_images(3, side, side, 3)
    places = np.broadcast_to(place_maps(**settings).astype(np.float32), (3, 3, 3))
    np.testing.assert_array_equal(warp(images, places), expected(images))


def test_a_crop_is_pillows_resized_box_but_for_the_edges(random_images):
    image = random_images(3, 20, 24, 3)[2]
    left, top, right, bottom = 5.0, 3.0, 17.0, 13.0  # half of each side
    places = place_maps(
        scale_x=(right - left) / 24,
        scale_y=(bottom - top) / 20,
        move_x=(left + right) / 2 - 12,
        move_y=(top + bottom) / 2 - 10,
    )
    expected = np.asarray(
        Image.fromarray(image).resize((24, 20), Image.Resampling.BILINEAR, box=(left, top, right, bottom)), int
    )
    actual = warp(image[None], places[None].astype(np.float32)).numpy().astype(int)[0]
    # At the edges Pillow repeats the box's last pixel, and a warp sees what lies beyond it.
    np.testing.assert_allclose(actual[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1)


def test_places_far_away_are_still_in_the_image(random_images):
    images = random_images(4, 5, 7, 1)
    places = np.tile(np.eye(3, dtype=np.float32), (4, 1, 1))
    places[:, 0, 2] = [12e6, -12e6, 11.99999, -0.00001]  # 12 is the period of reflections of 7 pixels
    places[:, 1, 2] = [8e6, -8e6, 7.99999, -0.00001]
    np.testing.assert_array_equal(warp(images, places), images)
