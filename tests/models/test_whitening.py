"""The fixed linear layers against NumPy's singular values, and against patches that are cut out one by one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright import models
from eyebright.backend import keras
from eyebright.models import Architecture, build_model, measure
from eyebright.models.inference import compiled_logits
from eyebright.models.reduction import channel_directions, reduction
from eyebright.models.whitening import ImageWhitening, PatchWhitening


def correlated(count, shape=(4, 3, 2), seed=0):
    """Images whose pixels go together, as those of photographs do, of mean zero; float32 [count, H, W, C]."""
    random = np.random.default_rng(seed)
    size = int(np.prod(shape))
    directions = np.linalg.qr(random.normal(size=(size, size)))[0]
    flat = random.normal(size=(count, size)) * np.linspace(1, 30, size) @ directions
    return (flat - flat.mean(axis=0)).reshape(count, *shape).astype(np.float32)


def measured(images, batches=1, epsilon=0.1, compact=False):
    layer = ImageWhitening(epsilon, compact=compact)
    layer.build((None, *images.shape[1:]))
    layer.measure(lambda: iter(np.array_split(images, batches)))
    return layer


def output(layer, images):
    return keras.ops.convert_to_numpy(layer(images))


def covariance(outputs):
    return np.cov(outputs.reshape(len(outputs), -1).astype(np.float64), rowvar=False, bias=True)


def directions_of(images):
    """Principal directions, a row each, and the variance along them, the largest first; by singular values."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    _, singular, directions = np.linalg.svd((flat - flat.mean(axis=0)) / np.sqrt(len(flat)))
    return directions, singular**2


def test_with_next_to_no_epsilon_the_pixels_become_uncorrelated_with_variance_1():
    images = correlated(3000)
    np.testing.assert_allclose(covariance(output(measured(images, epsilon=1e-7), images)), np.eye(24), atol=1e-3)


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 10.0])
def test_the_matrix_is_that_of_the_definition(epsilon):
    images = correlated(500)
    directions, variances = directions_of(images)
    scale = 1 / np.sqrt(variances + epsilon * variances.mean())
    expected = directions.T @ np.diag(scale) @ directions
    kernel = measured(images, epsilon=epsilon).kernel.numpy()
    np.testing.assert_allclose(kernel, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-6 * np.abs(kernel).max())  # images turn into images


def test_each_output_stays_at_the_place_of_its_pixel():
    layer = measured(correlated(50))
    assert output(layer, correlated(2)).shape == (2, 24)
    assert layer.places[[0, 1, 2, 23]].tolist() == [[0, 0], [0, 0], [0, 1], [3, 2]]


def test_compact_it_whitens_the_reduced_image():
    """Of 24 × 10 pixels in three colours: brightness at 20 × 10, the two others at 8 × 8."""
    images = correlated(500, (24, 10, 3))
    layer = measured(images, epsilon=0.05, compact=True)
    assert output(layer, images[:2]).shape == (2, 200 + 64 + 64)
    assert layer.places.shape == (328, 2)
    flat = images.reshape(500, -1).astype(np.float64)
    basis = reduction(images.shape[1:], channel_directions(lambda: iter([images])))
    reduced = flat @ basis
    values, vectors = np.linalg.eigh(np.cov(reduced, rowvar=False, bias=True))
    scale = values.clip(0) + 0.05 * flat.var(axis=0).mean()
    expected = reduced @ (vectors / np.sqrt(scale)) @ vectors.T
    np.testing.assert_allclose(output(layer, images), expected, rtol=1e-2, atol=1e-3)


@given(st.integers(1, 7))
@settings(deadline=None, max_examples=5)
def test_how_the_images_come_in_batches_does_not_matter(batches):
    images = correlated(200)
    np.testing.assert_allclose(
        measured(images, batches).kernel.numpy(), measured(images).kernel.numpy(), rtol=1e-3, atol=1e-6
    )


def test_pixels_that_never_change_and_images_fewer_than_pixels_are_no_division_by_zero():
    few = correlated(3)
    few[:, 0] = 0
    for images in (few, np.zeros((9, 4, 3, 2), np.float32)):
        for compact in (False, True):
            layer = measured(images, compact=compact)
            assert np.isfinite(layer.kernel.numpy()).all()
            assert np.isfinite(output(layer, images)).all()


@pytest.mark.parametrize("model", ["softmax", "fc"])
def test_in_a_model_the_training_images_become_uncorrelated_whatever_the_others_are(model):
    random = np.random.default_rng(0)
    pixels = random.integers(0, 128, (800, 4, 4, 1)) + np.cumsum(random.integers(0, 32, (800, 4, 4, 1)), axis=2)
    images = pixels.clip(0, 255).astype(np.uint8)
    images[600:] = 255 - images[600:] // 2
    architecture = Architecture(
        model=model, image_shape=(4, 4, 1), classes=3, preprocessing="whitening", whitening_epsilon=1e-6
    )
    network = build_model(architecture)
    measure(network, images, np.arange(600))
    whitened = compiled_logits(keras.Model(network.input, network.get_layer("image_whitening").output))
    np.testing.assert_allclose(covariance(whitened(images, np.arange(600))), np.eye(16), atol=1e-2)
    assert np.abs(covariance(whitened(images, np.arange(600, 800))) - np.eye(16)).max() > 0.3
    assert "image_whitening/kernel" not in {weight.path for weight in network.trainable_variables}


def patches_of(images, size):
    """float64 [patches, h·w·C], cut out one by one."""
    _, height, width, _ = images.shape
    places = [(y, x) for y in range(height - size[0] + 1) for x in range(width - size[1] + 1)]
    cut = [images[:, y : y + size[0], x : x + size[1]].reshape(len(images), -1) for y, x in places]
    return np.concatenate(cut).astype(np.float64)


def patch_layer(images, size, batches=1):
    layer = PatchWhitening(size, images.shape[-1])
    layer.build((None, *images.shape[1:]))
    layer.measure(lambda: iter(np.array_split(images, batches)))
    return layer


@pytest.mark.parametrize(
    ("shape", "size"), [((6, 5, 3), (2, 2)), ((5, 5, 1), (2, 2)), ((1, 4, 2), (1, 2)), ((1, 1, 3), (1, 1))]
)
def test_the_filters_make_the_values_of_a_patch_uncorrelated_with_variance_1(shape, size):
    images = correlated(400, shape)
    layer = patch_layer(images, size, batches=3)
    count = size[0] * size[1] * shape[2]
    answers = output(layer, images)
    assert answers.shape[1:] == (shape[0] - size[0] + 1, shape[1] - size[1] + 1, 2 * count)
    filters = layer.kernel.numpy().reshape(count, 2 * count).astype(np.float64)
    assert (filters[:, count:] == -filters[:, :count]).all()
    responses = patches_of(images, size) @ filters
    np.testing.assert_allclose(
        responses[: len(images)].reshape(len(images), -1), answers[:, 0, 0], rtol=1e-3, atol=1e-3
    )
    own = responses[:, :count]
    second_moments = own.T @ own / len(own)
    np.testing.assert_allclose(second_moments, np.eye(count), atol=5e-3)
    # The strongest first: that which needs least to come to variance 1.
    assert (np.diff(np.linalg.norm(filters[:, :count], axis=0)) >= -1e-6).all()


def test_directions_without_variance_are_not_blown_up():
    images = np.zeros((50, 3, 3, 1), np.float32)
    filters = patch_layer(images, (2, 2)).kernel.numpy()
    assert np.abs(filters).max() <= 1 / np.sqrt(5e-4) + 1e-3


def test_filters_are_measured_on_some_images_of_the_whole_set_though_it_be_sorted(monkeypatch):
    monkeypatch.setattr(models, "PATCH_IMAGES", 100)
    even = correlated(500, (3, 3, 1))
    pixels = ((even - even.min()) / np.ptp(even) * 255).astype(np.uint8)
    sorted_by_brightness = pixels[np.argsort(pixels.mean(axis=(1, 2, 3)))]
    seen = []
    monkeypatch.setattr(PatchWhitening, "measure", lambda _, batches: seen.extend(np.concatenate(list(batches()))))
    model = build_model(Architecture(model="cnn", image_shape=(3, 3, 1), classes=2, preprocessing="mean-image"))
    measure(model, sorted_by_brightness, np.arange(500))
    assert len(seen) == 100
    assert abs(np.mean(seen)) < 2  # the mean image is taken off: were it the darkest images, it would be far below 0


def test_filters_are_not_trained_and_their_biases_are():
    layer = patch_layer(correlated(20), (2, 2))
    assert [weight.path.rpartition("/")[2] for weight in layer.trainable_variables] == ["bias"]
    assert [weight.path.rpartition("/")[2] for weight in layer.non_trainable_variables] == ["kernel"]
    assert not layer.bias.numpy().any()
