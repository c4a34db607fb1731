import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from eyebright.arrays import arrays_to_npz, npz_to_arrays
from eyebright.classifier import Classifier
from eyebright.errors import DataError, EyebrightError, RunError, SettingsError
from eyebright.metrics.calibration import Calibration
from eyebright.metrics.calibration_error import expected_calibration_error
from eyebright.metrics.calibration_fit import cross_fitted_log_probabilities
from eyebright.metrics.scores import log_loss
from eyebright.run_directory import RunDirectory
from eyebright.training.recalibration import calibrate, knows_its_images, needs_data
from eyebright.training.trainer import train

METHODS = ("temperature", "quadratic", "vector", "isotonic", "none")


@pytest.fixture
def run(make_run, tmp_path):
    """A copy of a finished run."""
    return shutil.copytree(make_run().path, tmp_path / "run")


def results_of(run):
    return json.loads((run / "results.json").read_bytes())


def files_of(run):
    return {path.relative_to(run): path.read_bytes() for path in run.rglob("*") if path.is_file()}


@pytest.mark.parametrize("method", METHODS)
def test_the_classifier_and_the_figures_are_those_of_the_new_calibration(method, run, dataset):
    before, weights = results_of(run), Classifier.load(run).weights_sha256
    done = calibrate(run, method)
    classifier, results = Classifier.load(run), results_of(run)
    assert classifier.calibration == done.calibration
    assert classifier.calibration.method == results["calibration"]["method"] == method
    assert classifier.weights_sha256 == weights == results["weights_sha256"]
    test = dataset.splits["test"]
    probabilities = classifier.predict(dataset.images[test])
    own = probabilities[np.arange(len(test)), dataset.labels[test]]
    assert results["test_loss"] == pytest.approx(-np.log(own).mean(), rel=1e-4)
    assert results["test_accuracy"] == (probabilities.argmax(axis=1) == dataset.labels[test]).mean()
    changed = {"test_loss", "calibration", "test_accuracy", "test_accuracy_ci95"}
    assert {k: v for k, v in results.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }
    assert done.results == results


def test_temperature_scaling_again_changes_no_byte(run):
    before = files_of(run)
    calibrate(run)
    assert files_of(run) == before


def test_figures_are_cross_fitted(run):
    done = calibrate(run, "isotonic")
    held_out = Classifier.load(run).held_out
    labels, logits = held_out.labels, held_out.logits
    assert done.images == len(labels) == 20
    assert done.before["log_loss"] == pytest.approx(log_loss(labels, logits))
    found = cross_fitted_log_probabilities("isotonic", labels, logits)
    assert done.after == {
        "log_loss": log_loss(labels, found),
        "calibration_error": expected_calibration_error(labels, np.exp(found)),
        "accuracy": (found.argmax(axis=1) == labels).mean(),
    }


def as_before_there_was_calibration(run):
    """Make a run what it would have been then."""
    classifier = Classifier.load(run)
    plain = Classifier(classifier.architecture, classifier.class_names, classifier.weights, classifier.tta)
    plain.save(run / "model")
    (run / "validation_predictions.npz").unlink()


@pytest.mark.parametrize("how", ["missing", "damaged", "of other weights", "of other views"])
def test_without_kept_predictions_the_validation_images_are_asked_about(how, run, dataset):
    path, expected = run / "validation_predictions.npz", Classifier.load(run).calibration
    kept = npz_to_arrays(path.read_bytes())
    as_before_there_was_calibration(run)
    other = {
        "damaged": b"PK",
        "of other weights": arrays_to_npz({**kept, "weights_sha256": np.array("0" * 64)}),
        "of other views": arrays_to_npz({**kept, "tta": np.array("mirror")}),
    }
    if how in other:
        path.write_bytes(other[how])
    assert needs_data(RunDirectory.open(run))
    with pytest.raises(RunError, match=r"no answers to its validation images are kept. Give the data"):
        calibrate(run)
    done = calibrate(run, dataset=dataset)
    assert done.calibration == expected
    assert not needs_data(RunDirectory.open(run))
    assert npz_to_arrays(path.read_bytes())["logits"].tobytes() == kept["logits"].tobytes()
    assert results_of(run)["test_looks"] == 1


def test_other_data_are_refused(run, other_dataset):
    as_before_there_was_calibration(run)
    with pytest.raises(RunError, match=r"not the data of the run"):
        calibrate(run, dataset=other_dataset)


@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        (lambda run: (run / "results.json").unlink(), RunError, "not finished. Go on with it: .*--resume"),
        (lambda run: (run / "test_predictions.npz").unlink(), RunError, "test_predictions.npz: missing. "),
        (lambda run: (run / "test_predictions.npz").write_bytes(b"PK"), RunError, "test_predictions.npz: damaged: "),
    ],
)
def test_a_run_that_cannot_be_brought_up_to_date_is_left_as_it_is(spoil, error, words, run):
    spoil(run)
    before = files_of(run)
    with pytest.raises(error, match=words):
        calibrate(run, "none")
    assert files_of(run) == before


def test_an_unknown_method_is_refused_and_changes_nothing(run):
    before = files_of(run)
    with pytest.raises(SettingsError, match=r"--method platt: no such calibration"):
        calibrate(run, "platt")
    assert files_of(run) == before


def test_logits_that_are_not_finite_are_refused_and_change_nothing(run):
    path = run / "validation_predictions.npz"
    kept = npz_to_arrays(path.read_bytes())
    kept["logits"][3, 1] = np.nan
    path.write_bytes(arrays_to_npz(kept))
    before = files_of(run)
    with pytest.raises(DataError, match=r"logits of image 3 are not finite"):
        calibrate(run)
    assert files_of(run) == before


def test_a_run_without_validation_images_is_refused_with_the_remedy(dataset, make_settings, tmp_path):
    splits = {"train": np.arange(120), "test": dataset.splits["test"]}
    run = train(make_settings(validation=0.0), replace(dataset, splits=splits), tmp_path / "run")
    for attempt in (lambda: calibrate(run.path), lambda: needs_data(RunDirectory.open(run.path))):
        with pytest.raises(RunError, match=r"kept no validation images to calibrate on. Train anew with --validation"):
            attempt()


def test_a_class_without_validation_images_can_have_a_temperature_only(dataset, make_settings, tmp_path):
    validation = np.arange(100, 120)[dataset.labels[100:120] != 1]
    splits = {"train": np.arange(100), "validation": validation, "test": dataset.splits["test"]}
    run = train(make_settings(), replace(dataset, splits=splits), tmp_path / "run")
    assert run.results["calibration"]["method"] == "temperature"
    for method in ("vector", "isotonic"):
        with pytest.raises(DataError, match=r"the class 'grey' has no validation images"):
            calibrate(run.path, method)
    assert Classifier.load(run.path).calibration.method == "temperature"


def test_another_process_at_work_in_the_run_is_not_disturbed(run):
    with RunDirectory.open(run).locked(), pytest.raises(EyebrightError, match=r"another process is at work"):
        calibrate(run)


def test_uncalibrated_is_the_softmax(run, dataset):
    calibrate(run, "none")
    classifier = Classifier.load(run)
    assert classifier.calibration == Calibration()
    assert classifier.held_out is not None


def test_a_run_that_does_not_know_its_images_learns_them_where_the_data_are_given(run, dataset):
    known = Classifier.load(run).known_images
    as_before_there_was_calibration(run)
    assert not knows_its_images(RunDirectory.open(run))
    calibrate(run, dataset=dataset)
    assert knows_its_images(RunDirectory.open(run))
    again = Classifier.load(run).known_images
    assert again.directions.tobytes() == known.directions.tobytes()
    assert again.distances.tobytes() == known.distances.tobytes()


def test_what_is_known_is_of_training_and_validation_images_alone(run, dataset):
    classifier = Classifier.load(run)
    features = {name: classifier.features(dataset.images, dataset.splits[name]) for name in ("train", "validation")}
    roots = np.sign(features["train"]) * np.sqrt(np.abs(features["train"]))
    roots /= np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), 1e-12)  # a hidden unit may answer to no image
    labels = dataset.labels[dataset.splits["train"]]
    sums = np.stack([roots[labels == label].sum(axis=0) for label in range(len(dataset.class_names))])
    expected = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    assert classifier.known_images.directions == pytest.approx(expected, abs=1e-5)
    distances = np.sort(classifier.known_images.score.distances(features["validation"]))
    assert classifier.known_images.distances == pytest.approx(distances, abs=1e-6)
