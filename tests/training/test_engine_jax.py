"""JAX against TensorFlow, and against itself. A process computes on one of them, so these are processes."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eyebright.training.trainer import Run

pytest.importorskip("jax", reason="the extra jax is not installed")
pytestmark = pytest.mark.xdist_group("jax")  # one process of each backend for all, where tests run in several

STEPS = Path(__file__).parent / "steps_of_a_backend.py"
CNN = {"model": "cnn", "preset": "default", "channels": [8, 16], "batch_size": 100, "precision": "float32"}
FC = {"model": "fc", "preset": "default", "hidden_units": 64, "batch_size": 100, "precision": "float32", "dropout": 0.0}
EVERYTHING = {
    **FC, "dropout": 0.2, "augment": "strong", "averaging": "look-ahead", "accumulate": 2, "l1": 1e-5, "l2": 1e-4,
    "class_weights": "balanced",
}  # fmt: skip


def run(*arguments, backend="jax", check=True):
    environment = os.environ | {"KERAS_BACKEND": backend}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, check=False, env=environment
    )
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What some steps come to on a backend."""
    directory, made, processes = tmp_path_factory.mktemp("trained"), {}, {}

    def train(backend, **given):
        key = json.dumps([backend, given])
        if backend not in processes:
            processes[backend] = subprocess.Popen(
                [sys.executable, STEPS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                env=os.environ | {"KERAS_BACKEND": backend},
            )  # fmt: skip
        if key not in made:
            path = directory / f"{len(made)}.npz"
            print(json.dumps([str(path), given]), file=processes[backend].stdin, flush=True)
            assert processes[backend].stdout.readline() == "written\n"
            made[key] = dict(np.load(path))
        return made[key]

    yield train
    for process in processes.values():
        with process:
            process.kill()


def relative(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-12)


@pytest.mark.parametrize(
    "given",
    [
        {"model": "softmax", "preset": "default", "batch_size": 100, "precision": "float32", "steps": 100},
        {**FC, "learning_rate": 1e-4, "steps": 100},
    ],
    ids=["softmax", "fc"],
)
def test_a_hundred_steps_are_the_same_but_for_rounding(trained, given):
    ours, theirs = trained("jax", **given), trained("tensorflow", **given)
    assert ours.keys() == theirs.keys()
    for name in ours:
        if name.startswith("first/"):
            np.testing.assert_array_equal(ours[name], theirs[name])
        else:
            assert relative(ours[name], theirs[name]) <= 1e-4, name


def test_one_step_of_the_convolutional_network_has_the_same_gradients_and_statistics(trained):
    given = {
        **CNN,
        "optimizer": "momentum",
        "learning_rate": 0.01,
        "steps": 1,
    }  # momentum: the gradient, times the rate
    ours, theirs = trained("jax", **given), trained("tensorflow", **given)
    for name in ours:
        if name.startswith("first/") and "whiten" not in name:  # which is measured, by an eigenvalue decomposition
            np.testing.assert_array_equal(ours[name], theirs[name])
        assert relative(ours[name], theirs[name]) <= 1e-4, name
    assert any(name.endswith("moving_variance") for name in ours)


@pytest.mark.parametrize("augment", ["light", "standard", "strong"])
def test_augmented_images_are_the_same(trained, augment):
    given = {**CNN, "augment": augment, "steps": 1}
    ours, theirs = (trained(backend, **given)["pixels"].astype(int) for backend in ("jax", "tensorflow"))
    assert np.abs(ours - theirs).max() <= 1  # where rounding falls on another side
    assert (ours != theirs).mean() <= 1e-3


def test_a_loop_of_many_steps_comes_to_the_bits_of_single_steps(trained):
    """On a GPU a call is a loop, here it is one step: both are tried here."""
    single, looped = (trained("jax", **EVERYTHING, steps=20, loop=length) for length in (1, 128))
    for name in single:
        np.testing.assert_array_equal(single[name], looped[name], err_msg=name)


def cli(*arguments, backend="jax", check=True):
    return run("-m", "eyebright", *arguments, backend=backend, check=check)


TRAIN = ("train", "digits", "--model", "fc", "--hidden-units", "32", "--dropout", "0.2", "--batch-size", "100")
TRAIN += ("--precision", "float32", "--max-steps", "60", "--checkpoint-steps", "20")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The same run on both backends."""
    directory = tmp_path_factory.mktemp("runs")
    said = {
        name: cli(*TRAIN, "--backend", name, "--run-dir", directory / name).stderr for name in ("jax", "tensorflow")
    }
    return directory, said


def results_of(run):
    return json.loads((run / "results.json").read_text())


def test_a_run_says_what_computes_and_records_it(finished):
    directory, _ = finished
    results = results_of(directory / "jax")
    assert results["backend"] == "jax"
    assert 0 < results["compile_seconds"] < results["train_seconds"]
    assert "jax" in results["versions"]
    assert "tensorflow" not in results["versions"]
    done = cli(*TRAIN, "--run-dir", directory / "said")
    assert re.search(r"^Backend jax \d+\.\d+\S* on \d+ processors$", done.stdout, re.M)


def test_the_same_run_on_the_other_backend_is_as_accurate(finished):
    directory, _ = finished
    ours, theirs = (results_of(directory / name) for name in ("jax", "tensorflow"))
    low, high = theirs["test_accuracy_ci95"]
    assert low <= ours["test_accuracy"] <= high


@pytest.mark.parametrize(("begun", "resumed"), [("jax", "tensorflow"), ("tensorflow", "jax")])
def test_a_run_begun_on_one_backend_goes_on_on_the_other(finished, go_back, tmp_path, begun, resumed):
    copy = go_back(Run(finished[0] / begun, {}), tmp_path / "run", 40)
    done = cli("train", "--resume", copy, "--backend", resumed)
    assert f"written by {begun}, and this goes on with {resumed}" in done.stdout
    results, whole = results_of(copy), results_of(finished[0] / begun)
    assert results["backend"] == resumed
    low, high = whole["test_accuracy_ci95"]
    assert low <= results["test_accuracy"] <= high


def test_a_resumed_run_stays_on_its_backend_to_the_bit(finished, go_back, tmp_path):
    copy = go_back(Run(finished[0] / "jax", {}), tmp_path / "run", 20)
    without_choice("train", "--resume", copy, "--quiet")
    assert results_of(copy)["weights_sha256"] == results_of(finished[0] / "jax")["weights_sha256"]


SHORT = ("--model", "softmax", "--batch-size", "100")


def without_choice(*arguments):
    """`eyebright`, that nothing tells which backend to compute on."""
    environment = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    subprocess.run([sys.executable, "-m", "eyebright", *arguments], check=True, env=environment)


def test_several_seeds_that_are_resumed_stay_on_their_backend(tmp_path):
    path = tmp_path / "seeds"
    cli("train", "digits", *SHORT, "--max-steps", "4", "--seeds", "2", "--backend", "jax", "--run-dir", path)
    (path / "results.json").unlink()
    shutil.rmtree(path / "seed-1")
    without_choice("train", "--resume", path, "--quiet")
    assert [results_of(path / name)["backend"] for name in ("seed-0", "seed-1")] == ["jax", "jax"]


def test_a_search_and_the_range_test_compute_on_the_backend_that_is_asked_for(tmp_path):
    path, chart = tmp_path / "search", tmp_path / "chart.png"
    length = ("--epochs", "1", "--trials", "1", "--no-refit")
    without_choice("tune", "digits", *SHORT, *length, "--backend", "jax", "--run-dir", path, "--quiet")
    without_choice("tune", "--resume", path, "--trials", "2", "--refit", "--quiet")
    (best,) = path.glob("best-trial-*")
    assert results_of(best)["backend"] == "jax"
    done = run("-m", "eyebright", "find-lr", "digits", *SHORT, "--steps", "20", "--backend", "jax", "-o", chart)
    assert " --backend jax" in done.stdout.splitlines()[-1]


def test_killed_and_resumed_it_comes_to_the_same_bits(finished, tmp_path, start_program, newest_checkpoint):
    path = tmp_path / "run"
    program = start_program(*TRAIN, "--backend", "jax", "--run-dir", path)
    program.wait_until(lambda: newest_checkpoint(path) >= 20)
    program.end(signal.SIGKILL)
    cli("train", "--resume", path)
    assert results_of(path)["weights_sha256"] == results_of(finished[0] / "jax")["weights_sha256"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--backend", "torch"), "--backend torch .*: Eyebright computes on tensorflow or jax"),
        (("--backend", "jax", "--precision", "float64"), "float64: is there on the backend tensorflow alone"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, arguments, message):
    done = cli("train", "digits", *arguments, "--run-dir", tmp_path / "run", check=False)
    assert done.returncode == 2
    assert re.search(message, done.stderr)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_missing_extra_is_said_with_the_command_that_installs_it(tmp_path):
    code = "import sys; sys.modules['jax'] = None; from eyebright.cli import main; main()"
    done = run("-c", code, "train", "digits", "--backend", "jax", "--run-dir", tmp_path / "run", check=False)
    assert done.returncode == 2
    assert "pip install 'eyebright[jax]'" in done.stderr
