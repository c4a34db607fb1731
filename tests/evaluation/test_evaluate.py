import json

import numpy as np
import pytest

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.errors import DataError
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
        "accuracy", "accuracy_ci95", "n", "log_loss", "class_names", "per_class", "confusion_matrix", "tta",
    }  # fmt: skip
    assert read["confusion_matrix"] == CONFUSION
    assert read["per_class"][0].keys() == {"label", "support", "precision", "recall", "recall_ci95", "f1"}
    assert (read["n"], read["accuracy"], read["class_names"]) == (7, 5 / 7, list(NAMES))
