"""The last layer of a transfer model: against scikit-learn, and on features that are odd."""

import io
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from sklearn.linear_model import LogisticRegression

from eyebright.models.transfer import features_of
from eyebright.training.head import logistic_regression, standardise, train_head
from eyebright.training.preparation import build


def some_features(seed, n=60, width=7, classes=3):
    generator = np.random.default_rng(seed)
    labels = (np.arange(n) % classes).astype(np.int32)
    centres = generator.normal(size=(classes, width))
    return 5 + generator.uniform(0.1, 20, width) * (centres[labels] + generator.normal(size=(n, width))), labels


def probabilities(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def fitted(features, labels, classes, weights, penalty, dtype=np.float32):
    """Kernel and bias for features as they are."""
    standard = features.astype(dtype)
    mean, deviation = standardise(standard)
    kernel, bias = logistic_regression(standard, labels, classes, weights, penalty)
    kernel = kernel / deviation[:, None]
    return kernel, bias - mean @ kernel


@pytest.mark.parametrize("penalty", [0.3, 10.0])
@pytest.mark.parametrize("classes", [3, 5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_the_logistic_regression_of_scikit_learn(dtype, classes, penalty):
    features, labels = some_features(0, classes=classes)
    weights = np.random.default_rng(1).uniform(0.2, 2, len(labels))
    kernel, bias = fitted(features, labels, classes, weights, penalty, dtype)
    standard = (features - features.mean(axis=0)) / features.std(axis=0)
    reference = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=5000).fit(standard, labels, weights)
    expected = reference.predict_proba(standard)
    np.testing.assert_allclose(probabilities(features @ kernel + bias), expected, atol=2e-4)


@given(st.integers(0, 2**32), st.floats(1e-3, 1e3), st.floats(-100, 100))
@settings(max_examples=20, deadline=None)
def test_units_of_the_features_play_no_part(seed, scale, shift):
    features, labels = some_features(seed)
    answers = [
        probabilities(given @ kernel + bias)
        for given in (features, scale * features + shift)
        for kernel, bias in [fitted(given, labels, 3, np.ones(len(labels)), 1.0)]
    ]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-3)


def test_features_that_never_change_and_classes_without_images_do_no_harm():
    features, labels = some_features(0)
    features[:, 2] = 4.0
    kernel, bias = fitted(features, labels, 5, np.ones(len(labels)), 1.0)
    assert (kernel[2] == 0).all()
    assert np.isfinite(kernel).all()
    assert np.isfinite(bias).all()
    assert (probabilities(features @ kernel + bias)[:, 3:] < 0.02).all()


def test_features_are_standardised_in_place():
    features, _ = some_features(0, n=5000)
    features[:, 2] = 0.1
    found = features.astype(np.float32)
    mean, deviation = standardise(found)
    assert deviation[2] == np.inf
    kept = [0, 1, 3, 4, 5, 6]
    np.testing.assert_allclose(mean, features.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(deviation[kept], features.std(axis=0)[kept], rtol=1e-6)
    assert np.abs(found[:, 2]).max() == 0
    np.testing.assert_allclose(found[:, kept].mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(found[:, kept].std(axis=0), 1, rtol=1e-5)


def test_it_takes_little_memory_beside_the_features():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 40_000).astype(np.int32)
    features = generator.normal(size=(len(labels), 200)).astype(np.float32)
    weights = np.ones(len(labels))
    tracemalloc.start()
    standardise(features)
    logistic_regression(features, labels, 3, weights, 1.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < features.nbytes / 2


def test_two_images_are_enough_to_be_told_apart():
    kernel, bias = fitted(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1]), 2, np.ones(2), 0.1)
    assert (np.array([[0.0, 1.0], [1.0, 0.0]]) @ kernel + bias).argmax(axis=1).tolist() == [0, 1]


@pytest.mark.parametrize("augment", ["none", "standard"])
def test_the_models_last_layer_is_set_and_nothing_else(augment, dataset, make_settings):
    settings = make_settings(model="transfer", weights="none", backbone="mobilenet-v2", augment=augment)
    model = build(settings, dataset)
    before = {weight.path: weight.numpy() for weight in model.weights}
    output = io.StringIO()
    train_head(model, settings, dataset, dataset.splits["train"], Console(file=output))
    changed = {w.path for w in model.weights if not np.array_equal(w.numpy(), before[w.path])}
    assert changed == {"logits/kernel", "logits/bias"}
    assert output.getvalue().startswith("Last layer trained on 1,280 features of each image: training accuracy ")
    labels = dataset.labels[dataset.splits["train"]]
    images = dataset.images[dataset.splits["train"]]
    found = np.asarray(model(images, training=False)).argmax(axis=1)
    assert (found == labels).mean() > 0.8  # brightness alone tells these classes apart
    assert features_of(model)(images).shape == (100, 1280)
