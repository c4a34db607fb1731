import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import roc_auc_score, top_k_accuracy_score

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.errors import ClassifierError, DataError, SettingsError
from eyebright.evaluation.evaluate import evaluate
from eyebright.metrics.intervals import wilson_interval
from eyebright.models import Architecture

NAMES = ("dark", "grey", "bright")


def brightness_classifier(tta="none"):
    """Says "dark" below 85, "bright" above 170 and "grey" between, of a picture of one pixel."""
    architecture = Architecture(model="softmax", image_shape=(1, 1, 1), classes=3, preprocessing="mean-image")
    weights = {
        "standardize/mean": np.zeros((1, 1, 1), np.float32),
        "logits/kernel": np.array([[0, 1, 2]], np.float32),
        "logits/bias": np.array([0, -85, -255], np.float32),
    }
    return Classifier(architecture, NAMES, weights, tta)


def dataset(pixels, labels, names=NAMES, **splits):
    images = np.array(pixels, np.uint8).reshape(-1, 1, 1, 1)
    return Dataset(images, np.array(labels, np.int32), names, "pixels", splits)


PIXELS, LABELS = [10, 20, 100, 120, 200, 220, 250], [0, 1, 1, 1, 2, 2, 0]
CONFUSION = [[1, 0, 1], [1, 2, 0], [0, 0, 2]]


def test_figures_are_exact():
    result = evaluate(brightness_classifier(), dataset(PIXELS, LABELS))
    assert (result.n, result.accuracy) == (7, 5 / 7)
    assert result.accuracy_ci95 == wilson_interval(5, 7)
    assert result.confusion_matrix.tolist() == CONFUSION
    assert [row["support"] for row in result.per_class] == [2, 3, 2]
    assert [row["recall"] for row in result.per_class] == [1 / 2, 2 / 3, 1]
    logits = np.array([[0, p - 85, 2 * p - 255] for p in PIXELS], float)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(7), LABELS]
    assert result.log_loss == pytest.approx(losses.mean(), rel=1e-6)


@pytest.mark.parametrize("n", [1, 999, 1000, 1001, 2500])
def test_every_image_counts_once_the_last_partial_batch_included(n):
    pixels = np.random.default_rng(0).integers(0, 256, n)
    labels = np.digitize(pixels, [86, 171])
    result = evaluate(brightness_classifier(), dataset(pixels, labels))
    assert (result.n, result.confusion_matrix.sum()) == (n, n)
    wrong = evaluate(brightness_classifier(), dataset(pixels, [*labels[:-1], (labels[-1] + 1) % 3]))
    assert result.accuracy * n - wrong.accuracy * n == pytest.approx(1)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_classes_are_matched_by_name_in_whatever_order_they_come(order):
    places = np.argsort(order)
    reordered = dataset(PIXELS, places[LABELS], tuple(NAMES[i] for i in order))
    result = evaluate(brightness_classifier(), reordered)
    assert result.class_names == NAMES
    assert result.confusion_matrix.tolist() == CONFUSION


@pytest.mark.parametrize("tta", ["none", "mirror", "mirror-shift"])
def test_figures_are_those_of_the_views_by_which_the_classifier_answers_and_say_which(tta):
    result = evaluate(brightness_classifier(tta), dataset(PIXELS, LABELS))
    assert result.tta == result.to_dict()["tta"] == tta
    assert result.confusion_matrix.tolist() == CONFUSION  # of one pixel: all views are the same

    left = Architecture(model="softmax", image_shape=(1, 2, 1), classes=3, preprocessing="mean-image")
    weights = {
        "standardize/mean": np.zeros((1, 2, 1), np.float32),
        "logits/kernel": np.array([[0, 1, 0], [0, 0, 0]], np.float32),
        "logits/bias": np.array([0, -85, -999], np.float32),
    }
    images = np.array([[[[100], [0]]], [[[0], [100]]], [[[100], [100]]]], np.uint8)  # the left pixel is bright in two
    result = evaluate(Classifier(left, NAMES, weights, tta), Dataset(images, np.array([1, 0, 1], np.int32), NAMES, "a"))
    assert result.accuracy == (1 if tta == "none" else 2 / 3)  # by its mirror image, the first is half as bright


def test_chosen_images_alone_count():
    result = evaluate(brightness_classifier(), dataset(PIXELS, LABELS), np.array([0, 1, 6]))
    assert (result.n, result.accuracy) == (3, 1 / 3)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("dark", "grey", "white"), "the classifier has 'bright', the data does not"),
        (("dark", "grey", "bright", "white"), "the data has 'white', the classifier does not"),
        (("dark", "grey"), "the classifier has 'bright', the data does not .2 classes against 3."),
    ],
)
def test_other_classes_are_refused(names, words):
    with pytest.raises(DataError, match=words):
        evaluate(brightness_classifier(), dataset([1, 2], [0, 1], names))


def test_images_of_another_size_are_refused():
    wide = Dataset(np.zeros((2, 1, 2, 1), np.uint8), np.array([0, 1], np.int32), NAMES, "wide")
    with pytest.raises(DataError, match=r"uint8 \[N, 1, 1, 1\].*\[2, 1, 2, 1\]"):
        evaluate(brightness_classifier(), wide)


def test_no_images_are_refused():
    with pytest.raises(DataError, match="no images to evaluate on"):
        evaluate(brightness_classifier(), dataset(PIXELS, LABELS), np.array([], np.int64))


def test_dictionary_is_json_with_the_names_that_machines_read():
    result = evaluate(brightness_classifier(), dataset(PIXELS, LABELS))
    read = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert read.keys() == {
        "accuracy", "accuracy_ci95", "n", "groups", "log_loss", "log_loss_ci95", "class_names", "per_class", "tta",
        "confusion_matrix", "top_k", "top_k_accuracy", "top_k_accuracy_ci95", "balanced_accuracy",
        "balanced_accuracy_ci95", "macro", "weighted", "brier_score", "brier_score_ci95", "roc_auc", "ece", "ece_ci95",
        "ece_if_calibrated", "ece_bins", "classwise_ece", "classwise_ece_ci95", "reliability", "calibration",
    }  # fmt: skip
    assert read["confusion_matrix"] == CONFUSION
    assert read["per_class"][0].keys() == {
        "label", "support", "precision", "precision_ci95", "recall", "recall_ci95", "f1", "f1_ci95", "roc_auc",
        "roc_auc_ci95",
    }  # fmt: skip
    means = {f"{name}{of}" for name in ("precision", "recall", "f1") for of in ("", "_ci95")}
    assert read["macro"].keys() == read["weighted"].keys() == means
    assert read["roc_auc"].keys() == {"macro", "macro_ci95", "weighted", "weighted_ci95"}
    assert (read["n"], read["accuracy"], read["class_names"]) == (7, 5 / 7, list(NAMES))


def test_the_figures_are_of_the_probabilities_that_the_classifier_gives():
    classifier, images = brightness_classifier(), dataset(PIXELS, LABELS)
    result = evaluate(classifier, images, top_k=2)
    probabilities = softmax(classifier.logits(images.images).astype(np.float64), axis=1)
    assert result.top_k_accuracy == top_k_accuracy_score(LABELS, probabilities, k=2)
    areas = [roc_auc_score(images.labels == label, probabilities[:, label]) for label in range(3)]
    assert [row["roc_auc"] for row in result.per_class] == pytest.approx(areas)
    assert result.brier_score == pytest.approx(
        np.square(np.eye(3)[LABELS] - probabilities).sum(axis=1).mean(), rel=1e-5
    )


def test_images_of_one_group_are_known_as_such():
    groups = np.array([0, 0, 0, -1, 1, 1, -1], np.int32)
    images = replace(dataset(PIXELS, LABELS), groups=groups)
    assert evaluate(brightness_classifier(), images).groups == 4
    assert evaluate(brightness_classifier(), images, np.array([0, 3, 4, 6])).groups is None
    assert evaluate(brightness_classifier(), images).accuracy == 5 / 7


def test_a_top_k_that_means_nothing_is_refused():
    assert evaluate(brightness_classifier(), dataset(PIXELS, LABELS)).top_k is None
    for k in (0, 3, -1):
        with pytest.raises(SettingsError, match=rf"--top-k {k}: of 3 classes, k must lie in 1 … 2"):
            evaluate(brightness_classifier(), dataset(PIXELS, LABELS), top_k=k)


@pytest.mark.parametrize("bias", [np.nan, np.inf])
def test_logits_that_are_not_finite_are_refused(bias):
    classifier = brightness_classifier()
    weights = {**classifier.weights, "logits/bias": np.array([0, bias, -255], np.float32)}
    broken = Classifier(classifier.architecture, NAMES, weights)
    with pytest.raises(
        ClassifierError, match=r"logits are not finite for 7 of 7 images \(the first: image 0.*Train anew"
    ):
        evaluate(broken, dataset(PIXELS, LABELS))
