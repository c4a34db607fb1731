import json
import os
import re
import signal

import pytest

from eyebright.data.folds import fold_datasets
from eyebright.data.loading import load_dataset

SHORT = ("--model", "softmax", "--max-steps", 4, "--batch-size", 20)


@pytest.fixture(scope="module")
def npz(bands):
    return bands(150)


def test_there_is_a_line_a_fold_and_one_for_all_images(npz, tmp_path, process):
    run = tmp_path / "cv"
    code, out, err = process("train", npz, "--folds", 6, "--run-dir", run, *SHORT)
    assert (code, err) == (0, "")  # TensorFlow's warnings would stand there
    lines = [line for line in out.splitlines() if " = " not in line]
    results = json.loads((run / "results.json").read_text())
    folds = [re.fullmatch(r"Fold (\d) of 6: accuracy (\S+) \(95% interval .*\) on 25 images", line) for line in lines]
    assert [match.groups() for match in folds if match] == [
        (str(fold["fold"]), f"{fold['test_accuracy']:.4f}") for fold in results["folds"]
    ]
    low, high = results["accuracy_ci95"]
    after = lines[lines.index(next(line for line in lines if line.startswith("Fold 6"))) + 1 :]
    assert after[0] == (
        f"Accuracy {results['accuracy']:.4f} (95% interval {low:.4f} to {high:.4f}) on 150 images, each tested by the "
        "classifier that did not learn from it"
    )
    assert after[1] == (
        f"Over the folds: mean {results['fold_accuracy_mean']:.4f}, "
        f"standard deviation {results['fold_accuracy_std']:.4f}"
    )
    assert after[-1].endswith(f"train --config {run / 'settings.toml'}")
    assert not any(line.startswith("Step") for line in lines)


def test_with_json_standard_output_is_one_line_and_resuming_a_finished_one_gives_it_again(npz, tmp_path, command):
    first = command("train", npz, "--folds", 2, "--run-dir", tmp_path / "cv", *SHORT, "--json")
    assert first.code == 0
    assert json.loads(first.out) == json.loads((tmp_path / "cv" / "results.json").read_text())
    assert "Fold 2 of 2: accuracy" in first.err
    again = command("train", "--resume", tmp_path / "cv", "--json", "--quiet")
    assert (again.code, again.err) == (0, "")
    assert json.loads(again.out) == json.loads(first.out)


def test_a_presets_batch_fits_the_fold_that_leaves_the_fewest_images(npz, tmp_path, command):
    answer = command("train", npz, "--folds", 2, "--run-dir", tmp_path / "cv", "--model", "softmax", "--epochs", 1)
    assert answer.code == 0
    assert "Batch size lowered from the preset's 500 to 8: the training set is small." in answer.out
    assert answer.out.count("Batch size lowered") == 1


def test_a_fold_is_a_run_that_can_be_evaluated(npz, tmp_path, command):
    assert command("train", npz, "--folds", 3, "--run-dir", tmp_path / "cv", *SHORT, "--quiet").code == 0
    part = fold_datasets(load_dataset(npz), 3, seed=0)[1]
    results = json.loads((tmp_path / "cv" / "fold-2" / "results.json").read_text())
    answer = command("evaluate", tmp_path / "cv" / "fold-2", "--json")
    evaluation = json.loads(answer.out)
    assert (evaluation["accuracy"], evaluation["n"]) == (results["test_accuracy"], len(part.splits["test"]))
    assert command("train", "--resume", tmp_path / "cv" / "fold-2").out.startswith(
        f"{tmp_path / 'cv' / 'fold-2'}: this"
    )
    code, out, err = command("evaluate", tmp_path / "cv")
    assert (code, out) == (2, "")
    assert err.startswith(f"RunError: {tmp_path / 'cv'}: this is a cross-validation of 3 runs. Give one of them")


def test_a_signal_saves_and_what_it_says_goes_on_with_the_fold_that_was_broken_off(npz, tmp_path, start, command):
    run = tmp_path / "cv"
    flags = ("--model", "fc", "--preset", "fast", "--batch-size", 20, "--epochs", 60)
    program = start("train", npz, "--folds", 3, "--run-dir", run, *flags)
    for line in program.stdout:
        if line.startswith("Fold 1"):
            break
    while not (run / "fold-2" / "metrics.csv").exists():
        assert program.poll() is None
    os.kill(program.pid, signal.SIGTERM)
    _, err = program.communicate(timeout=60)
    assert program.returncode == 143
    stopped = re.fullmatch(r"TrainingInterrupted: Fold 2 of 3: .+; everything is saved. Go on with: .* (\S+)\n", err)
    assert stopped, err
    assert stopped[1] == str(run)
    assert not (run / "fold-3").exists()
    done = (run / "fold-1" / "results.json").stat().st_mtime_ns
    answer = command("train", "--resume", run, "--json")
    assert answer.code == 0
    assert (run / "fold-1" / "results.json").stat().st_mtime_ns == done
    undisturbed = command("train", npz, "--folds", 3, "--run-dir", tmp_path / "again", *flags, "--json")
    shas = [[fold["weights_sha256"] for fold in json.loads(a.out)["folds"]] for a in (answer, undisturbed)]
    assert shas[0] == shas[1]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--folds", 1), "--folds 1: cross-validation needs at least 2 folds."),
        (("--folds", 51), "--folds 51: the class 'high' has 50 training images"),
        (("--folds", 5, "--test-fraction", 0.1), "--test-fraction 0.1: has no meaning beside --folds"),
        (("--folds", 5, "--batch-size", 140), "--batch-size 140: larger than the training set (108 images)"),
        (("--folds", "many"), "Invalid value for '--folds'"),
    ],
)
def test_folds_that_mean_nothing_are_refused_and_nothing_is_made(flags, message, npz, tmp_path, command):
    code, out, err = command("train", npz, "--run-dir", tmp_path / "cv", *flags)
    assert (code, out) == (2, "")
    assert message in err
    assert list(tmp_path.iterdir()) == []


def test_resume_takes_no_folds(tmp_path, command):
    code, _, err = command("train", "--resume", tmp_path, "--folds", 3)
    assert code == 2
    assert "--folds 3: has no meaning beside --resume" in err
