"""The fused operation against the definition in NumPy, and against Keras's own layer where that is what computes."""

import numpy as np
import pytest

from eyebright.backend import keras, tf
from eyebright.models.normalization import FusedBatchNormalization

EPSILON, MOMENTUM = 1e-3, 0.6


def maps(dtype="float32", seed=0):
    random = np.random.default_rng(seed)
    return (random.normal(size=(5, 4, 3, 6)) * np.arange(1, 7) + np.arange(6)).astype(dtype)


def filled(kind=FusedBatchNormalization, **options):
    """A layer whose scale, bias and running averages are not those that it begins with."""
    layer = kind(epsilon=EPSILON, momentum=MOMENTUM, **options)
    layer.build((None, 4, 3, 6))
    random = np.random.default_rng(1)
    for weight in layer.weights:
        weight.assign(0.5 + random.random(weight.shape))
    return layer


def value(layer, name):
    return getattr(layer, name).numpy().astype(np.float64)


@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}], ids=str)
def test_in_training_maps_are_normalised_by_the_batch_and_the_averages_follow(options):
    layer, x = filled(**options), maps()
    before = {name: value(layer, name) for name in ("moving_mean", "moving_variance")}
    mean, variance = x.astype(np.float64).mean(axis=(0, 1, 2)), x.astype(np.float64).var(axis=(0, 1, 2))
    expected = (x - mean) / np.sqrt(variance + EPSILON)
    if options.get("scale", True):
        expected = expected * value(layer, "gamma")
    if options.get("center", True):
        expected = expected + value(layer, "beta")
    np.testing.assert_allclose(layer(x, training=True), expected, rtol=1e-4, atol=1e-5)
    n = x[..., 0].size
    for name, of_batch in (("moving_mean", mean), ("moving_variance", variance * n / (n - 1))):
        followed = MOMENTUM * before[name] + (1 - MOMENTUM) * of_batch
        np.testing.assert_allclose(value(layer, name), followed, rtol=1e-5)


def test_its_gradient_is_that_of_keras_own_layer():
    x, towards = maps(), tf.constant(maps(seed=3))
    gradients = []
    for layer in (filled(), filled(keras.layers.BatchNormalization)):
        inputs = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(layer(inputs, training=True) * towards)
        gradients.append(tape.gradient(loss, [inputs, layer.gamma.value, layer.beta.value]))
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("dtype", "training"), [("float32", False), ("float64", True), ("float64", False)])
def test_where_it_is_not_fused_it_is_keras_own_layer(dtype, training):
    ours, theirs = (filled(kind, dtype=dtype) for kind in (FusedBatchNormalization, keras.layers.BatchNormalization))
    x = maps(dtype)
    assert (ours(x, training=training).numpy() == theirs(x, training=training).numpy()).all()
    for own, other in zip(ours.weights, theirs.weights, strict=True):
        assert (own.numpy() == other.numpy()).all()


def test_frozen_it_keeps_its_averages_and_uses_them_in_training_too():
    layer = filled()
    layer.trainable = False
    before = [weight.numpy() for weight in layer.weights]
    assert (layer(maps(), training=True).numpy() == layer(maps(), training=False).numpy()).all()
    assert all((weight.numpy() == old).all() for weight, old in zip(layer.weights, before, strict=True))


def test_in_bfloat16_maps_are_bfloat16_and_the_averages_float32():
    layer, exact = filled(dtype="mixed_bfloat16"), filled()
    x = tf.cast(maps(), "bfloat16")
    answer = layer(x, training=True)
    assert answer.dtype == "bfloat16"
    np.testing.assert_allclose(tf.cast(answer, "float32"), exact(tf.cast(x, "float32"), training=True), atol=0.05)
    for own, other in zip(layer.weights, exact.weights, strict=True):
        assert own.dtype == "float32"
        np.testing.assert_allclose(own.numpy(), other.numpy(), rtol=1e-2)
