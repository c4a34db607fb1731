import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from eyebright.backend import tf
from eyebright.training.augmentation.colour import change_tones, mean_colours, recolour, sharpen
from eyebright.training.augmentation.matrices import colour_maps


@pytest.fixture
def images(image_shape, random_images) -> np.ndarray:
    """Uint8 [6, H, W, C]: black, white, noise, and noise of few values."""
    images = random_images(6, *image_shape)
    images[4:] = images[4:] // 3 + 40
    return images


def as_pillow(image: np.ndarray) -> Image.Image:
    return Image.fromarray(image if image.shape[2] == 3 else image[..., 0])


def from_pillow(image: Image.Image, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(image).reshape(shape).astype(int)


def tones(images: np.ndarray, **changes: object) -> np.ndarray:
    """`change_tones` with all but these parameters neutral."""
    n = len(images)
    neutral = {
        "kept_bits": np.full(n, 255, np.uint8),
        "solarize_from": np.full(n, 256, np.int32),
        "autocontrast": np.zeros(n, bool),
    }
    changed = change_tones(tf.constant(images), **(neutral | changes))
    assert changed.dtype == tf.uint8
    return changed.numpy()


def test_mean_colours_are_exact(images):
    np.testing.assert_allclose(mean_colours(images), images.mean(axis=(1, 2)), rtol=1e-6)


def test_neutral_parameters_change_nothing(images):
    n, channels = len(images), images.shape[3]
    own, mean = (np.broadcast_to(m.astype(np.float32), (n, channels, channels)) for m in colour_maps(channels))
    np.testing.assert_array_equal(recolour(images, own, mean), images)
    np.testing.assert_array_equal(sharpen(images, np.ones(n, np.float32)), images)
    np.testing.assert_array_equal(tones(images), images)


def test_colours_are_mapped_rounded_and_clipped(images):
    rng = np.random.default_rng(0)
    n, channels = len(images), images.shape[3]
    own, mean = (rng.normal(0.3, 0.5, (2, n, channels, channels))).astype(np.float32)
    pixels = images.astype(float)
    expected = np.einsum("bij,bhwj->bhwi", own, pixels) + np.einsum(
        "bij,bj->bi", mean, pixels.mean(axis=(1, 2))
    ).reshape(n, 1, 1, channels)
    actual = recolour(tf.constant(images), own, mean)
    assert actual.dtype == tf.uint8
    np.testing.assert_allclose(actual, expected.clip(0, 255), atol=0.5 + 1e-3)


def test_a_chain_of_pillows_enhancers_is_one_map(random_images):
    # Of a soft image, so that nothing is clipped between the steps.
    image = random_images(3, 9, 8, 3)[2] // 3 + 80
    expected = ImageEnhance.Brightness(as_pillow(image)).enhance(1.1)
    expected = ImageEnhance.Contrast(expected).enhance(0.8)
    expected = ImageEnhance.Color(expected).enhance(1.3)
    own, mean = (m[None].astype(np.float32) for m in colour_maps(3, brightness=1.1, contrast=0.8, saturation=1.3))
    np.testing.assert_allclose(recolour(image[None], own, mean)[0], from_pillow(expected, image.shape), atol=3)


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.99])
def test_sharpness_is_pillows(images, factor):
    actual = sharpen(tf.constant(images), np.full(len(images), factor, np.float32))
    assert actual.dtype == tf.uint8
    if min(images.shape[1:3]) < 3:
        np.testing.assert_array_equal(actual, images)  # no pixel has eight neighbours
        return
    for image, result in zip(images, actual.numpy(), strict=True):
        expected = ImageEnhance.Sharpness(as_pillow(image)).enhance(factor)
        np.testing.assert_allclose(result, from_pillow(expected, image.shape), atol=1)


@pytest.mark.parametrize("bits", [1, 2, 5, 8])
def test_posterize_is_pillows(images, bits):
    actual = tones(images, kept_bits=np.full(len(images), 256 - 2 ** (8 - bits), np.uint8))
    for image, result in zip(images, actual, strict=True):
        np.testing.assert_array_equal(result, from_pillow(ImageOps.posterize(as_pillow(image), bits), image.shape))


@pytest.mark.parametrize("threshold", [0, 1, 128, 255, 256])
def test_solarize_is_pillows(images, threshold):
    actual = tones(images, solarize_from=np.full(len(images), threshold, np.int32))
    for image, result in zip(images, actual, strict=True):
        expected = ImageOps.solarize(as_pillow(image), threshold)
        np.testing.assert_array_equal(result, from_pillow(expected, image.shape))


def test_autocontrast_is_pillows(images):
    actual = tones(images, autocontrast=np.ones(len(images), bool))
    for image, result in zip(images, actual, strict=True):
        expected = from_pillow(ImageOps.autocontrast(as_pillow(image)), image.shape)
        np.testing.assert_allclose(result, expected, atol=1)  # Pillow cuts fractions off


def test_each_image_has_parameters_of_its_own(random_images):
    images = random_images(8, 6, 5, 3)[2:] // 2
    parameters = {
        "kept_bits": np.array([192, 255, 255, 255, 240, 255], np.uint8),
        "solarize_from": np.array([256, 60, 256, 256, 50, 256], np.int32),
        "autocontrast": np.array([0, 0, 1, 0, 1, 0], bool),
    }
    together = tones(images, **parameters)
    factors = np.array([0, 0.5, 1, 1.2, 1.6, 2], np.float32)
    sharper = sharpen(images, factors).numpy()
    for i in range(6):
        alone = tones(images[i : i + 1], **{name: value[i : i + 1] for name, value in parameters.items()})
        np.testing.assert_array_equal(together[i], alone[0])
        np.testing.assert_array_equal(sharper[i], sharpen(images[i : i + 1], factors[i : i + 1]).numpy()[0])
    np.testing.assert_array_equal(together[[3, 5]], images[[3, 5]])
