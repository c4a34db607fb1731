"""The last layer of a transfer model: against scikit-learn, and on features that are odd."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from sklearn.linear_model import LogisticRegression

from eyebright.models.transfer import features_of
from eyebright.training.head import logistic_regression, train_head
from eyebright.training.preparation import build


def some_features(seed, n=60, width=7, classes=3):
    generator = np.random.default_rng(seed)
    labels = (np.arange(n) % classes).astype(np.int32)
    centres = generator.normal(size=(classes, width))
    return 5 + generator.uniform(0.1, 20, width) * (centres[labels] + generator.normal(size=(n, width))), labels


def probabilities(logits):
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("penalty", [0.3, 10.0])
@pytest.mark.parametrize("classes", [3, 5])
def test_it_is_the_logistic_regression_of_scikit_learn(classes, penalty):
    features, labels = some_features(0, classes=classes)
    weights = np.random.default_rng(1).uniform(0.2, 2, len(labels))
    kernel, bias = logistic_regression(features, labels, classes, weights, penalty)
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
        for kernel, bias in [logistic_regression(given, labels, 3, np.ones(len(labels)), 1.0)]
    ]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-3)


def test_features_that_never_change_and_classes_without_images_do_no_harm():
    features, labels = some_features(0)
    features[:, 2] = 4.0
    kernel, bias = logistic_regression(features, labels, 5, np.ones(len(labels)), 1.0)
    assert (kernel[2] == 0).all()
    assert np.isfinite(kernel).all()
    assert np.isfinite(bias).all()
    assert (probabilities(features @ kernel + bias)[:, 3:] < 0.02).all()


def test_two_images_are_enough_to_be_told_apart():
    kernel, bias = logistic_regression(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0, 1]), 2, np.ones(2), 0.1)
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
