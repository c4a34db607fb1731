"""Processes that end before their time, and others that go on with their runs. `benchmarks/kills.py` does more."""

import os
import pty
import random
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from eyebright import cli
from eyebright.data.loading import load_dataset
from eyebright.errors import RunError
from eyebright.presets import preset_settings
from eyebright.training.trainer import resume, train

# Everything that has a state of its own at once, and checkpoints of megabytes, so that much of the time is their
# writing.
STEPS = 150
SETTINGS = {
    "layers": 2, "hidden_units": 500, "dropout": 0.2, "optimizer": "adamw", "weight_decay": 0.05,
    "schedule": "one-cycle", "clip_norm": 1.0, "preprocessing": "per-channel", "batch_size": 10, "max_steps": STEPS,
    "checkpoint_steps": 5, "log_steps": 20, "precision": "float32", "batch_norm": True, "augment": "strong",
    "averaging": "ema", "averaging_decay": 0.99, "accumulate": 2, "class_weights": "balanced", "label_smoothing": 0.1,
}  # fmt: skip


_TAKE_THE_TERMINAL = "import os; os.close(os.open(os.ttyname(0), os.O_RDWR))"  # so that ^C on it comes to the process
_EYEBRIGHT = "import runpy; runpy.run_module('eyebright', run_name='__main__')"


@pytest.fixture(scope="module")
def data(npz_file):
    return load_dataset(str(npz_file))


@pytest.fixture(scope="module")
def settings(make_run):
    return {**SETTINGS, "teacher": str(make_run().path)}


@pytest.fixture(scope="module")
def undisturbed(settings, data, npz_file, tmp_path_factory):
    return train(preset_settings(data=str(npz_file), **settings), data, tmp_path_factory.mktemp("undisturbed") / "run")


@pytest.fixture
def begin(settings, npz_file, tmp_path):
    """The arguments that begin the run, and its directory."""
    flags = [
        part
        for name, value in settings.items()
        for part in ([f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)]))
    ]
    directory = tmp_path / "a run"  # with a space: what is printed must be quoted
    return ["train", npz_file, *flags, "--run-dir", directory], directory


def events(directory):
    """What TensorBoard reads, by name and step, but for the speed."""
    read = EventAccumulator(str(directory), size_guidance={"scalars": 0, "histograms": 0}).Reload()
    found = {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}
    found |= {tag: [event.step for event in read.Histograms(tag)] for tag in read.Tags()["histograms"]}
    del found["images_per_second"]
    return found


def is_writing(directory):
    checkpoints = directory / "checkpoints"
    return checkpoints.is_dir() and any(name.startswith(".writing-step-") for name in os.listdir(checkpoints))  # noqa: PTH208


def test_killed_again_and_again_a_run_comes_to_the_same_bits(
    begin, start_program, newest_checkpoint, read_figures, undisturbed, data
):
    """Killed at random moments, and in the midst of writing a checkpoint."""
    arguments, directory = begin
    in_writing, where = 0, []
    for number in range(3):
        program = start_program(*arguments)
        arguments = ["train", "--resume", directory, "--quiet"]
        before = newest_checkpoint(directory)
        program.wait_until(lambda: newest_checkpoint(directory) > before)  # noqa: B023
        time.sleep(random.uniform(0, 0.1))
        if number:
            program.wait_until(lambda: is_writing(directory), every=0)
        code, _, errors = program.end(signal.SIGKILL)
        assert code == -signal.SIGKILL, errors
        in_writing += is_writing(directory)
        where.append(newest_checkpoint(directory))
    assert in_writing, where
    assert resume(directory, data).results["weights_sha256"] == undisturbed.results["weights_sha256"], where
    assert read_figures(directory) == read_figures(undisturbed.path)
    assert events(directory) == events(undisturbed.path)
    assert {path.name for path in directory.rglob(".*")} <= {".lock"}


def test_while_one_process_trains_no_other_may_and_sigterm_saves_says_how_to_go_on_and_exits_with_143(
    begin, start_program, newest_checkpoint, read_figures, undisturbed, data
):
    arguments, directory = begin
    program = start_program(*arguments)
    program.wait_until(lambda: newest_checkpoint(directory) >= 20)
    with pytest.raises(RunError, match="another process is at work in this run"):
        resume(directory, data)
    code, output, errors = program.end(signal.SIGTERM)
    assert code == 143
    stopped = re.search(r"Stopped at step (\d+); everything is saved\. Go on with: (.*)\n", errors)
    assert stopped, errors
    assert "Traceback" not in errors
    assert newest_checkpoint(directory) == int(stopped[1]) < STEPS
    assert shlex.split(stopped[2])[-4:] == ["eyebright", "train", "--resume", str(directory)]
    expected = [f"Step {row['step']}, training accuracy {float(row['train_accuracy']):.4f}"
                for row in read_figures(directory) if row["train_accuracy"]]  # fmt: skip
    assert [line for line in output.splitlines() if "training accuracy" in line] == expected
    assert expected
    assert resume(directory, data).results["weights_sha256"] == undisturbed.results["weights_sha256"]
    assert read_figures(directory) == read_figures(undisturbed.path)


@pytest.fixture
def on_a_terminal():
    """Run `eyebright` with these arguments on a terminal of its own; the process, and the terminal's other end."""
    started = []

    def start(*arguments):
        reading, terminal = pty.openpty()
        command = [sys.executable, "-c", f"{_TAKE_THE_TERMINAL}; {_EYEBRIGHT}", *map(str, arguments)]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
        process = subprocess.Popen(
            command, stdin=terminal, stdout=terminal, stderr=terminal, env=environment, start_new_session=True
        )
        os.close(terminal)
        started.append((process, reading))
        return process, reading

    yield start
    for process, reading in started:
        process.kill()
        process.wait()
        os.close(reading)


def test_ctrl_c_on_a_terminal_with_its_bar_saves_says_how_to_go_on_and_exits_with_130(
    begin, on_a_terminal, newest_checkpoint, undisturbed, data
):
    arguments, directory = begin
    process, terminal = on_a_terminal(*arguments)
    shown, pressed, deadline = "", False, time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.01)[0]:
            try:
                shown += os.read(terminal, 65536).decode(errors="replace")
            except OSError:  # the other end has closed
                break
        if not pressed and newest_checkpoint(directory) >= 20:
            os.write(terminal, b"\x03")
            pressed = True
    assert process.wait(timeout=60) == 130, shown
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    assert re.search(rf"Step +\d+/{STEPS} [━╸╺]+ [\d,]+ images/s  loss \d+\.\d+  accuracy 0\.\d+ +\d:\d\d:\d\d", plain)
    assert "training accuracy" not in plain
    stopped = re.search(r"Stopped at step (\d+); everything is saved", plain)
    assert stopped, plain
    assert newest_checkpoint(directory) == int(stopped[1]) < STEPS
    assert resume(directory, data).results["weights_sha256"] == undisturbed.results["weights_sha256"]


@pytest.fixture
def command(monkeypatch, capsys):
    """Run `eyebright` with these arguments in this process: the exit code and what was printed on both outputs."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["eyebright", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run


def test_resuming_a_finished_run_says_so_and_exits_with_0(undisturbed, command):
    code, output, errors = command("train", "--resume", undisturbed.path)
    assert (code, errors) == (0, "")
    assert output.startswith(f"{undisturbed.path}: this run is finished.\n")


def test_where_all_checkpoints_are_damaged_the_exit_code_is_2(undisturbed, command, tmp_path):
    shutil.copytree(undisturbed.path, tmp_path / "run")
    (tmp_path / "run" / "results.json").unlink()
    for path in (tmp_path / "run" / "checkpoints").iterdir():
        (path / "state.json").unlink()
    code, _, errors = command("train", "--resume", tmp_path / "run")
    assert code == 2
    assert errors.startswith("CheckpointError: ")
    assert errors.endswith("no checkpoint is intact. Train anew.\n")


def test_a_loss_that_is_not_finite_exits_with_2(npz_file, command, tmp_path):
    code, _, errors = command(
        *("train", npz_file, "--learning-rate", "1e30", "--max-steps", 50, "--run-dir", tmp_path / "run", "--quiet")
    )
    assert code == 2
    assert re.match(r"TrainingError: Step \d+: .*(nan|inf|not finite)", errors)
