import json
import re
import tomllib
from pathlib import Path

import pytest

from eyebright import Classifier
from eyebright.picture_options import OF_PICTURE_FILES
from eyebright.settings import UNUSED_BY_MODEL, Settings

RESULTS = {
    "test_accuracy", "test_accuracy_ci95", "steps", "train_seconds", "total_seconds", "images_per_second",
    "parameters", "precision", "backend", "seed", "data_fingerprint", "weights_sha256", "test_looks",
}  # fmt: skip
SHORT = ("--model", "softmax", "--max-steps", 4, "--batch-size", 50)


@pytest.fixture(scope="module")
def npz(bands):
    return bands(200)


def results_of(answer):
    assert answer.code == 0, answer.err
    return json.loads(answer.out.splitlines()[-1])


def test_a_run_says_its_settings_its_progress_its_accuracy_and_what_to_do_next(npz, tmp_path, command):
    code, out, err = command("train", npz, "--run-dir", tmp_path / "run", *SHORT, "--log-steps", 2)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    printed = [line.split(" = ")[0] for line in lines if " = " in line]
    assert printed == sorted(printed)
    saved = tomllib.loads((tmp_path / "run" / "settings.toml").read_text())
    assert printed == [name for name in saved if name not in UNUSED_BY_MODEL[saved["model"]] | OF_PICTURE_FILES]
    progress = [line for line in lines if re.fullmatch(r"Step \d+, training accuracy \d\.\d{4}", line)]
    assert [line.split(",")[0] for line in progress] == ["Step 0", "Step 2"]
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    low, high = results["test_accuracy_ci95"]
    said = f"Test accuracy {results['test_accuracy']:.4f} (95% interval {low:.4f} to {high:.4f}) on 40 images"
    assert said in lines
    assert any(line.startswith(f"Total time {results['total_seconds']:.2f} s") for line in lines)
    assert [line.split("eyebright ", 1)[1] for line in lines[-5:]] == [
        f"predict {tmp_path / 'run'} PICTURE…",
        f"report {tmp_path / 'run'}",
        f"plot {tmp_path / 'run'}",
        f"tensorboard {tmp_path / 'run'}",
        f"evaluate {tmp_path / 'run'} --split validation",
    ]


def test_with_test_time_augmentation_both_accuracies_are_said_and_which_is_which(npz, tmp_path, command):
    code, out, err = command("train", npz, "--run-dir", tmp_path / "run", *SHORT, "--tta", "mirror-shift")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    low, high = results["test_accuracy_ci95"]
    headline = lines.index(
        f"Test accuracy {results['test_accuracy']:.4f} (95% interval {low:.4f} to {high:.4f}) on 40 images, "
        "with test-time augmentation (mirror-shift)"
    )
    low, high = results["test_accuracy_one_view_ci95"]
    assert lines[headline + 1] == (
        f"Without it, by one view of each image: {results['test_accuracy_one_view']:.4f} "
        f"(95% interval {low:.4f} to {high:.4f})"
    )


def test_results_have_every_figure_that_others_rely_on(npz, tmp_path, command):
    results = results_of(command("train", npz, "--run-dir", tmp_path / "run", *SHORT, "--json", "--seed", 3))
    assert results.keys() >= RESULTS
    assert results == json.loads((tmp_path / "run" / "results.json").read_text())
    low, high = results["test_accuracy_ci95"]
    assert low <= results["test_accuracy"] <= high
    assert (results["steps"], results["seed"], results["test_looks"]) == (4, 3, 1)
    assert (results["backend"], results["precision"]) == ("tensorflow", "float32")
    assert results["parameters"] == 36 * 3 + 3
    assert 0 < results["train_seconds"] < results["total_seconds"]
    assert results["images_per_second"] == pytest.approx(4 * 50 / results["train_seconds"])
    assert results["weights_sha256"] == Classifier.load(tmp_path / "run").weights_sha256
    record = json.loads((tmp_path / "run" / "data.json").read_text())
    assert results["data_fingerprint"] == record["fingerprint"]


def test_with_json_standard_output_is_one_line_and_people_read_the_other(npz, tmp_path, process):
    answer = process("train", npz, "--run-dir", tmp_path / "run", *SHORT, "--json")
    assert answer.code == 0
    assert answer.out.count("\n") == 1
    assert json.loads(answer.out) == json.loads((tmp_path / "run" / "results.json").read_text())
    assert "Step 0, training accuracy" in answer.err
    assert "Test accuracy" in answer.err


def test_quiet_prints_nothing_and_with_json_the_line_alone(npz, tmp_path, process, command):
    # A process of its own, as the libraries below Python could write as well.
    assert process("train", npz, "--run-dir", tmp_path / "one", *SHORT, "--quiet") == (0, "", "")
    code, out, err = command("train", npz, "--run-dir", tmp_path / "two", *SHORT, "--quiet", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["steps"] == 4


def test_without_a_directory_the_run_is_named_by_time_data_and_model(npz, tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command("train", npz, *SHORT, "--quiet").code == 0
    (run,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"\d{8}-\d{6}-bands-softmax", run.name)


def test_settings_of_a_run_repeat_it(npz, tmp_path, command):
    flags = ("--epochs", 2, "--hidden-units", 9, "--dropout", 0.3, "--optimizer", "adam", "--seed", 5)
    first = results_of(command("train", npz, "--run-dir", tmp_path / "one", *flags, "--json"))
    again = results_of(
        command("train", "--config", tmp_path / "one" / "settings.toml", "--run-dir", tmp_path / "two", "--json")
    )
    assert again["weights_sha256"] == first["weights_sha256"]
    assert (tmp_path / "two" / "settings.toml").read_bytes() == (tmp_path / "one" / "settings.toml").read_bytes()
    other = results_of(
        command(
            *("train", "--config", tmp_path / "one" / "settings.toml", "--run-dir", tmp_path / "three"),
            *("--seed", 6, "--json"),
        )
    )
    assert other["weights_sha256"] != first["weights_sha256"]


def test_settings_file_lies_under_the_flags_and_over_the_preset(npz, tmp_path, command):
    (tmp_path / "my.toml").write_text('model = "softmax"\nlearning_rate = 0.5\nbatch_size = 40\nl2 = 0.25\n')
    flags = ("--preset", "tutorial", "--batch-size", 30, "--max-steps", 3, "--no-restore-best")
    done = command("train", npz, "--config", tmp_path / "my.toml", "--run-dir", tmp_path / "run", *flags, "--quiet")
    assert done == (0, "", "")
    settings = Settings(**tomllib.loads((tmp_path / "run" / "settings.toml").read_text()))
    assert (settings.preset, settings.model) == ("tutorial", "softmax")
    assert (settings.preprocessing, settings.optimizer) == ("mean-image", "sgd")  # of the preset
    assert (settings.learning_rate, settings.l2) == (0.5, 0.25)  # of the file
    assert (settings.batch_size, settings.max_steps) == (30, 3)  # of the flags


def test_a_presets_batch_is_lowered_to_small_data_and_that_is_said(npz, tmp_path, command):
    answer = command("train", npz, "--run-dir", tmp_path / "run", "--model", "softmax", "--epochs", 1)
    assert answer.code == 0
    assert "Batch size lowered from the preset's 500 to 8: the training set is small.\n" in answer.out
    assert tomllib.loads((tmp_path / "run" / "settings.toml").read_text())["batch_size"] == 8


def test_a_run_remembers_where_its_data_lie(npz, tmp_path, command, monkeypatch):
    monkeypatch.chdir(npz.parent)
    assert command("train", npz.name, "--run-dir", tmp_path / "run", *SHORT, "--quiet").code == 0
    assert Path(tomllib.loads((tmp_path / "run" / "settings.toml").read_text())["data"]) == npz
    monkeypatch.chdir(tmp_path)
    assert command("evaluate", "run", "--split", "validation", "--json").code == 0


def test_a_finished_run_says_that_it_is_finished(npz, tmp_path, command):
    first = results_of(command("train", npz, "--run-dir", tmp_path / "run", *SHORT, "--json"))
    code, out, err = command("train", "--resume", tmp_path / "run")
    assert (code, err) == (0, "")
    assert f"{tmp_path / 'run'}: this run is finished." in out.splitlines()
    assert results_of(command("train", "--resume", tmp_path / "run", "--json")) == first


def test_resume_takes_no_other_directory_or_file(npz, tmp_path, command):
    assert command("train", npz, "--run-dir", tmp_path / "run", *SHORT, "--quiet").code == 0
    for flag in ("--run-dir", "--config"):
        code, out, err = command("train", "--resume", tmp_path / "run", flag, tmp_path / "x")
        assert (code, out) == (2, "")
        assert f"{flag} {tmp_path / 'x'}: has no meaning beside --resume" in err


def test_a_run_never_overwrites_another(npz, tmp_path, command):
    assert command("train", npz, "--run-dir", tmp_path / "run", *SHORT, "--quiet").code == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, out, err = command("train", npz, "--run-dir", tmp_path / "run", *SHORT)
    assert (code, out) == (2, "")
    assert "exists already" in err
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_a_second_run_on_the_same_test_images_is_told_how_often_they_were_looked_at(
    npz, tmp_path, monkeypatch, command
):
    monkeypatch.setenv("EYEBRIGHT_LEDGER", str(tmp_path / "ledger.json"))
    assert "This test set" not in command("train", npz, "--run-dir", tmp_path / "first", *SHORT).out
    answer = command("train", npz, "--run-dir", tmp_path / "second", *SHORT, "--json")
    results = results_of(answer)
    assert (results["test_looks"], results["test_looks_of_data"], results["runs_that_looked"]) == (1, 2, 2)
    assert "This test set has been looked at 2 times by 2 of your runs.\n" in answer.err
    # Of a run that was finished before, what is said is true now.
    assert "looked at 2 times by 2 of your runs.\n" in command("train", "--resume", tmp_path / "first").out
    (tmp_path / "ledger.json").write_text("{")
    code, out, err = command("train", npz, "--run-dir", tmp_path / "third", *SHORT)
    assert (code, err) == (0, "")
    assert f"{tmp_path / 'ledger.json'}: the ledger of looks at test images cannot be used" in out
