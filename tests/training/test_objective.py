import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import logsumexp

from eyebright.backend import keras
from eyebright.settings import Settings
from eyebright.training.objective import (
    Objective,
    balanced_class_weights,
    cross_entropy,
    l2_penalty,
    weight_matrices,
)


def tensor(array):
    return keras.ops.convert_to_tensor(array)


def one_hot(labels, classes, dtype="float64"):
    return tensor(np.eye(classes, dtype=dtype)[labels])


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
    assert float(cross_entropy(tensor(logits), one_hot(labels, classes), share)) == pytest.approx(expected, 1e-9)


def test_cross_entropy_of_equal_logits_is_the_logarithm_of_the_number_of_classes():
    logits = keras.ops.zeros((5, 10))
    targets = one_hot(np.arange(5), 10, "float32")
    assert float(cross_entropy(logits, targets)) == pytest.approx(np.log(10))
    assert float(cross_entropy(logits, targets, 0.3)) == pytest.approx(np.log(10))


def test_cross_entropy_stays_finite_where_a_probability_is_below_what_float32_can_hold():
    logits, targets = tensor(np.array([[0, 1e4]], np.float32)), one_hot(np.array([0]), 2, "float32")
    assert float(cross_entropy(logits, targets)) == pytest.approx(1e4)


def test_l2_is_half_the_squares_of_matrices_and_leaves_biases_and_scales_alone():
    model = model_with_every_kind_of_weight()
    matrices = [model.get_layer(name).kernel for name in ("hidden", "logits")]
    assert {weights.path for weights in weight_matrices(model)} == {weights.path for weights in matrices}
    expected = 0.1 * sum(np.square(weights.numpy()).sum() / 2 for weights in matrices)
    assert float(l2_penalty(model, 0.1)) == pytest.approx(expected)


labels_of_some_classes = st.lists(st.integers(0, 5), min_size=1, max_size=60).map(
    lambda found: np.array(found, np.int32)
)


@given(labels_of_some_classes, st.integers(0, 2**32), st.floats(0, 0.9))
def test_balanced_is_as_if_every_class_had_equally_many_images(labels, seed, share):
    """The mean of all images of a class, and then the mean of the classes that there are."""
    logits = np.random.default_rng(seed).normal(size=(len(labels), 6))
    one_by_one = [
        float(cross_entropy(tensor(logits[i : i + 1]), one_hot(labels[i : i + 1], 6), share))
        for i in range(len(labels))
    ]
    expected = np.mean([np.mean(np.array(one_by_one)[labels == label]) for label in np.unique(labels)])
    weights = balanced_class_weights(labels, 6)
    found = cross_entropy(tensor(logits), one_hot(labels, 6), share, weights)
    assert float(found) == pytest.approx(expected, rel=1e-9)


def test_balanced_is_what_drawing_each_class_as_often_comes_to():
    """The gradient over all images with weights, and the mean of many batches drawn so that no class is rarer."""
    random = np.random.default_rng(0)
    labels = random.choice(3, 90, p=[0.7, 0.2, 0.1]).astype(np.int32)
    logits = random.normal(size=(90, 3))
    gradient = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) - np.eye(3)[labels]  # [90, 3]
    weighted = (balanced_class_weights(labels, 3)[labels, None] * gradient).mean(axis=0)
    members = [np.flatnonzero(labels == label) for label in range(3)]
    drawn = [random.choice(members[label]) for label in random.integers(0, 3, 200_000)]
    assert weighted == pytest.approx(gradient[drawn].mean(axis=0), abs=5e-3)
    assert np.abs(weighted - gradient.mean(axis=0)).max() > 0.05  # it is another than that of all images alike


@given(labels_of_some_classes)
def test_over_the_images_the_weights_have_a_mean_of_1_and_each_class_the_same_share(labels):
    weights = balanced_class_weights(labels, 6)
    assert weights[labels].mean() == pytest.approx(1)
    shares = [weights[labels][labels == label].sum() for label in np.unique(labels)]
    assert shares == pytest.approx([shares[0]] * len(shares))
    assert (weights[np.setdiff1d(np.arange(6), labels)] == 1).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_mixed_image_has_the_weights_of_its_classes_by_their_shares(dtype):
    logits, weights = np.array([[2.0, -1.0, 0.5]], dtype), np.array([0.5, 4.0, 1.0])
    own, other = (float(cross_entropy(tensor(logits), one_hot(np.array([label]), 3, dtype))) for label in (0, 1))
    target = tensor(np.array([[0.3, 0.7, 0.0]], dtype))
    expected = (0.3 * 0.5 + 0.7 * 4.0) * (0.3 * own + 0.7 * other)
    assert float(cross_entropy(tensor(logits), target, 0.0, weights)) == pytest.approx(expected, rel=1e-5)


def objective_of(teacher=None, labels=(0, 0, 0, 1), **given):
    return Objective(Settings(epochs=1, **given), np.array(labels, np.int32), 2, teacher)


def test_an_objective_is_the_sum_of_what_the_settings_ask_for():
    model = model_with_every_kind_of_weight()
    logits, targets = tensor(np.array([[1.0, -1.0], [0.0, 2.0]], np.float32)), one_hot(np.array([0, 1]), 2, "float32")
    weights = balanced_class_weights(np.array([0, 0, 0, 1], np.int32), 2)
    entropy = float(cross_entropy(logits, targets, 0.2, weights))
    assert entropy != pytest.approx(float(cross_entropy(logits, targets, 0.2)))
    chosen = {"label_smoothing": 0.2, "class_weights": "balanced"}
    assert float(objective_of(**chosen)(model, None, logits, targets)) == pytest.approx(entropy)
    with_l2 = objective_of(**chosen, l2=0.05)(model, None, logits, targets)
    assert float(with_l2) == pytest.approx(entropy + float(l2_penalty(model, 0.05)))


def test_l2_leaves_frozen_weights_alone():
    model = model_with_every_kind_of_weight()
    model.get_layer("hidden").trainable = False
    expected = 0.1 * np.square(model.get_layer("logits").kernel.numpy()).sum() / 2
    assert float(l2_penalty(model, 0.1)) == pytest.approx(expected)
