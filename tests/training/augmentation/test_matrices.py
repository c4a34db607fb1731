import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from eyebright.training.augmentation.matrices import LUMA, ColourMaps, colour_maps, place_maps


def coloured(maps: ColourMaps, image: np.ndarray) -> np.ndarray:
    """The map of a float image [H, W, C], written as loops over pixels."""
    mean = image.reshape(-1, image.shape[2]).mean(axis=0)
    return np.array([[maps.own @ pixel + maps.mean @ mean for pixel in row] for row in image])


def test_maps_of_nothing_are_the_identity():
    np.testing.assert_array_equal(place_maps(), np.eye(3))
    for channels in (1, 3):
        own, mean = colour_maps(channels)
        np.testing.assert_allclose(own, np.eye(channels), atol=1e-12)
        np.testing.assert_allclose(mean, 0, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "place", "taken_from"),
    [
        # Turned counterclockwise by 90°, what was at the top is at the left. y points down.
        ({"degrees": 90.0}, (-1, 0), (0, -1)),
        ({"scale_x": 0.5}, (4, 6), (2, 6)),
        ({"scale_y": 0.5}, (4, 6), (4, 3)),
        ({"shear_x": 0.5}, (4, 6), (7, 6)),
        ({"shear_y": 0.5}, (4, 6), (4, 8)),
        ({"move_x": 2.0, "move_y": -3.0}, (4, 6), (6, 3)),
        ({"shear_y": 1.0, "degrees": 90.0}, (2, 1), (-3, 2)),
        # Scaled, sheared, turned and moved, in this order: (2, 1) → (4, 1) → (5, 1) → (-1, 5) → (9, 25)
        ({"scale_x": 2.0, "shear_x": 1.0, "degrees": 90.0, "move_x": 10.0, "move_y": 20.0}, (2, 1), (9, 25)),
    ],
)
def test_places_are_taken_from_where_they_should_be(settings, place, taken_from):
    np.testing.assert_allclose(place_maps(**settings) @ [*place, 1], [*taken_from, 1], atol=1e-12)


def test_maps_of_many_images_are_those_of_each():
    degrees, factors = np.array([[10.0, -20.0, 30.0]]), np.array([[0.5, 1.0, 1.5]])
    places, colours = place_maps(degrees, scale_x=factors), colour_maps(3, contrast=factors, turn=factors / 10)
    assert places.shape == (1, 3, 3, 3)
    assert colours.own.shape == colours.mean.shape == (1, 3, 3, 3)
    for i in range(3):
        np.testing.assert_array_equal(places[0, i], place_maps(degrees[0, i], scale_x=factors[0, i]))
        one = colour_maps(3, contrast=factors[0, i], turn=factors[0, i] / 10)
        np.testing.assert_allclose(colours.own[0, i], one.own, atol=1e-15)
        np.testing.assert_allclose(colours.mean[0, i], one.mean, atol=1e-15)


@pytest.mark.parametrize("factor", [0.0, 0.3, 1.0, 1.7])
@pytest.mark.parametrize(
    ("name", "enhancer", "channels"),
    [
        ("brightness", ImageEnhance.Brightness, 3),
        ("brightness", ImageEnhance.Brightness, 1),
        ("contrast", ImageEnhance.Contrast, 3),
        ("contrast", ImageEnhance.Contrast, 1),
        ("saturation", ImageEnhance.Color, 3),
    ],
)
def test_colours_are_those_of_pillow(name, enhancer, channels, factor, random_images):
    image = random_images(3, 6, 7, channels)[2]
    expected = enhancer(Image.fromarray(image if channels == 3 else image[..., 0])).enhance(factor)
    actual = coloured(colour_maps(channels, **{name: factor}), image.astype(float)).clip(0, 255)
    # Pillow cuts fractions off, of the grey and of the result.
    np.testing.assert_allclose(actual, np.asarray(expected, float).reshape(image.shape), atol=2)


@given(
    turn=st.floats(-0.5, 0.5),
    other=st.floats(-0.5, 0.5),
    pixel=st.tuples(*[st.floats(0, 255)] * 3),
)
def test_turning_hues_keeps_grey_and_adds_up(turn, other, pixel):
    maps = colour_maps(3, turn=turn)
    np.testing.assert_array_equal(maps.mean, np.zeros((3, 3)))
    np.testing.assert_allclose(maps.own @ np.ones(3), np.ones(3), atol=1e-12)
    np.testing.assert_allclose(LUMA @ (maps.own @ pixel), LUMA @ pixel, atol=1e-9)
    twice = colour_maps(3, turn=other).own @ maps.own
    np.testing.assert_allclose(twice, colour_maps(3, turn=turn + other).own, atol=1e-9)


def test_hues_turn_by_the_part_of_the_circle_asked_for():
    soft_red = np.array([0.6, 0.4, 0.4])
    for turn in (0.25, 1 / 3, -0.25):
        hue = colorsys.rgb_to_hsv(*(colour_maps(3, turn=turn).own @ soft_red))[0]
        distance = min(abs(hue), 1 - abs(hue))
        assert abs(distance - abs(turn)) < 0.08  # YIQ's circle is not quite HSV's


@pytest.mark.parametrize("channels", [1, 3])
def test_one_map_after_another_is_their_composition(channels, random_images):
    image = random_images(3, 4, 5, channels, seed=2)[2].astype(float)
    first = colour_maps(channels, brightness=0.8, contrast=1.4)
    second = colour_maps(channels, brightness=1.2, contrast=0.3)
    if channels == 3:
        second = second.then(colour_maps(3, saturation=0.4, turn=0.2))
    np.testing.assert_allclose(coloured(first.then(second), image), coloured(second, coloured(first, image)), atol=1e-9)


def test_all_four_at_once_are_one_after_another():
    settings = {"brightness": 0.8, "contrast": 1.4, "saturation": 0.3, "turn": 0.1}
    chained = colour_maps(3)
    for name, value in settings.items():
        chained = chained.then(colour_maps(3, **{name: value}))
    at_once = colour_maps(3, **settings)
    np.testing.assert_allclose(at_once.own, chained.own, atol=1e-12)
    np.testing.assert_allclose(at_once.mean, chained.mean, atol=1e-12)
