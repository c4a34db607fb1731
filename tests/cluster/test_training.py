"""`train --workers`: the run is the one of one process, and whoever dies on the way, it ends as if nobody had."""

import functools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from eyebright import preset_settings
from eyebright.cluster.batches import check_batch
from eyebright.errors import SettingsError

pytestmark = pytest.mark.xdist_group("ray")  # one cluster for all, where tests run in several processes

PROGRAM = (sys.executable, "-m", "eyebright")
STEPS = Path(__file__).parent / "steps_of_a_group.py"
FC = {
    "model": "fc", "preset": "default", "hidden_units": 32, "batch_size": 100, "precision": "float32",
    "learning_rate": 1e-3, "batch_norm": True, "dropout": 0.2, "augment": "strong", "averaging": "ema",
    "accumulate": 2, "l2": 1e-4, "steps": 12,
}  # fmt: skip
CNN = {"model": "cnn", "preset": "default", "channels": [4, 8], "batch_size": 20, "precision": "float32", "steps": 2}
TRAIN = (
    "train", "digits", "--model", "fc", "--hidden-units", "32", "--batch-size", "100", "--precision", "float32",
    "--learning-rate", "0.001", "--log-steps", "1",
)  # fmt: skip
SECONDS = 240  # within which what takes ten seconds has happened: the machine may be busy
TOLERANCE = 1e-4  # of a variable, ‖Δ‖/‖w‖: the order of sums is another


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What some steps come to, by so many processes."""
    directory, made = tmp_path_factory.mktemp("trained"), {}
    environment = os.environ | {"KERAS_BACKEND": "jax", "NPROC": "1"}

    def train(processes, **given):
        key = json.dumps([processes, given])
        if key not in made:
            path = directory / f"{len(made)}.npz"
            with socket.create_server(("127.0.0.1", 0)) as server:
                address = f"127.0.0.1:{server.getsockname()[1]}"
            command = [sys.executable, STEPS, path, json.dumps(given), address, str(processes)]
            started = [subprocess.Popen([*command, str(number)], env=environment) for number in range(processes)]
            assert started[0].wait(120) == 0
            for process in started:
                process.kill()
                process.wait()
            made[key] = dict(np.load(path))
        return made[key]

    return train


def relative(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-12)


@pytest.mark.parametrize("given", [FC, CNN], ids=["fc", "cnn"])
def test_two_processes_come_to_the_weights_statistics_and_answers_of_one(trained, given):
    one, two = trained(1, **given), trained(2, **given)
    assert one.keys() == two.keys()
    for name in one:
        assert relative(two[name], one[name]) <= TOLERANCE, name
    assert any("moving_variance" in name for name in one)


def test_what_each_process_computes_counts(trained):
    """Processes that are not connected would each train a model of its own, to the same accuracy."""
    one, damaged = trained(1, **FC), trained(2, **FC, damaged=True)
    assert max(relative(damaged[name], one[name]) for name in one if name.startswith("model/")) > 100 * TOLERANCE


def metrics(run, column="loss"):
    rows = (run / "metrics.csv").read_text().splitlines()
    names = rows[0].split(",")
    found = [dict(zip(names, row.split(","), strict=True)) for row in rows[1:]]
    return np.array([float(row[column]) for row in found if row[column]])


def results_of(run):
    return json.loads((run / "results.json").read_text())


@pytest.fixture(scope="module")
def variables(environment):
    """Of the environment, without the backend of this process."""
    return {name: value for name, value in environment.items() if name != "KERAS_BACKEND"}


@pytest.fixture(scope="module")
def command(eyebright, variables):
    """Run `eyebright` on the backend that it chooses."""
    return functools.partial(eyebright, env=variables)


def computing(variables):
    """The processes that compute for workers, by what Ray calls the actors above them."""
    found = []
    own = f"RAY_TMPDIR={variables['RAY_TMPDIR']}".encode()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
            called = (status.parent / "cmdline").read_bytes()
            above = Path(f"/proc/{parent}/cmdline").read_bytes()
            environ = (status.parent / "environ").read_bytes()
        except OSError:
            continue
        if b"multiprocessing.spawn" in called and above.startswith(b"ray::Worker") and own in environ:
            found.append(int(status.parent.name))
    return sorted(found)


@pytest.fixture(scope="module")
def alone(command, tmp_path_factory):
    """The run of one process."""
    run = tmp_path_factory.mktemp("alone") / "run"
    code, _, err = command(*TRAIN, "--max-steps", "150", "--backend", "jax", "--run-dir", run, "--quiet")
    assert code == 0, err
    return run


@pytest.fixture
def together(variables, cluster):
    """Begin to train with two workers, and come back when there is a checkpoint."""
    processes = []

    def start(run, *options):
        arguments = [
            *TRAIN, "--max-steps", "150", "--checkpoint-steps", "50", "--run-dir", run, "--workers", "2",
            "--ray", cluster, *options,
        ]  # fmt: skip
        process = subprocess.Popen(
            [*PROGRAM, *map(str, arguments)], env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        processes.append(process)
        wait_for_a_checkpoint(process, run)
        return process

    yield start
    for process in processes:
        process.kill()
        if not process.stdout.closed:
            process.communicate()


def wait_for_a_checkpoint(process, run):
    end = time.monotonic() + SECONDS
    while not list(run.glob("checkpoints/step-*")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_worker_that_is_killed_costs_nothing_but_time(variables, together, alone, tmp_path):
    run = tmp_path / "run"
    process = together(run)
    os.kill(computing(variables)[-1], signal.SIGKILL)
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert "2 workers: of each batch of 100 images, which is the whole run's, every one computes 50." in said
    assert re.search(r"^Backend jax \S+ on \d+ processors, one of 2 processes that are connected$", said, re.M)
    assert re.search(r"^Worker [01] on \S+ is lost: its process was ended by SIGKILL", said, re.M)
    assert re.search(r"^All 2 workers start again, from step (50|100)$", said, re.M)
    np.testing.assert_allclose(metrics(run), metrics(alone), rtol=1e-3, atol=1e-4)
    ours, theirs = results_of(run), results_of(alone)
    assert (ours["workers"], ours["steps"], ours["test_looks"]) == (2, 150, 1)
    low, high = theirs["test_accuracy_ci95"]
    assert low <= ours["test_accuracy"] <= high
    assert computing(variables) == []


def test_a_run_whose_directory_goes_with_its_machine_goes_on_from_its_copy(variables, together, alone, tmp_path):
    run, copy = tmp_path / "run", tmp_path / "copy" / "run.zip"
    process = together(run, "--copy-to", copy.parent)
    end = time.monotonic() + SECONDS
    while not any("checkpoints/step-" in name for name in names_in(copy)):
        assert time.monotonic() < end
        time.sleep(0.01)
    workers = computing(variables)
    for number in (signal.SIGSTOP, signal.SIGKILL):  # nothing is written any more, and all that was is gone
        for worker in workers:
            os.kill(worker, number)
        if number == signal.SIGSTOP:
            shutil.rmtree(run)
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert re.search(r"^All 2 workers start again, from step (50|100)$", said, re.M)
    np.testing.assert_allclose(metrics(run), metrics(alone), rtol=1e-3, atol=1e-4)
    assert "results.json" in names_in(copy)


def names_in(archive):
    if not archive.exists():
        return []
    with zipfile.ZipFile(archive) as file:
        return file.namelist()


def test_stopped_it_is_saved_and_goes_on_without_workers(together, command, alone, tmp_path):
    run = tmp_path / "run"
    process = together(run)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=SECONDS)
    assert process.returncode == 128 + signal.SIGTERM, said
    assert re.search(r"Stopped at step \d+; everything is saved. Go on with: .* train --resume ", said)
    code, _, err = command("train", "--resume", run, "--backend", "jax", "--quiet")
    assert code == 0, err
    np.testing.assert_allclose(metrics(run), metrics(alone), rtol=1e-3, atol=1e-4)
    assert "workers" not in results_of(run)


@pytest.mark.parametrize(
    ("batch", "accumulate", "workers", "advice"),
    [
        (100, 1, 3, "--workers 2 or 4, or --batch-size 99 or 102."),
        (62, 1, 4, "--workers 2 or 31, or --batch-size 60 or 64."),
        (100, 2, 4, "--workers 2 or 5, or --batch-size 96 or 104."),
        (3, 1, 4, "--workers 3, or --batch-size 4."),
    ],
)
def test_a_batch_that_cannot_be_divided_is_refused_with_numbers_that_fit(batch, accumulate, workers, advice):
    settings = preset_settings("default", model="fc", batch_size=batch, accumulate=accumulate)
    with pytest.raises(SettingsError, match=f"--workers {workers}: .*{re.escape(advice)}$"):
        check_batch(settings, workers)
    check_batch(settings, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--ray", "local"), "--ray local: trains with several workers only. Give --workers N, too."),
        (("--workers", "2", "--folds", "3"), "--workers 2: one run is trained by them. Leave it out, or --folds 3."),
        (("--workers", "2", "--backend", "tensorflow"), "--workers 2: they compute on jax; --backend"),
        (("--workers", "2", "--ray=nowhere"), "--ray nowhere: give auto, local or HOST:PORT"),
        (("--workers", "2", "--ray", "127.0.0.1:1", "--batch-size", "100"), "--ray 127.0.0.1:1: Connection refused"),
        (("--workers", "3", "--batch-size", "100"), "--workers 3: a batch of 100 images cannot be divided evenly"),
    ],
)
def test_what_cannot_be_is_refused(command, tmp_path, arguments, message):
    code, _, err = command("train", "digits", *arguments, "--run-dir", tmp_path / "run")
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_more_workers_than_the_cluster_has_processors_are_refused(command, cluster, tmp_path):
    code, _, err = command(*TRAIN, "--workers", "4", "--ray", cluster, "--run-dir", tmp_path / "run")
    assert code == 2
    assert "--workers 4: the cluster has 2 processors. Give 1 to 2." in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("extra", ["jax", "ray"])
def test_a_missing_extra_is_said_with_the_command_that_installs_it(variables, tmp_path, extra):
    code = f"import importlib.util as u; find = u.find_spec; u.find_spec = lambda n, *a: None if n == {extra!r} else "
    code += "find(n, *a); from eyebright.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "train", "digits", "--workers", "2", "--run-dir", tmp_path / "run"],
        capture_output=True, text=True, check=False, env=variables,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"pip install 'eyebright[{extra}]'" in done.stderr
