import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import idctn

from eyebright.models.reduction import channel_directions, grid, reduction

shapes = st.tuples(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]))


def rotation(channels, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(channels, channels)))[0]


@given(shapes)
@settings(deadline=None, max_examples=15)
def test_it_is_a_rotation_to_as_many_outputs_as_there_are_places(shape):
    basis, places = reduction(shape, rotation(shape[2])), grid(*shape, compact=True)
    assert basis.shape == (np.prod(shape), len(places))
    np.testing.assert_allclose(basis.T @ basis, np.eye(len(places)), atol=1e-9)
    assert (places >= -0.5).all()
    assert (places <= np.array(shape[:2]) - 0.5).all()


@pytest.mark.parametrize(
    ("shape", "outputs"),
    [
        ((32, 32, 3), 20 * 20 + 2 * 8 * 8),
        ((28, 28, 1), 20 * 20),
        ((224, 160, 3), 20 * 20 + 2 * 8 * 8),
        ((20, 20, 3), 20 * 20 + 2 * 8 * 8),
        ((8, 8, 3), 3 * 8 * 8),
        ((8, 8, 1), 8 * 8),
        ((1, 1, 3), 3),
    ],
    ids=str,
)
def test_brightness_has_20_pixels_a_side_and_colours_8_or_as_many_as_there_are(shape, outputs):
    assert len(grid(*shape, compact=True)) == outputs


def test_small_images_lose_nothing():
    basis = reduction((8, 7, 3), rotation(3))
    np.testing.assert_allclose(basis @ basis.T, np.eye(168), atol=1e-9)


def test_smooth_images_keep_all_of_their_brightness_and_fine_patterns_go():
    grey = np.ones(3) / np.sqrt(3)
    directions = np.linalg.qr(np.column_stack([grey, [1, -1, 0], [0, 1, -1]]))[0]
    basis = reduction((32, 32, 3), directions)

    def kept(pattern, colour):
        image = (pattern[:, :, None] * colour).ravel()
        return np.square(image @ basis).sum() / np.square(image).sum()

    def wave(frequency):
        spectrum = np.zeros((32, 32))
        spectrum[frequency, frequency] = 1
        return idctn(spectrum, norm="ortho")

    for frequency, brightness, colour in ((0, 1, 1), (7, 1, 1), (8, 1, 0), (19, 1, 0), (20, 0, 0), (31, 0, 0)):
        assert kept(wave(frequency), grey) == pytest.approx(brightness, abs=1e-9)
        assert kept(wave(frequency), directions[:, 1]) == pytest.approx(colour, abs=1e-9)


def test_each_output_is_of_its_place():
    """What a point of the image says is loudest in the outputs nearest to it."""
    basis, places = reduction((32, 32, 1), np.eye(1)), grid(32, 32, 1, compact=True)
    for y, x in ((3, 5), (16, 16), (30, 1)):
        loud = places[np.argmax(np.abs(basis[y * 32 + x]))]
        assert np.abs(loud - [y, x]).max() <= 1.6


def test_of_pixels_themselves_the_places_are_those_of_the_pixels_channel_after_channel():
    places = grid(2, 3, 2, compact=False)
    assert places.tolist() == [[y, x] for y in range(2) for x in range(3) for _ in range(2)]


def test_the_channels_directions_are_those_that_vary_most_first():
    random = np.random.default_rng(0)
    turned = rotation(3, seed=1)
    values = random.normal(size=(4, 50, 6, 6, 3)) * [0.5, 5.0, 2.0] @ turned.T  # four batches
    found = channel_directions(lambda: iter(values.astype(np.float32)))
    expected = turned[:, [1, 2, 0]]
    assert np.abs((found * expected).sum(axis=0)) == pytest.approx([1, 1, 1], abs=1e-2)
    np.testing.assert_allclose(found.T @ found, np.eye(3), atol=1e-6)
