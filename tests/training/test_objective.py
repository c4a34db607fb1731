import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from eyebright.backend import keras
from eyebright.training.objective import cross_entropy, l2_penalty, weight_matrices


def model_with_every_kind_of_weight():
    images = keras.Input((3,))
    x = keras.layers.Dense(4, use_bias=True, name="hidden")(images)
    x = keras.layers.BatchNormalization(name="norm")(x)
    return keras.Model(images, keras.layers.Dense(2, bias_initializer="ones", name="logits")(x))


@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(2, 12), st.floats(0, 0.99), st.sampled_from([1, 50, 500]))
def test_cross_entropy_is_the_mean_over_the_batch_with_part_of_the_target_spread(seed, batch, classes, share, scale):
    random = np.random.default_rng(seed)
    logits = scale * random.normal(size=(batch, classes))
    labels = random.integers(0, classes, batch)
    target = np.full((batch, classes), share / classes)
    target[np.arange(batch), labels] += 1 - share
    expected = -(target * (logits - logsumexp(logits, axis=1, keepdims=True))).sum(axis=1).mean()
    assert float(cross_entropy(keras.ops.convert_to_tensor(logits), labels, share)) == pytest.approx(expected, 1e-9)


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_number_of_classes():
    logits = keras.ops.zeros((5, 10))
    assert float(cross_entropy(logits, np.arange(5))) == pytest.approx(np.log(10))
    assert float(cross_entropy(logits, np.arange(5), 0.3)) == pytest.approx(np.log(10))


def test_cross_entropy_stays_finite_where_a_probability_is_below_what_float32_can_hold():
    logits = keras.ops.convert_to_tensor(np.array([[0, 1e4]], np.float32))
    assert float(cross_entropy(logits, np.array([0]))) == pytest.approx(1e4)


def test_l2_is_half_the_squares_of_matrices_and_leaves_biases_and_scales_alone():
    model = model_with_every_kind_of_weight()
    matrices = [model.get_layer(name).kernel for name in ("hidden", "logits")]
    assert {weights.path for weights in weight_matrices(model)} == {weights.path for weights in matrices}
    expected = 0.1 * sum(np.square(weights.numpy()).sum() / 2 for weights in matrices)
    assert float(l2_penalty(model, 0.1)) == pytest.approx(expected)
