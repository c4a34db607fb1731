import io

import numpy as np
import pytest
from rich.console import Console

from eyebright.backend import available_threads
from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.errors import RunError, SettingsError
from eyebright.run_directory import RunDirectory
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
        "results.json",
    }  # fmt: skip


def test_threads_and_precision_are_settled_before_the_first_step(dataset, make_settings, tmp_path):
    train(make_settings(precision="auto"), dataset, tmp_path / "run")
    settings = RunDirectory.open(tmp_path / "run").settings
    assert settings.threads == available_threads()
    assert settings.precision == "float32"


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


def test_patience_ends_a_run_and_the_best_weights_are_saved(make_run, dataset, read_figures):
    run = make_run("choosing")
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


def test_a_batch_larger_than_the_training_set_is_refused_before_anything_is_made(dataset, make_settings, tmp_path):
    with pytest.raises(SettingsError, match=r"--batch-size 101: larger than the training set \(100 images\)"):
        train(make_settings(batch_size=101), dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_threads_that_this_process_cannot_have_any_more_are_refused_before_anything_is_made(
    dataset, make_settings, tmp_path
):
    others = available_threads() + 1
    with pytest.raises(RunError, match=f"--threads {others}"):
        train(make_settings(threads=others), dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


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


def test_an_epoch_that_the_batch_size_does_not_divide_and_a_class_without_images(make_settings, tmp_path):
    labels = np.repeat([0, 1, 3], 20).astype(np.int32)
    images = np.random.default_rng(0).integers(0, 256, (60, 4, 4, 3), np.uint8)
    data = Dataset(images, labels, ("a", "b", "none", "d"), "gap")
    run = train(make_settings(batch_size=7, epochs=2), data, tmp_path / "run")
    assert run.results["steps"] == 2 * (43 // 7)  # 60 less 12 for testing and 5 for validation
    assert run.results["test_images"] == 12
