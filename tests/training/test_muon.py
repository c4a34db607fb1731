"""Muon against its rule in NumPy, on gradients that are given; and what the Newton-Schulz iterations come to."""

import numpy as np
import pytest

from eyebright.backend import keras
from eyebright.training.muon import _BIAS_RATE, _LAST_LAYER_RATE, Muon

SHAPES = {"conv": (3, 3, 2, 5), "hidden": (12, 7), "wide": (4, 30), "bias": (7,), "logits": (7, 3)}
RATE, MOMENTUM, BATCH = 0.1, 0.8, 50


def newton_schulz(matrix):
    x = matrix / np.linalg.norm(matrix)
    for _ in range(3):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def numpy_step(weights, gradient, velocity, name):
    """The weights and the momentum after a step."""
    if name in ("bias", "logits"):
        velocity = MOMENTUM * velocity + gradient
        ratio = BATCH * (_BIAS_RATE if name == "bias" else _LAST_LAYER_RATE)
        return weights - RATE * ratio * (gradient + MOMENTUM * velocity), velocity
    velocity = 0.6 * velocity + gradient
    update = (gradient + 0.6 * velocity).reshape(-1, weights.shape[-1])
    scaled = weights * np.sqrt(weights.shape[-1]) / np.linalg.norm(weights)
    return scaled - RATE * newton_schulz(update).reshape(weights.shape), velocity


def variables_of(seed=0):
    random = np.random.default_rng(seed)
    return [keras.Variable(random.normal(size=shape).astype(np.float32), name=name) for name, shape in SHAPES.items()]


def muon(variables, **options):
    optimizer = Muon(
        RATE, last_layer=variables[-1].path, momentum=MOMENTUM, batch_size=BATCH,
        **{"product_dtype": "float32", **options},
    )  # fmt: skip
    optimizer.build(variables)
    return optimizer


def test_it_moves_by_its_rule():
    variables, random = variables_of(), np.random.default_rng(1)
    optimizer = muon(variables)
    expected = {name: variable.numpy().astype(np.float64) for name, variable in zip(SHAPES, variables, strict=True)}
    velocities = dict.fromkeys(SHAPES, 0.0)
    for _ in range(4):
        gradients = {name: random.normal(size=shape) for name, shape in SHAPES.items()}
        optimizer.apply([keras.ops.cast(gradient, "float32") for gradient in gradients.values()], variables)
        for name, gradient in gradients.items():
            expected[name], velocities[name] = numpy_step(expected[name], gradient, velocities[name], name)
    for name, variable in zip(SHAPES, variables, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected[name], rtol=1e-3, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_kernel_moves_in_every_direction_alike_whatever_the_size_of_its_gradient(size):
    random = np.random.default_rng(2)
    left, _, right = np.linalg.svd(random.normal(size=(12, 7)), full_matrices=False)
    gradient = size * left * np.geomspace(1, 0.2, 7) @ right  # some directions five times as steep as others
    kernel, last = (keras.Variable(random.normal(size=shape).astype(np.float32)) for shape in ((12, 7), (7, 3)))
    optimizer = muon([kernel, last])
    scaled = kernel.numpy() * np.sqrt(7) / np.linalg.norm(kernel.numpy())
    optimizer.apply([keras.ops.cast(gradient, "float32"), keras.ops.zeros((7, 3))], [kernel, last])
    moved = (scaled - kernel.numpy()) / RATE
    strengths = np.diag(left.T @ moved @ right.T)
    assert (strengths > 0.6).all()
    assert (strengths < 1.3).all()


def test_products_in_bfloat16_lose_little():
    weights = []
    for dtype in ("float32", "bfloat16"):
        variables, random = variables_of(), np.random.default_rng(1)
        optimizer = muon(variables, product_dtype=dtype)
        gradients = [keras.ops.cast(random.normal(size=shape), "float32") for shape in SHAPES.values()]
        optimizer.apply(gradients, variables)
        weights.append([variable.numpy() for variable in variables])
    for exact, rounded in zip(*weights, strict=True):
        assert exact.dtype == rounded.dtype == np.float32
        np.testing.assert_allclose(rounded, exact, atol=0.05 * RATE)


def test_the_last_layer_is_that_of_the_logits_also_where_it_is_frozen(make_training):
    """Else the last kernel that is trained would move as one that makes logits."""
    training = make_training(model="cnn", channels=(4,), optimizer="muon", freeze=("logits",))
    kernel = training.model.get_layer("block_1_conv_2").kernel
    training.train(0, 1, rate=0.01)
    moved = kernel.numpy()
    assert np.linalg.norm(moved) == pytest.approx(np.sqrt(4), abs=0.05)  # scaled, and one short step away from that


def test_it_trains_what_is_left_where_every_matrix_is_frozen(make_training, weights_of):
    training = make_training(optimizer="muon", batch_norm=True, freeze=("hidden_1", "logits"), l1=0.1)
    before = weights_of(training.model)
    training.train(0, 2, rate=0.01)
    assert before.keys() == {"batch_norm_1/gamma", "batch_norm_1/beta"}
    assert all((value != before[path]).any() for path, value in weights_of(training.model).items())
