import hashlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from eyebright.arrays import arrays_to_npz, npz_to_arrays
from eyebright.backend import available_threads
from eyebright.classifier import Classifier
from eyebright.evaluation.evaluate import evaluate
from eyebright.metrics.calibration import Calibration
from eyebright.metrics.calibration_fit import fit_calibration
from eyebright.metrics.intervals import wilson_interval
from eyebright.training.recalibration import calibrate
from eyebright.training.trainer import resume, train


@pytest.fixture
def run(dataset, make_settings, tmp_path):
    return train(make_settings(seed=3), dataset, tmp_path / "run")


def test_results_hold_what_the_rest_relies_on(run, dataset):
    results = json.loads((run.path / "results.json").read_bytes())
    assert results == run.results
    assert results["steps"] == 30
    assert results["test_images"] == 30
    assert results["precision"] == "float32"
    assert results["backend"] == "tensorflow"
    assert results["threads"] == available_threads()
    assert results["seed"] == 3
    assert results["data_fingerprint"] == dataset.fingerprint
    assert results["test_looks"] == 1
    assert results["parameters"] == 64 * 8 + 8 + 8 * 3 + 3
    assert 0 < results["train_seconds"] < results["total_seconds"]
    assert results["images_per_second"] == pytest.approx(300 / results["train_seconds"])


def test_the_test_figures_are_those_of_the_saved_classifier_on_all_test_images(run, dataset):
    test, classifier = dataset.splits["test"], Classifier.load(run.path)
    probabilities = classifier.predict(dataset.images[test])
    correct = int((probabilities.argmax(axis=1) == dataset.labels[test]).sum())
    assert run.results["test_accuracy"] == correct / 30
    assert run.results["test_accuracy_ci95"] == list(wilson_interval(correct, 30))
    of_own_class = probabilities[np.arange(30), dataset.labels[test]]
    assert run.results["test_loss"] == pytest.approx(-np.log(of_own_class).mean(), rel=1e-5)
    assert run.results["weights_sha256"] == classifier.weights_sha256


def test_test_predictions_hold_labels_logits_and_hashes_of_the_images(run, dataset):
    test = dataset.splits["test"]
    with np.load(run.path / "test_predictions.npz", allow_pickle=False) as kept:
        assert np.array_equal(kept["labels"], dataset.labels[test])
        assert kept["logits"] == pytest.approx(Classifier.load(run.path).logits(dataset.images[test]), abs=1e-5)
        digest = hashlib.sha256(dataset.images[test[4]].tobytes()).digest()
        assert kept["image_sha256"][4].tobytes() == digest
        assert str(kept["weights_sha256"]) == run.results["weights_sha256"]


def test_a_run_without_test_time_augmentation_has_one_accuracy(run):
    assert run.results["tta"] == "none"
    assert not [name for name in run.results if "one_view" in name]
    with np.load(run.path / "test_predictions.npz", allow_pickle=False) as kept:
        assert set(kept.files) == {"labels", "logits", "image_sha256", "weights_sha256"}


@pytest.mark.parametrize("tta", ["mirror", "mirror-shift"])
def test_with_test_time_augmentation_the_accuracy_of_one_view_stands_beside_that_of_the_classifier(
    tta, dataset, make_settings, tmp_path
):
    run = train(make_settings(seed=3, tta=tta), dataset, tmp_path / "run")
    labels, test = dataset.labels[dataset.splits["test"]], dataset.splits["test"]
    classifier, results = Classifier.load(run.path), run.results
    assert results["tta"] == classifier.tta == tta
    assert results["test_looks"] == 1
    logits = {"test_accuracy": classifier.logits(dataset.images, test)}
    logits["test_accuracy_one_view"] = Classifier(
        classifier.architecture, classifier.class_names, classifier.weights
    ).logits(dataset.images, test)
    for name, its_logits in logits.items():
        correct = int((its_logits.argmax(axis=1) == labels).sum())
        assert results[name] == correct / 30
        assert results[f"{name}_ci95"] == list(wilson_interval(correct, 30))
    evaluation = evaluate(classifier, dataset, test)
    assert (evaluation.accuracy, evaluation.tta) == (results["test_accuracy"], tta)
    assert evaluation.log_loss == pytest.approx(results["test_loss"])
    with np.load(run.path / "test_predictions.npz", allow_pickle=False) as kept:
        assert str(kept["tta"]) == tta
        np.testing.assert_array_equal(kept["logits"], logits["test_accuracy"])
        np.testing.assert_allclose(kept["logits_one_view"], logits["test_accuracy_one_view"], rtol=1e-5, atol=1e-5)
        assert np.abs(kept["logits"] - kept["logits_one_view"]).max() > 1e-3


@pytest.mark.parametrize("tta", ["none", "mirror"])
@pytest.mark.parametrize(
    "lost", [["results.json"], ["results.json", "model/weights.npz"], ["results.json", "validation_predictions.npz"]]
)
def test_a_process_that_was_killed_at_the_very_end_costs_no_second_look_at_the_test_images(
    tta, lost, dataset, make_settings, tmp_path
):
    run = train(make_settings(seed=3, tta=tta), dataset, tmp_path / "run")
    finished = {path: path.read_bytes() for path in run.path.rglob("*.npz")}
    for name in lost:
        (run.path / name).unlink()
    again = resume(run.path, dataset)
    assert again.results["test_looks"] == 1
    timed = {"train_seconds", "total_seconds", "images_per_second"}
    assert {k: v for k, v in again.results.items() if k not in timed} == {
        k: v for k, v in run.results.items() if k not in timed
    }
    assert Classifier.load(run.path).weights_sha256 == run.results["weights_sha256"]
    assert {path: path.read_bytes() for path in run.path.rglob("*.npz")} == finished


def test_after_label_smoothing_the_calibration_is_quadratic(dataset, make_settings, tmp_path):
    run = train(make_settings(label_smoothing=0.1), dataset, tmp_path / "run")
    validation, classifier = dataset.splits["validation"], Classifier.load(run.path)
    labels, logits = dataset.labels[validation], classifier.logits(dataset.images, validation)
    expected = fit_calibration("quadratic", labels, logits, dataset.class_names)
    assert run.results["calibration"] == classifier.calibration.summary()
    assert classifier.calibration.method == "quadratic"
    assert classifier.calibration.temperature == pytest.approx(expected.temperature, rel=1e-3)
    assert calibrate(run.path).calibration == classifier.calibration


@pytest.mark.parametrize("tta", ["none", "mirror"])
def test_the_saved_classifier_is_calibrated_on_the_validation_images(tta, dataset, make_settings, tmp_path):
    run = train(make_settings(seed=3, tta=tta), dataset, tmp_path / "run")
    validation, classifier = dataset.splits["validation"], Classifier.load(run.path)
    labels, logits = dataset.labels[validation], classifier.logits(dataset.images, validation)
    expected = fit_calibration("temperature", labels, logits, dataset.class_names)
    assert classifier.calibration.temperature == pytest.approx(expected.temperature, rel=1e-4)
    assert run.results["calibration"] == {"method": "temperature", "temperature": classifier.calibration.temperature}
    held_out = classifier.held_out
    assert (held_out.labels == labels).all()
    np.testing.assert_allclose(held_out.logits, logits, rtol=1e-5, atol=1e-5)
    digest = hashlib.sha256(dataset.images[validation[7]].tobytes()).digest()
    assert held_out.keys[7] == int.from_bytes(digest[:8], "little")
    with np.load(run.path / "validation_predictions.npz", allow_pickle=False) as kept:
        assert set(kept.files) == {"labels", "logits", "image_sha256", "weights_sha256"} | (
            set() if tta == "none" else {"tta"}
        )
        assert (kept["labels"] == labels).all()
        assert (kept["logits"] == held_out.logits).all()
        assert kept["image_sha256"][7].tobytes() == digest
        assert str(kept["weights_sha256"]) == run.results["weights_sha256"]


@pytest.mark.parametrize("title", [None, "one of several"])
def test_a_run_without_validation_images_is_not_calibrated_and_says_so(title, dataset, make_settings, tmp_path):
    splits = {"train": np.arange(120), "test": dataset.splits["test"]}
    console = Console(file=io.StringIO(), width=200)
    settings = make_settings(validation=0.0)
    run = train(settings, replace(dataset, splits=splits), tmp_path / "run", console=console, title=title)
    assert run.results["calibration"] == {"method": "none"}
    classifier = Classifier.load(run.path)
    assert (classifier.calibration, classifier.held_out) == (Calibration(), None)
    assert not (run.path / "validation_predictions.npz").exists()
    said = "No validation images: the probabilities are not calibrated." in console.file.getvalue()
    assert said == (title is None)


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_validation_predictions_that_are_damaged_are_made_again(run, dataset, content, flip_bit):
    path = run.path / "validation_predictions.npz"
    expected = path.read_bytes()
    if content is None:
        flip_bit(path, 8 * (len(expected) // 2))
    else:
        path.write_bytes(content)
    (run.path / "results.json").unlink()
    again = resume(run.path, dataset)
    assert again.results["test_looks"] == 1
    assert again.results["calibration"] == run.results["calibration"]
    assert path.read_bytes() == expected


@pytest.mark.parametrize("lacking", ["logits_one_view", "tta"])
def test_predictions_of_other_views_are_made_again_and_that_counts_as_a_look(lacking, dataset, make_settings, tmp_path):
    run = train(make_settings(seed=3, tta="mirror"), dataset, tmp_path / "run")
    path = run.path / "test_predictions.npz"
    expected = path.read_bytes()
    kept = npz_to_arrays(expected)
    path.write_bytes(arrays_to_npz({name: array for name, array in kept.items() if name != lacking}))
    (run.path / "results.json").unlink()
    assert resume(run.path, dataset).results["test_looks"] == 2
    assert path.read_bytes() == expected


@pytest.mark.parametrize("content", [b"", b"no zip", None])
def test_predictions_that_are_damaged_are_made_again_and_that_counts_as_a_look(run, dataset, content, flip_bit):
    path = run.path / "test_predictions.npz"
    expected = path.read_bytes()
    if content is None:
        flip_bit(path, 8 * (len(expected) // 2))
    else:
        path.write_bytes(content)
    (run.path / "results.json").unlink()
    again = resume(run.path, dataset)
    assert again.results["test_looks"] == 2
    assert again.results["test_loss"] == run.results["test_loss"]
    assert path.read_bytes() == expected


def test_nothing_is_left_of_files_that_a_killed_process_was_writing(run, dataset):
    for name in (".writing-model-123", ".replaced-model-123", ".results.json.123.writing", ".looks.json.9.writing"):
        if name.endswith("writing"):
            (run.path / name).write_bytes(b"{")
        else:
            (run.path / name).mkdir()
            (run.path / name / "weights.npz").write_bytes(b"PK")
    (run.path / "results.json").unlink()
    resume(run.path, dataset)
    assert {path.name for path in run.path.glob(".*")} <= {".lock"}


def test_where_images_come_in_groups_the_interval_is_of_groups(dataset, make_settings, tmp_path):
    groups = np.full(len(dataset), -1, np.int32)
    groups[dataset.splits["test"]] = np.arange(30) // 6
    results = train(make_settings(seed=3), replace(dataset, groups=groups), tmp_path / "run").results
    low, high = wilson_interval(round(30 * results["test_accuracy"]), 30)
    assert results["test_accuracy_ci95"][0] <= low
    assert results["test_accuracy_ci95"][1] >= high
    assert results["test_accuracy_ci95"] != [low, high]
