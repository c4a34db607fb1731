"""`resume`, the other way into `training/trainer.py`."""

import io
import shutil
import threading

import pytest
from rich.console import Console

from eyebright.errors import CheckpointError, RunError
from eyebright.run_directory import RunDirectory
from eyebright.training.checkpoint import Checkpoints
from eyebright.training.trainer import resume


def sha(run):
    return run.results["weights_sha256"]


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("plain", 0),
        ("plain", 25),
        ("stateful", 5),
        ("stateful", 20),
        ("stateful", 30),
        ("choosing", 15),
        ("choosing", 40),
        ("ema", 15),
        ("swa", 10),
        ("swa", 20),
        ("look-ahead", 15),
    ],
)
def test_a_run_goes_on_from_any_checkpoint_to_the_same_bits(
    kind, step, make_run, go_back, read_figures, dataset, tmp_path
):
    """From the beginning, amid an epoch, from the end of one, and from the end of the run."""
    expected = make_run(kind, keep_checkpoints=50)
    run = resume(go_back(expected, tmp_path / "run", step), dataset)
    assert sha(run) == sha(expected)
    assert read_figures(run.path) == read_figures(expected.path)
    for name in ("test_accuracy", "test_loss", "validation_accuracy", "best_step", "steps"):
        assert run.results[name] == expected.results[name], name
    assert run.results["total_seconds"] >= run.results["train_seconds"]
    assert Checkpoints(run.path / "checkpoints", 50).steps() == Checkpoints(expected.path / "checkpoints", 50).steps()


@pytest.mark.parametrize("file", ["manifest.json", "state.json", "variables.npz"])
def test_a_damaged_checkpoint_is_named_and_the_run_comes_to_the_same_bits(
    file, make_run, go_back, read_figures, flip_bit, dataset, tmp_path
):
    expected = make_run("stateful", keep_checkpoints=50)
    directory = go_back(expected, tmp_path / "run", 20)
    flip_bit(directory / "checkpoints" / "step-20" / file, 8 * 57 + 3)
    output = io.StringIO()
    run = resume(directory, dataset, console=Console(file=output))
    passed_over, going_on = output.getvalue().splitlines()[:2]
    assert passed_over.startswith(f"Passed over: {directory / 'checkpoints' / 'step-20' / file}: damaged")
    assert going_on == "Going on from step 15"
    assert sha(run) == sha(expected)
    assert read_figures(run.path) == read_figures(expected.path)


def test_where_all_checkpoints_are_damaged_the_run_cannot_go_on(make_run, go_back, dataset, tmp_path):
    directory = go_back(make_run(), tmp_path / "run", 30)
    for path in (directory / "checkpoints").iterdir():
        (path / "variables.npz").unlink()
    with pytest.raises(CheckpointError, match="no checkpoint is intact"):
        resume(directory, dataset)


def test_where_the_checkpoint_of_the_best_weights_is_damaged_the_error_says_so(
    make_run, go_back, flip_bit, dataset, tmp_path
):
    expected = make_run("choosing")
    directory = go_back(expected, tmp_path / "run", 1000)
    best = directory / "checkpoints" / f"step-{expected.results['best_step']}" / "variables.npz"
    assert expected.results["best_step"] < expected.results["steps"]
    flip_bit(best, 1000)
    with pytest.raises(CheckpointError, match=r"(?s)damaged.*the best weights.*Train anew"):
        resume(directory, dataset)


def test_a_finished_run_says_so_and_is_left_as_it_is(make_run, dataset):
    run, output = make_run(), io.StringIO()
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.name != ".lock"}
    again = resume(run.path, dataset, console=Console(file=output))
    assert output.getvalue() == f"{run.path}: this run is finished.\n"
    assert again.results == run.results
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.name != ".lock"} == before


def test_a_student_goes_on_to_the_same_bits_with_everything_at_once(make_run, go_back, dataset, tmp_path):
    teacher = str(make_run("stateful").path)
    expected = make_run("ema", teacher=teacher, keep_checkpoints=50)
    assert sha(resume(go_back(expected, tmp_path / "run", 15), dataset)) == sha(expected)
    assert sha(expected) != sha(make_run("ema", keep_checkpoints=50))


@pytest.mark.parametrize(
    ("kind", "given", "step"),
    [
        ("plain", {}, 20),
        ("plain", {}, 1000),
        ("choosing", {"patience": None}, 20),
        ("choosing", {"patience": None}, 1000),
        ("ema", {}, 1000),
    ],
)
def test_a_longer_run_is_that_which_was_longer_from_the_start(
    kind, given, step, make_run, go_back, read_figures, dataset, tmp_path
):
    """Made longer while it is under way, and when it is finished."""
    shorter, expected = (make_run(kind, **given, epochs=epochs, keep_checkpoints=50) for epochs in (4, 7))
    directory = tmp_path / "run"
    if step < 1000:
        go_back(shorter, directory, step)
    else:
        shutil.copytree(shorter.path, directory)
    run = resume(directory, dataset, flags={"epochs": 7})
    assert sha(run) == sha(expected) != sha(shorter)
    assert run.results["steps"] == 70
    assert read_figures(run.path) == read_figures(expected.path)
    assert RunDirectory.open(directory).settings.epochs == 7
    assert run.results["test_looks"] == (2 if step == 1000 else 1)


def test_other_data_are_refused(make_run, other_dataset):
    with pytest.raises(RunError, match="shades: this is not the data of the run"):
        resume(make_run().path, other_dataset)


def test_a_contradicting_flag_is_refused_also_by_a_finished_run(make_run, dataset):
    with pytest.raises(RunError, match="--seed 5: contradicts the run"):
        resume(make_run().path, dataset, flags={"seed": 5})


@pytest.mark.parametrize("missing", ["settings.toml", "data.json"])
def test_a_directory_that_is_no_run_is_refused(missing, make_run, dataset, tmp_path):
    shutil.copytree(make_run().path, tmp_path / "run")
    (tmp_path / "run" / missing).unlink()
    with pytest.raises(RunError, match="this is not the directory of a run"):
        resume(tmp_path / "run", dataset)


def test_a_run_in_which_another_is_at_work_is_refused(make_run, go_back, dataset, tmp_path):
    directory = go_back(make_run(), tmp_path / "run", 5)
    held, done = threading.Event(), threading.Event()

    def hold():
        with RunDirectory.open(directory).locked():
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        with pytest.raises(RunError, match="another process is at work in this run"):
            resume(directory, dataset)
    finally:
        done.set()
        thread.join()
    assert resume(directory, dataset).results["steps"] == 30
