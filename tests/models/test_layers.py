import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from eyebright.backend import keras
from eyebright.models import layers
from eyebright.models.layers import Standardize, TruncatedNormal


def measured(method, images, indices=None):
    layer = Standardize(method, name="standardize")
    layer.build((None, *images.shape[1:]))
    layer.measure(images, np.arange(len(images)) if indices is None else indices)
    return layer


def output(layer, images):
    return keras.ops.convert_to_numpy(layer(images))


def pictures(count, shape=(3, 4, 2), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


@pytest.mark.parametrize("count", [1, 7, 4096, 4097, 9000])
def test_mean_image_is_the_mean_of_each_pixel(count):
    images = pictures(count)
    layer = measured("mean-image", images)
    mean = images.astype(np.float64).mean(axis=0)
    assert (layer.mean.numpy() == mean.astype(np.float32)).all()
    np.testing.assert_allclose(output(layer, images[:5]), images[:5] - mean, atol=1e-4)


@pytest.mark.parametrize("count", [1, 7, 4096, 4097, 9000])
def test_per_channel_is_the_mean_and_deviation_of_each_channel(count):
    images = pictures(count)
    layer = measured("per-channel", images)
    mean, deviation = images.astype(np.float64).mean(axis=(0, 1, 2)), images.astype(np.float64).std(axis=(0, 1, 2))
    np.testing.assert_allclose(layer.mean.numpy(), mean, rtol=1e-7)
    np.testing.assert_allclose(layer.standard_deviation.numpy(), deviation, rtol=1e-6)
    standardised = output(layer, images)
    np.testing.assert_allclose(standardised.mean(axis=(0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(standardised.std(axis=(0, 1, 2)), 1, atol=1e-3)


@pytest.mark.parametrize("method", ["mean-image", "per-channel"])
def test_training_images_alone_are_measured(method):
    images = pictures(60)
    indices = np.array([3, 1, 50, 7])
    alone = measured(method, images[indices])
    assert (measured(method, images, indices).mean.numpy() == alone.mean.numpy()).all()


@pytest.mark.parametrize("value", [0, 1, 7, 254, 255])
def test_a_channel_that_never_changes_becomes_zero_and_not_infinite(value):
    images = pictures(5000)
    images[..., 1] = value
    standardised = output(measured("per-channel", images), images[:3])
    assert np.isfinite(standardised).all()
    assert (standardised[..., 1] == 0).all()


@pytest.mark.parametrize("method", ["mean-image", "per-channel"])
def test_the_order_of_the_images_does_not_matter(method):
    images = pictures(5000)
    one = measured(method, images)
    other = measured(method, images, np.random.default_rng(0).permutation(5000))
    for weight, same in zip(one.weights, other.weights, strict=True):
        assert (weight.numpy() == same.numpy()).all()


def test_it_is_the_same_in_training_and_inference_and_trains_nothing():
    layer = measured("per-channel", pictures(9))
    assert layer.trainable_variables == []
    assert (layer(pictures(2), training=True).numpy() == layer(pictures(2), training=False).numpy()).all()


def weights(seed=0, index=0, shape=(400, 300)):
    return TruncatedNormal(seed, index)(shape)


def test_weights_are_truncated_normal():
    drawn = weights().ravel().astype(np.float64) * np.sqrt(400)  # fan_in 400
    assert np.abs(drawn).max() <= 2
    assert stats.kstest(drawn, stats.truncnorm(-2, 2).cdf).pvalue > 0.01
    assert drawn.std() == pytest.approx(stats.truncnorm(-2, 2).std(), rel=0.01)


@pytest.mark.parametrize(("shape", "fan_in"), [((9, 5), 9), ((3, 3, 16, 5), 144)])
def test_their_size_goes_with_what_goes_into_a_unit(shape, fan_in):
    wide = weights(shape=(*shape[:-1], 4000)).astype(np.float64)
    assert wide.std() * np.sqrt(fan_in) == pytest.approx(stats.truncnorm(-2, 2).std(), rel=0.02)


@pytest.mark.parametrize("other", [{"seed": 1}, {"index": 1}])
def test_each_seed_and_each_layer_draws_its_own(other):
    assert (weights() == weights()).all()
    one, two = weights().ravel(), weights(**other).ravel()
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.02


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_have_the_type_that_is_asked_for(dtype):
    assert TruncatedNormal(0, 0)((4, 3), dtype).dtype == dtype
    assert TruncatedNormal(0, 0)((4, 3)).dtype == np.float32


@given(st.integers(0, 2**63 - 1), st.integers(0, 100))
@settings(deadline=None, max_examples=20)
def test_weights_are_finite_for_any_seed(seed, index):
    assert np.isfinite(weights(seed, index, (20, 20))).all()


def test_sums_of_many_bright_images_do_not_overflow():
    images = np.full((8193, 48, 48, 1), 255, np.uint8)
    assert images.size > layers._VALUES_AT_ONCE  # several sums are added up
    images[::2] = 0
    layer = measured("per-channel", images)
    assert layer.mean.numpy() == pytest.approx(255 * 4096 / 8193, rel=1e-6)
    assert layer.standard_deviation.numpy() == pytest.approx(127.5, rel=1e-6)
