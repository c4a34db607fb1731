import numpy as np
import pytest

from eyebright.classifier import Classifier
from eyebright.data.dataset import hash_prefixes, image_hashes
from eyebright.errors import ClassifierError, DataError, SettingsError
from eyebright.held_out import HeldOut
from eyebright.metrics.calibration import Calibration
from eyebright.metrics.conformal import draws, fit_conformal_sets
from eyebright.metrics.selective import threshold_for_error
from eyebright.models import Architecture, build_model
from eyebright.models.network import model_weights
from eyebright.uncertainty import abstention_threshold, class_sets, conformal_sets, held_out_sets

NAMES = ("ant", "bee", "cow")
ARCHITECTURE = Architecture(model="softmax", image_shape=(4, 4, 1), classes=3, preprocessing="mean-image")
CALIBRATION = Calibration(method="temperature", temperature=0.5)


def pictures(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 1), np.uint8)


def make_classifier(validation=400):
    weights = model_weights(build_model(ARCHITECTURE, "float32", 1))
    kernel = np.random.default_rng(2).normal(size=(16, 3)) / 100
    weights["logits/kernel"] = (kernel - kernel.mean(axis=0)).astype(
        np.float32
    )  # no class is likelier for bright images
    plain = Classifier(ARCHITECTURE, NAMES, weights, calibration=CALIBRATION)
    if not validation:
        return plain
    images = pictures(validation)
    probabilities = plain.predict(images)
    drawn = np.random.default_rng(3).random((validation, 1))
    labels = (probabilities.cumsum(axis=1) < drawn).sum(axis=1).clip(0, 2).astype(np.int32)
    keys = hash_prefixes(image_hashes(images, np.arange(validation)))
    held_out = HeldOut(labels, plain.logits(images), keys)
    return Classifier(ARCHITECTURE, NAMES, weights, calibration=CALIBRATION, held_out=held_out)


@pytest.fixture(scope="module")
def classifier():
    return make_classifier()


def test_a_threshold_is_found_on_calibrated_probabilities_of_validation_images(classifier):
    probabilities = CALIBRATION.probabilities(classifier.held_out.logits)
    confidences, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == classifier.held_out.labels
    assert abstention_threshold(classifier, target_error=0.2) == threshold_for_error(confidences, hits, 0.2)
    given = abstention_threshold(classifier, min_confidence=0.8)
    assert (given.threshold, given.coverage) == (0.8, (confidences >= 0.8).mean())
    assert given.risk == pytest.approx((~hits[confidences >= 0.8]).mean())


@pytest.mark.parametrize("method", ["lac", "aps"])
@pytest.mark.parametrize("per_class", [False, True])
def test_sets_of_images_are_those_of_the_rule_on_calibrated_probabilities(method, per_class, classifier):
    held_out, images = classifier.held_out, pictures(50, 9)
    rule = fit_conformal_sets(
        held_out.labels, CALIBRATION.probabilities(held_out.logits), draws(held_out.keys), 0.2,
        method=method, per_class=per_class, class_names=NAMES,
    )  # fmt: skip
    numbers = draws(hash_prefixes(image_hashes(images, np.arange(50))))
    expected = rule.sets(CALIBRATION.probabilities(classifier.logits(images)), numbers)
    assert (class_sets(classifier, images, 0.2, method, per_class=per_class) == expected).all()


def test_the_same_picture_gets_the_same_set_whatever_lies_beside_it(classifier):
    images = pictures(50, 9)
    together = class_sets(classifier, images, 0.3, "aps")
    alone = np.concatenate([class_sets(classifier, images[i : i + 1], 0.3, "aps") for i in range(10)])
    assert (alone == together[:10]).all()
    assert (class_sets(classifier, images[::-1], 0.3, "aps") == together[::-1]).all()


@pytest.mark.parametrize("method", ["lac", "aps"])
def test_the_sets_of_the_validation_images_cover_them_as_asked_for(method, classifier):
    sets = held_out_sets(classifier, conformal_sets(classifier, 0.1, method))
    covered = sets[np.arange(400), classifier.held_out.labels].mean()
    assert 0.9 <= covered <= 0.91


@pytest.mark.parametrize(
    "ask",
    [
        lambda classifier: abstention_threshold(classifier, target_error=0.1),
        lambda classifier: abstention_threshold(classifier, min_confidence=0.9),
        lambda classifier: conformal_sets(classifier, 0.1),
        lambda classifier: class_sets(classifier, pictures(2), 0.1),
    ],
)
def test_without_held_out_predictions_the_message_says_how_to_make_them(ask):
    with pytest.raises(ClassifierError, match=r"none are saved with it. Make them with eyebright calibrate RUN"):
        ask(make_classifier(validation=0))


@pytest.mark.parametrize("given", [{}, {"target_error": 0.1, "min_confidence": 0.9}])
def test_either_a_target_or_a_threshold_is_given(given, classifier):
    with pytest.raises(SettingsError, match=r"either a target error or a minimum confidence"):
        abstention_threshold(classifier, **given)


def test_too_few_validation_images_are_refused():
    with pytest.raises(DataError, match=r"needs at least 59 validation images .* there are 20"):
        abstention_threshold(make_classifier(20), target_error=0.05)
    with pytest.raises(DataError, match=r"needs at least 99 validation images; there are 20"):
        conformal_sets(make_classifier(20), 0.01)
