import io
from fnmatch import fnmatchcase

import numpy as np
import pytest
from rich.console import Console

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.errors import RunError
from eyebright.models import Architecture, build_model
from eyebright.models.network import model_weights
from eyebright.run_directory import RunDirectory
from eyebright.training.checkpoint import Checkpoints
from eyebright.training.trainer import train


def sha(run):
    return run.results["weights_sha256"]


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(
    make_run, make_settings, read_figures, dataset, tmp_path
):
    again = train(make_settings(), dataset, tmp_path / "run")
    assert sha(again) == sha(make_run())
    assert sha(make_run(seed=1)) != sha(again)
    assert read_figures(again.path) == read_figures(make_run().path)
    assert (again.path / "model" / "weights.npz").read_bytes() == (
        make_run().path / "model" / "weights.npz"
    ).read_bytes()


def test_what_a_run_leaves_in_its_directory(make_run):
    names = {path.name for path in make_run().path.iterdir() if not path.name.startswith("events.")}
    assert names - {".lock"} == {
        "settings.toml", "data.json", "metrics.csv", "checkpoints", "model", "test_predictions.npz", "looks.json",
        "results.json", "learnt_images.npz", "validation_predictions.npz", "environment.json",
    }  # fmt: skip


def test_it_learns(make_run, dataset, read_figures):
    run = make_run(optimizer="adam", learning_rate=0.01, epochs=10, preprocessing="per-channel")
    assert run.results["test_accuracy"] > 0.9
    assert run.results["validation_accuracy"] >= 0.9
    (row,) = [row for row in read_figures(run.path) if row["validation_accuracy"]][-1:]
    assert float(row["validation_accuracy"]) == run.results["validation_accuracy"]


@pytest.mark.parametrize("kind", ["plain", "stateful"])
def test_how_often_something_is_due_changes_no_bit(kind, make_run):
    """Calls of one step each, of a few, and as long as they come."""
    expected = sha(make_run(kind))
    assert sha(make_run(kind, log_steps=1)) == expected
    assert sha(make_run(kind, log_steps=1000, checkpoint_steps=1000)) == expected
    assert sha(make_run(kind, log_steps=7, checkpoint_steps=4)) == expected


def test_a_network_with_whitening_and_batch_normalisation_is_saved_as_two_matrices_and_two_biases(make_run, dataset):
    """And answers as the network that was trained, which its last checkpoint still is."""
    run = make_run(preprocessing="whitening", batch_norm=True, optimizer="adam", learning_rate=0.01)
    saved = Classifier.load(run.path)
    with np.load(run.path / "model" / "weights.npz") as weights:
        assert {name: weights[name].shape for name in weights.files} == {
            "hidden_1/kernel": (64, 8), "hidden_1/bias": (8,), "logits/kernel": (8, 3), "logits/bias": (3,),
        }  # fmt: skip
    assert run.results["parameters"] == 64 * 8 + 8 + 8 * 3 + 3
    architecture = Architecture.of(RunDirectory.open(run.path).settings, dataset.image_shape, 3)
    checkpoints = Checkpoints(run.path / "checkpoints", 3)
    trained = checkpoints.load_classifier("step-30", architecture, dataset.class_names)
    assert {"standardize/mean", "image_whitening/kernel", "batch_norm_1/moving_mean"} <= trained.weights.keys()
    expected = trained.logits(dataset.images)
    assert np.abs(saved.logits(dataset.images) - expected).max() < 1e-4 * np.abs(expected).max()
    assert run.results["test_accuracy"] == pytest.approx(
        (expected[120:].argmax(axis=1) == dataset.labels[120:]).mean(), abs=1 / 30
    )


@pytest.mark.parametrize("frozen", ["hidden_1", "batch_norm_*", "*_1"])
def test_frozen_layers_keep_their_weights_to_the_bit_and_the_others_learn(frozen, make_run, make_settings, dataset):
    given = {"batch_norm": True, "optimizer": "adamw", "weight_decay": 0.1, "l2": 0.1, "learning_rate": 0.01}
    run = make_run(freeze=(frozen,), **given)
    architecture = Architecture.of(make_settings(**given), dataset.image_shape, 3)
    initial = model_weights(build_model(architecture, "float32", 0))
    checkpoints = Checkpoints(run.path / "checkpoints", 3)
    trained = checkpoints.load_classifier("step-30", architecture, dataset.class_names).weights
    for name, value in trained.items():
        if not name.startswith("standardize/"):
            assert (value == initial[name]).all() == fnmatchcase(name.partition("/")[0], frozen), name


@pytest.mark.parametrize("model", ["softmax", "fc", "cnn"])
def test_every_model_learns_with_everything_at_once(model, make_run, dataset):
    settings = {
        "model": model, "augment": "light", "class_weights": "balanced", "accumulate": 2, "label_smoothing": 0.1,
        "averaging": "ema", "averaging_decay": 0.9, "optimizer": "adam", "learning_rate": 0.02, "epochs": 8,
        "preprocessing": "per-channel" if model == "cnn" else "whitening", "tta": "mirror",
    }  # fmt: skip
    run = make_run(**settings, **({"channels": (8,)} if model == "cnn" else {}))
    assert run.results["test_accuracy"] > 0.8


@pytest.mark.parametrize("given", [{}, {"averaging": "ema", "averaging_decay": 0.8, "batch_norm": True}], ids=str)
def test_patience_ends_a_run_and_the_best_weights_are_saved(given, make_run, dataset, read_figures):
    run = make_run("choosing", **given)
    rows = [row for row in read_figures(run.path) if row["validation_accuracy"]]
    accuracies = [float(row["validation_accuracy"]) for row in rows]
    best = int(np.argmax(accuracies))  # the first of equals
    assert run.results["steps"] == int(rows[-1]["step"]) < 300
    assert len(accuracies) == best + 1 + 3
    assert run.results["best_step"] == int(rows[best]["step"])
    assert run.results["validation_accuracy"] == accuracies[best]
    validation = dataset.splits["validation"]
    predicted = Classifier.load(run.path).predict(dataset.images[validation]).argmax(axis=1)
    assert (predicted == dataset.labels[validation]).mean() == accuracies[best]


def test_without_restore_best_the_last_weights_are_saved(make_run, read_figures):
    last = make_run("choosing", restore_best=False)
    best = make_run("choosing")
    assert last.results["steps"] == best.results["steps"]
    assert sha(last) != sha(best)
    rows = [row for row in read_figures(last.path) if row["validation_accuracy"]]
    assert last.results["validation_accuracy"] == float(rows[-1]["validation_accuracy"])


def test_a_directory_that_is_there_is_refused_and_left_alone(dataset, make_settings, tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(RunError, match="exists already"):
        train(make_settings(), dataset, tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []


def test_the_settings_are_printed_sorted_then_the_progress_in_the_words_of_the_tutorial(
    make_settings, read_figures, dataset, tmp_path
):
    output = io.StringIO()
    train(make_settings(log_steps=10), dataset, tmp_path / "run", console=Console(file=output))
    lines = output.getvalue().splitlines()
    names = [line.split(" = ")[0] for line in lines if " = " in line]
    assert names == sorted(names)
    assert "learning_rate = 0.001" in lines
    assert "Precision float32: as set" in lines
    expected = [row for row in read_figures(tmp_path / "run") if row["step"] == "10"]
    (training, validation) = [line for line in lines if line.startswith("Step 10,")]
    assert validation == f"Step 10, training accuracy {float(expected[1]['train_accuracy']):.4f}"
    assert training == f"Step 10, validation accuracy {float(expected[0]['validation_accuracy']):.4f}"


@pytest.mark.parametrize(("validation", "warned"), [(99.0, True), (100.0, False), (0.0, False)])
def test_few_validation_images_are_warned_of_before_the_training(validation, warned, make_settings, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (300, 4, 4, 3), np.uint8)
    data = Dataset(images, np.repeat([0, 1], 150).astype(np.int32), ("a", "b"), "few")
    output = io.StringIO()
    settings = make_settings(max_steps=1, validation=validation)
    train(settings, data, tmp_path / "run", console=Console(file=output))
    lines = output.getvalue().splitlines()
    place = lines.index(f"{240 - validation:.0f} images to train on, {validation:.0f} for validation, 60 to test on")
    assert lines[place + 1].startswith("So few validation images (99)") == warned


def test_an_epoch_that_the_batch_size_does_not_divide_and_a_class_without_images(make_settings, tmp_path):
    labels = np.repeat([0, 1, 3], 20).astype(np.int32)
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3), np.uint8)
    data = Dataset(images, labels, ("a", "b", "none", "d"), "gap")
    run = train(make_settings(batch_size=7, epochs=2), data, tmp_path / "run")
    assert run.results["steps"] == 2 * (43 // 7)  # 60 less 12 for testing and 5 for validation
    assert run.results["test_images"] == 12
