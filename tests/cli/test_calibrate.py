import json

import numpy as np
import pytest

from eyebright.classifier import Classifier
from eyebright.metrics.scores import log_loss

METHODS = ("temperature", "quadratic", "vector", "isotonic", "none")


def results_of(run):
    return json.loads((run / "results.json").read_bytes())


@pytest.mark.parametrize("method", METHODS)
def test_json_has_the_figures_before_and_after(method, run_copy, command):
    code, out, err = command("calibrate", run_copy, "--method", method, "--json")
    assert (code, err) == (0, "")
    read = json.loads(out)
    results, classifier = results_of(run_copy), Classifier.load(run_copy)
    assert read.keys() == {"calibration", "validation_images", "before", "after", "test_loss", "test_accuracy"}
    assert read["before"].keys() == read["after"].keys() == {"log_loss", "calibration_error", "accuracy"}
    assert read["calibration"]["method"] == method == classifier.calibration.method
    assert read["test_loss"] == results["test_loss"]
    held_out = classifier.held_out
    assert read["validation_images"] == len(held_out.labels)
    assert read["before"]["log_loss"] == pytest.approx(log_loss(held_out.labels, held_out.logits))
    if method == "none":
        assert read["after"] == pytest.approx(read["before"])


def test_for_people_it_says_what_was_fitted_and_what_it_does(run_copy, command):
    code, out, err = command("calibrate", run_copy)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("Calibration temperature (temperature ")
    assert "validation images" in lines[0]
    assert lines[1].startswith("Without it: log loss ")
    assert "ECE, 15 equal-mass bins" in lines[1]
    assert lines[2].startswith("With it, five-fold: log loss ")
    assert lines[3].startswith("Test images, from kept predictions: log loss ")


def test_it_is_no_look_at_the_test_images_and_predict_answers_by_it(run_copy, pictures, digits, command):
    before = Classifier.load(run_copy).predict(digits.images[:1])[0]
    command("calibrate", run_copy, "--method", "none")
    assert results_of(run_copy)["test_looks"] == 1
    (entry,) = json.loads(command("predict", run_copy, pictures / "0.png", "--json").out)
    after = Classifier.load(run_copy).predict(digits.images[:1])[0]
    assert entry["probability"] == pytest.approx(after.max(), rel=1e-5)
    assert abs(before.max() - after.max()) > 0.01


def test_a_run_from_before_there_was_calibration_needs_its_data(run_copy, tmp_path, command):
    classifier = Classifier.load(run_copy)
    Classifier(classifier.architecture, classifier.class_names, classifier.weights).save(run_copy / "model")
    (run_copy / "validation_predictions.npz").unlink()
    code, out, err = command("calibrate", run_copy, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["calibration"] == Classifier.load(run_copy).calibration.to_dict()
    np.testing.assert_allclose(Classifier.load(run_copy).held_out.logits, classifier.held_out.logits, atol=1e-5)
    (run_copy / "validation_predictions.npz").unlink()
    np.savez(tmp_path / "other.npz", images=np.zeros((40, 8, 8, 1), np.uint8), labels=np.arange(40) % 2)
    code, out, err = command("calibrate", run_copy, tmp_path / "other.npz")
    assert (code, out) == (2, "")
    assert "not the data of the run" in err


def test_an_unknown_method_is_refused_before_a_backend_is_loaded(run_copy, command):
    code, out, err = command("calibrate", run_copy, "--method", "temprature")
    assert (code, out) == (2, "")
    assert "--method temprature: no such calibration. Did you mean 'temperature'?" in err


@pytest.mark.parametrize("what", ["nothing", "pictures"])
def test_what_is_no_run_is_refused(what, pictures, tmp_path, command):
    code, out, err = command("calibrate", pictures if what == "pictures" else tmp_path / what)
    assert (code, out) == (2, "")
    assert err.startswith("RunError: ")


def test_help_says_the_default(command):
    out = command("calibrate", "--help").out
    assert "[default: (quadratic after label smoothing, else temperature)]" in " ".join(out.split())
