import json
import shutil

import numpy as np
import pytest

from eyebright.classifier import Classifier
from eyebright.data.split import split_dataset

KEYS = {
    "accuracy", "accuracy_ci95", "n", "groups", "log_loss", "log_loss_ci95", "class_names", "per_class", "tta",
    "calibration",
    "confusion_matrix", "top_k", "top_k_accuracy", "top_k_accuracy_ci95", "balanced_accuracy",
    "balanced_accuracy_ci95", "macro", "weighted", "brier_score", "brier_score_ci95", "roc_auc", "ece", "ece_ci95",
    "ece_if_calibrated", "ece_bins", "classwise_ece", "classwise_ece_ci95", "reliability", "data", "split",
    "test_looks", "test_looks_of_data", "runs_that_looked",
}  # fmt: skip


@pytest.fixture(scope="module")
def split(finished, digits):
    """How the run divides the digits."""
    settings = json.loads((finished.path / "data.json").read_text())
    made = split_dataset(digits, validation=0.1, test_fraction=0.2, seed=0)
    assert settings["test_images"] == len(made.test)
    return made


def save(path, dataset, indices, order=None, **splits):
    """Some of a data set's images as a file, its classes named in this order."""
    names = np.array(dataset.class_names)
    order = np.arange(len(names)) if order is None else order
    labels = np.argsort(order)[dataset.labels[indices]]
    np.savez(path, images=dataset.images[indices], labels=labels, class_names=names[order], **splits)
    return path


def looks(run):
    return json.loads((run / "results.json").read_text())["test_looks"]


def figures(answer):
    assert answer.code == 0, answer.err
    assert answer.err == ""
    return json.loads(answer.out)


def test_json_has_the_names_that_machines_read_and_nothing_else_is_printed(run_copy, finished, process):
    code, out, err = process("evaluate", run_copy, "--json")
    assert (code, err) == (0, "")
    read = json.loads(out)
    assert read.keys() == KEYS
    assert read["accuracy"] == finished.results["test_accuracy"]
    assert read["accuracy_ci95"] == finished.results["test_accuracy_ci95"]
    assert read["log_loss"] == pytest.approx(finished.results["test_loss"])
    assert read["n"] == finished.results["test_images"] == np.sum(read["confusion_matrix"])
    assert [row["label"] for row in read["per_class"]] == read["class_names"] == list("0123456789")
    assert (read["data"], read["split"], read["test_looks"], read["tta"]) == ("digits", "test", 2, "none")


def test_each_run_on_test_images_is_a_look_and_none_on_others(run_copy, command):
    assert looks(run_copy) == 1
    for expected in (2, 3):
        assert figures(command("evaluate", run_copy, "--json"))["test_looks"] == expected
        assert looks(run_copy) == expected
    figures(command("evaluate", run_copy, "--checkpoint", "step-10", "--json"))
    assert looks(run_copy) == 4
    for split in ("validation", "train"):
        assert figures(command("evaluate", run_copy, "--split", split, "--json"))["test_looks"] is None
    assert command("evaluate", run_copy, "--checkpoint", "step-11").code == 2
    assert looks(run_copy) == 4


def test_a_look_changes_nothing_else(run_copy, finished, command):
    read = figures(command("evaluate", run_copy, "--json"))
    counted = {name: read[name] for name in ("test_looks", "test_looks_of_data", "runs_that_looked")}
    assert json.loads((run_copy / "results.json").read_text()) == {**finished.results, **counted}


def test_the_runs_own_splits_are_as_large_as_in_training(run_copy, command, split):
    for name in ("train", "validation", "test"):
        assert figures(command("evaluate", run_copy, "--split", name, "--json"))["n"] == len(getattr(split, name))


def test_a_checkpoint_is_evaluated_as_it_was_then(run_copy, finished, command):
    last = figures(command("evaluate", run_copy, "--checkpoint", "step-24", "--json"))
    assert last["accuracy"] == finished.results["test_accuracy"]
    first = figures(command("evaluate", run_copy, "--checkpoint", "step-10", "--json"))
    assert first["log_loss"] > last["log_loss"]
    validation = figures(command("evaluate", run_copy, "--checkpoint", "step-24", "--split", "validation", "--json"))
    assert validation["accuracy"] == finished.results["validation_accuracy"]


@pytest.mark.parametrize("name", ["step-11", "step", "10", "../model", ".."])
def test_a_checkpoint_that_is_not_there_is_named_with_those_that_are(name, run_copy, command):
    code, out, err = command("evaluate", run_copy, "--checkpoint", name)
    assert (code, out) == (2, "")
    assert "no such checkpoint. There are: step-10, step-20, step-24." in err


def test_a_damaged_checkpoint_is_named(run_copy, command):
    path = run_copy / "checkpoints" / "step-10" / "variables.npz"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    code, out, err = command("evaluate", run_copy, "--checkpoint", "step-10")
    assert (code, out) == (2, "")
    assert f"{path}: damaged" in err
    assert looks(run_copy) == 1


def test_other_data_with_reordered_classes_get_the_right_labels(run_copy, finished, digits, split, tmp_path, command):
    order = np.random.default_rng(0).permutation(10)
    path = save(tmp_path / "reordered.npz", digits, split.test, order)
    read = figures(command("evaluate", run_copy, path, "--json"))
    assert read["accuracy"] == finished.results["test_accuracy"]
    assert read["class_names"] == list("0123456789")
    assert (read["data"], read["test_looks"]) == ("reordered", 2)
    assert looks(run_copy) == 2


def test_the_runs_test_images_are_a_look_in_whatever_data_they_lie(run_copy, digits, split, tmp_path, command):
    new = save(tmp_path / "new.npz", digits, split.train)
    assert figures(command("evaluate", run_copy, new, "--json"))["test_looks"] is None
    mixed = np.concatenate([split.train[:50], split.test[:1]])
    one = save(tmp_path / "one.npz", digits, mixed, train=np.arange(50), test=np.arange(50, 51))
    assert figures(command("evaluate", run_copy, one, "--split", "train", "--json"))["test_looks"] is None
    assert looks(run_copy) == 1
    assert figures(command("evaluate", run_copy, one, "--json"))["test_looks"] == 2
    hidden = save(tmp_path / "hidden.npz", digits, mixed, train=np.arange(50, 51), test=np.arange(50))
    assert figures(command("evaluate", run_copy, hidden, "--split", "train", "--json"))["test_looks"] == 3
    (run_copy / "test_predictions.npz").write_bytes(b"no file of arrays")
    code, out, err = command("evaluate", run_copy, one)
    assert (code, out) == (2, "")
    assert f"{run_copy / 'test_predictions.npz'}: damaged" in err
    (run_copy / "test_predictions.npz").unlink()  # now any image may be one of the run's test images
    assert figures(command("evaluate", run_copy, new, "--json"))["test_looks"] == 4


def test_other_data_are_evaluated_on_their_test_split_or_whole(run_copy, digits, tmp_path, command):
    some = np.arange(100)
    whole = save(tmp_path / "whole.npz", digits, some)
    divided = save(tmp_path / "divided.npz", digits, some, train=some[:60], test=some[60:])
    assert figures(command("evaluate", run_copy, whole, "--json"))["n"] == 100
    assert figures(command("evaluate", run_copy, divided, "--json"))["n"] == 40
    assert figures(command("evaluate", run_copy, divided, "--split", "train", "--json"))["n"] == 60
    for path, split in ((divided, "validation"), (whole, "train"), (whole, "validation")):
        code, out, err = command("evaluate", run_copy, path, "--split", split)
        assert (code, out) == (2, "")
        assert f"no split '{split}'" in err


def test_other_classes_and_other_sizes_are_refused(run_copy, digits, tmp_path, command):
    images, labels = digits.images[:50], digits.labels[:50]
    np.savez(tmp_path / "names.npz", images=images, labels=labels, class_names=[f"digit {i}" for i in range(10)])
    np.savez(tmp_path / "size.npz", images=images[:, :7], labels=labels, class_names=list("0123456789"))
    for name, words in (("names", "its classes are not the classifier's"), ("size", "uint8 [N, 8, 8, 1]")):
        code, out, err = command("evaluate", run_copy, tmp_path / f"{name}.npz", "--json")
        assert (code, out) == (2, "")
        assert words in err


def test_data_that_moved_are_the_runs_own_wherever_they_lie(finished, digits, tmp_path, command):
    path = save(tmp_path / "first.npz", digits, np.arange(600))
    run = tmp_path / "run"
    trained = command(
        *("train", path, "--run-dir", run, "--model", "softmax", "--epochs", 1, "--batch-size", 100, "--json")
    )
    moved = path.rename(tmp_path / "moved.npz")
    for arguments in (("evaluate", run), ("train", "--resume", run)):
        code, out, err = command(*arguments)
        assert (code, out) == (2, "")
        assert f"{run}: its data are no longer in {path}. Give the path where they are now" in err
    assert command("train", moved, "--resume", run, "--quiet") == (0, "", "")
    read = figures(command("evaluate", run, moved, "--json"))
    assert read["test_looks"] == 2
    assert read["accuracy"] == json.loads(trained.out.splitlines()[-1])["test_accuracy"]
    path.write_bytes(b"")
    assert command("evaluate", run).code == 2
    save(path, digits, np.arange(1, 600))  # other data where the run's own were
    code, _, err = command("evaluate", run)
    assert code == 2
    assert "not the data of the run" in err


def test_validation_images_that_a_run_did_not_keep(tmp_path, command):
    run = tmp_path / "run"
    done = command(*("train", "--run-dir", run, "--model", "softmax", "--validation", 0, "--max-steps", 2, "--quiet"))
    assert done == (0, "", "")
    code, out, err = command("evaluate", run, "--split", "validation")
    assert (code, out) == (2, "")
    assert "kept no such images" in err


def test_an_unfinished_run_is_evaluated_by_checkpoint_only(run_copy, command):
    (run_copy / "results.json").unlink()
    code, out, err = command("evaluate", run_copy)
    assert (code, out) == (2, "")
    assert f"not finished. Go on with it (eyebright train --resume {run_copy})" in err
    assert figures(command("evaluate", run_copy, "--checkpoint", "step-20", "--json"))["test_looks"] == 2


def test_a_part_of_the_run_leads_to_the_run(run_copy, command):
    for part in ("model", "checkpoints/step-10", "results.json"):
        code, _, err = command("evaluate", run_copy / part)
        assert code == 2
        assert f"Give the run's directory: {run_copy}." in err


def test_a_damaged_classifier_is_named_and_is_no_look(run_copy, command):
    (run_copy / "model" / "labels.json").write_bytes(b"")
    code, out, err = command("evaluate", run_copy)
    assert (code, out) == (2, "")
    assert err.startswith(f"ClassifierError: {run_copy / 'model' / 'labels.json'}: damaged")
    assert looks(run_copy) == 1


def test_tables_show_every_class_with_its_figures(run_copy, finished, command):
    code, out, err = command("evaluate", run_copy)
    assert (code, err) == (0, "")
    results = finished.results
    first, *rest = out.splitlines()
    low, high = results["test_accuracy_ci95"]
    assert first.startswith(
        f"Accuracy {results['test_accuracy']:.4f} (95% interval {low:.4f} to {high:.4f}) on 359 images"
    )
    assert "digits, test images" in first
    assert rest[0] == "Test-time augmentation none: the image as it is"
    per_class = [line.split() for line in rest if line.count("│") == 7]
    assert [row[1] for row in per_class] == list("0123456789")
    summary = {line.split("│")[1].strip(): line.split("│")[3] for line in rest if line.count("│") == 4}
    assert len(summary) == 12
    assert all(" to " in interval for name, interval in summary.items() if name != "all classes")
    reliability = [line.split("│") for line in rest if line.count("│") == 5]
    assert sum(int(row[2]) for row in reliability) == 359
    matrix = [line.split("│")[2:-1] for line in rest if line.count("│") == 12]
    assert sum(0 if cell.strip() == "·" else int(cell) for row in matrix for cell in row) == 359
    assert out.endswith("Looks at the run's test images so far: 2\n")


def test_a_run_and_its_checkpoints_are_evaluated_by_the_views_that_it_was_trained_for(tmp_path, command):
    run = tmp_path / "run"
    arguments = ("--model", "softmax", "--max-steps", 4, "--batch-size", 50, "--tta", "mirror", "--json")
    trained = json.loads(command("train", "--run-dir", run, *arguments).out.splitlines()[-1])
    for checkpoint in ((), ("--checkpoint", "step-4")):
        read = figures(command("evaluate", run, *checkpoint, "--json"))
        assert read["tta"] == "mirror"
        assert read["accuracy"] == trained["test_accuracy"]
        calibrated = not checkpoint  # a checkpoint never is
        assert read["calibration"] == ("temperature" if calibrated else "none")
        assert (read["log_loss"] == pytest.approx(trained["test_loss"], rel=1e-6)) == calibrated
    lines = command("evaluate", run).out.splitlines()
    assert lines[0].startswith(f"Accuracy {trained['test_accuracy']:.4f} ")
    assert lines[1].startswith("Test-time augmentation mirror: the mean of the logits of the image and of its mirror")


def test_tables_are_not_wrapped_and_take_brackets_in_names_as_they_are(tmp_path, digits, command):
    names = [f"[bold]a class with the long name {i}" for i in range(10)]
    np.savez(tmp_path / "d.npz", images=digits.images[:600], labels=digits.labels[:600], class_names=names)
    run = tmp_path / "run"
    arguments = ("--model", "softmax", "--max-steps", 2, "--batch-size", 100, "--quiet")
    assert command("train", tmp_path / "d.npz", "--run-dir", run, *arguments) == (0, "", "")
    out = command("evaluate", run).out
    for name in names:
        assert out.count(name) == 3  # per class; and a row and a column of the matrix


def test_a_run_directory_that_cannot_be_written_is_said(run_copy, command):
    (run_copy / ".lock").unlink()
    (run_copy / ".lock").mkdir()
    code, out, err = command("evaluate", run_copy)
    assert (code, out) == (2, "")
    assert f"{run_copy}: the run's directory cannot be written" in err
    assert command("evaluate", run_copy, "--split", "validation").code == 0


def test_a_run_that_was_copied_is_a_run(finished, tmp_path, command):
    copy = shutil.copytree(finished.path, tmp_path / "elsewhere")
    assert figures(command("evaluate", copy, "--json"))["accuracy"] == finished.results["test_accuracy"]
    assert looks(finished.path) == 1


def test_the_looks_of_all_runs_at_these_data_are_counted_and_said(finished, tmp_path, monkeypatch, command):
    monkeypatch.setenv("EYEBRIGHT_LEDGER", str(tmp_path / "ledger.json"))
    one, other = (shutil.copytree(finished.path, tmp_path / name) for name in ("one", "other"))
    assert "This test set" not in command("evaluate", one).out
    read = figures(command("evaluate", one, "--json"))
    assert (read["test_looks"], read["test_looks_of_data"], read["runs_that_looked"]) == (3, 2, 1)
    lines = command("evaluate", other).out.splitlines()
    assert lines[-2:] == [
        "This test set has been looked at 3 times by 2 of your runs.",
        "Looks at the run's test images so far: 2",
    ]
    read = figures(command("evaluate", other, "--split", "validation", "--json"))
    assert (read["test_looks"], read["test_looks_of_data"], read["runs_that_looked"]) == (None, None, None)


def test_a_damaged_ledger_stops_nothing_and_is_said(run_copy, tmp_path, monkeypatch, command):
    ledger = tmp_path / "ledger.json"
    ledger.write_text("{")
    monkeypatch.setenv("EYEBRIGHT_LEDGER", str(ledger))
    code, out, err = command("evaluate", run_copy, "--json")
    assert (code, json.loads(out)["test_looks"], json.loads(out)["test_looks_of_data"]) == (0, 2, None)
    assert err.startswith(f"{ledger}: the ledger of looks at test images cannot be used")
    code, out, err = command("evaluate", run_copy)
    assert (code, err) == (0, "")
    assert out.splitlines()[-2].startswith(f"{ledger}: the ledger")
    assert ledger.read_text() == "{"


def test_the_k_of_the_top_k_accuracy(run_copy, command):
    assert figures(command("evaluate", run_copy, "--split", "validation", "--json"))["top_k"] == 5
    read = figures(command("evaluate", run_copy, "--split", "validation", "--top-k", 2, "--json"))
    assert (read["top_k"], read["accuracy"] <= read["top_k_accuracy"]) == (2, True)
    code, out, err = command("evaluate", run_copy, "--top-k", 10)
    assert (code, out) == (2, "")
    assert "--top-k 10: of 10 classes, k must lie in 1 … 9" in err
    assert looks(run_copy) == 1


@pytest.fixture
def noise(tmp_path):
    """Another data set, of other classes, size and colours."""
    images = np.random.default_rng(0).integers(0, 256, (60, 20, 12, 3), np.uint8)
    np.savez(tmp_path / "noise.npz", images=images, labels=np.arange(60) % 2, class_names=["left", "right"])
    return tmp_path / "noise.npz"


def test_other_data_of_any_classes_and_size_are_told_from_the_images(run_copy, noise, pictures, tmp_path, command):
    folder = tmp_path / "unlabelled"
    folder.mkdir()
    for number in range(4):
        shutil.copy(pictures / f"{number}.png", folder)
    flags = ("--ood", noise, "--ood", folder)
    answer = command("evaluate", run_copy, "--split", "validation", *flags, "--json")
    assert answer.code == 0, answer.err
    of_noise, of_folder = json.loads(answer.out)["ood"]
    assert (of_noise["data"], of_noise["n"]) == ("noise", 60)
    assert (of_folder["data"], of_folder["n"]) == (str(folder), 4)
    assert of_noise["scores"].keys() == {"cosine", "energy", "mahalanobis", "nearest_neighbours"}
    kept = of_noise["scores"]["cosine"]
    assert kept.keys() == {"auroc", "auroc_ci95", "fpr95"}
    assert kept["auroc"] > 0.95
    assert kept["fpr95"] < 0.2
    assert of_noise["flagged"] > 0.8
    assert of_folder["scores"]["cosine"]["auroc"] < 0.8
    assert looks(run_copy) == 1
    table = command("evaluate", run_copy, "--split", "validation", "--ood", noise).out
    assert "nearest neighbours" in table


def test_other_data_cost_no_look_but_the_one_that_evaluating_is(run_copy, noise, command):
    assert command("evaluate", run_copy, "--ood", noise, "--json").code == 0
    assert looks(run_copy) == 2


def test_test_images_given_as_other_data_are_a_look(run_copy, digits, split, tmp_path, command):
    path = save(tmp_path / "others.npz", digits, split.test)
    assert command("evaluate", run_copy, "--split", "validation", "--ood", path, "--json").code == 0
    assert looks(run_copy) == 2


def test_other_data_need_a_classifier_that_knows_its_images(run_copy, noise, command):
    code, out, err = command("evaluate", run_copy, "--checkpoint", "step-10", "--ood", noise)
    assert (code, out) == (2, "")
    assert "leave --checkpoint out" in err
    made = Classifier.load(run_copy)
    Classifier(made.architecture, made.class_names, made.weights).save(run_copy / "model")
    code, out, err = command("evaluate", run_copy, "--ood", noise)
    assert (code, out) == (2, "")
    assert err.endswith("kept no validation images.\n")
    assert looks(run_copy) == 1
    assert command("calibrate", run_copy).code == 0
    assert command("evaluate", run_copy, "--split", "validation", "--ood", noise, "--json").code == 0
