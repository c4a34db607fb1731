import math

import numpy as np
import pytest

from eyebright.models import Architecture, build_model
from eyebright.models.inference import compiled_logits

BASE = {"model": "fc", "image_shape": (4, 5, 3), "classes": 7, "preprocessing": "per-channel", "hidden_units": 11}
IMAGES = np.random.default_rng(0).integers(0, 256, (9, 4, 5, 3), np.uint8)

ACTIVATIONS = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: 0.5 * x * (1 + np.vectorize(math.erf)(x / np.sqrt(2))),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}


def build(precision="float64", seed=0, **options):
    model = build_model(Architecture(**BASE, **options), precision, seed)
    model.get_layer("standardize").measure(IMAGES, np.arange(9))
    generator = np.random.default_rng(1)
    for weight in model.weights:
        if not weight.path.startswith("standardize/"):
            weight.assign(weight.numpy() + 0.2 * generator.random(weight.shape))
    return model


def logits_of(model):
    return compiled_logits(model)(IMAGES, np.arange(9))


def standardised():
    pixels = IMAGES.astype(np.float64)
    return ((pixels - pixels.mean(axis=(0, 1, 2))) / pixels.std(axis=(0, 1, 2))).reshape(9, 60)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_hidden_layers_are_dense_and_activation(activation):
    model = build(layers=2, activation=activation)
    x = standardised()
    for name in ("hidden_1", "hidden_2"):
        layer = model.get_layer(name)
        x = ACTIVATIONS[activation](x @ layer.kernel.numpy() + layer.bias.numpy())
    last = model.get_layer("logits")
    np.testing.assert_allclose(logits_of(model), x @ last.kernel.numpy() + last.bias.numpy(), rtol=1e-6)


def test_batch_normalisation_stands_before_the_activation_and_takes_the_place_of_the_bias():
    model = build(batch_norm=True)
    hidden, norm, last = (model.get_layer(name) for name in ("hidden_1", "batch_norm_1", "logits"))
    assert hidden.bias is None
    x = standardised() @ hidden.kernel.numpy()
    x = (x - norm.moving_mean.numpy()) / np.sqrt(norm.moving_variance.numpy() + norm.epsilon)
    x = np.maximum(x * norm.gamma.numpy() + norm.beta.numpy(), 0)
    np.testing.assert_allclose(logits_of(model), x @ last.kernel.numpy() + last.bias.numpy(), rtol=1e-6)


def test_dropout_drops_in_training_alone():
    model = build(dropout=0.5)
    without = build()
    np.testing.assert_allclose(logits_of(model), logits_of(without))
    trained = model(IMAGES, training=True).numpy()
    assert np.abs(trained - logits_of(model)).max() > 0.1


@pytest.mark.parametrize("layers", [1, 2, 5])
def test_there_are_as_many_hidden_layers_as_asked_for(layers):
    model = build_model(Architecture(**BASE, layers=layers))
    shapes = [weight.shape for weight in model.trainable_variables if len(weight.shape) == 2]
    assert shapes == [(60, 11), *[(11, 11)] * (layers - 1), (11, 7)]


def test_it_is_the_tutorials_network_by_default():
    architecture = Architecture(model="fc", image_shape=(32, 32, 3), classes=10, preprocessing="mean-image")
    model = build_model(architecture)
    assert [tuple(weight.shape) for weight in model.trainable_variables] == [(3072, 120), (120,), (120, 10), (10,)]
    kernels = [model.get_layer(name).kernel.numpy() for name in ("hidden_1", "logits")]
    for kernel in kernels:
        bound = 2 / np.sqrt(len(kernel))
        assert 0.9 * bound < np.abs(kernel).max() <= bound
    assert not model.get_layer("hidden_1").bias.numpy().any()
    assert not model.get_layer("logits").bias.numpy().any()


def test_every_layer_draws_other_weights():
    model = build_model(Architecture(**{**BASE, "image_shape": (11, 1, 1)}, layers=3), seed=4)
    kernels = [model.get_layer(f"hidden_{i}").kernel.numpy() for i in (1, 2, 3)]
    assert (kernels[0] != kernels[1]).all()
    assert (kernels[1] != kernels[2]).all()


def test_bfloat16_is_for_the_hidden_layers_products_alone():
    model = build("bfloat16", layers=2, batch_norm=True)
    assert model.get_layer("hidden_1").compute_dtype == "bfloat16"
    assert model.get_layer("standardize").compute_dtype == "float32"
    assert model.get_layer("logits").compute_dtype == "float32"
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    exact = logits_of(build("float64", layers=2, batch_norm=True))
    np.testing.assert_allclose(logits_of(model), exact, rtol=0.05, atol=0.05)
