import hashlib
import json

import numpy as np
import pytest

from eyebright.backend import available_threads
from eyebright.classifier import Classifier
from eyebright.metrics.intervals import wilson_interval
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


@pytest.mark.parametrize("lost", [["results.json"], ["results.json", "model/weights.npz"]])
def test_a_process_that_was_killed_at_the_very_end_costs_no_second_look_at_the_test_images(run, dataset, lost):
    for name in lost:
        (run.path / name).unlink()
    again = resume(run.path, dataset)
    assert again.results["test_looks"] == 1
    assert again.results["test_accuracy"] == run.results["test_accuracy"]
    assert Classifier.load(run.path).weights_sha256 == run.results["weights_sha256"]


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
