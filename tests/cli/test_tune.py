"""`eyebright tune` as a command: what it prints, what it refuses, and how it goes on after it was stopped or killed."""

import contextlib
import csv
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

SHORT = ("--model", "softmax", "--max-steps", 18, "--batch-size", 20, "--validation", 30)


@pytest.fixture(scope="module")
def npz(bands):
    return bands(210)


@pytest.fixture
def space(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text("[learning_rate]\nlow = 1e-4\nhigh = 0.1\nlog = true\n[momentum]\nlow = 0.5\nhigh = 0.95\n")
    return path


def over(search):
    """What the study says of the trials that are over."""
    with contextlib.closing(sqlite3.connect(search / "study.db")) as study:
        return study.execute(
            "SELECT number, state, key, value_json FROM trials JOIN trial_user_attributes USING (trial_id) "
            "WHERE state NOT IN ('RUNNING', 'WAITING') ORDER BY number, key"
        ).fetchall()


def wait_for(happened, seconds=90.0):
    last = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < last
        time.sleep(0.02)


def test_there_is_a_line_a_trial_and_one_look_at_the_test_images(npz, space, tmp_path, monkeypatch, process, command):
    monkeypatch.setenv("EYEBRIGHT_LEDGER", str(tmp_path / "ledger.json"))
    search = tmp_path / "search"
    code, out, err = process("tune", npz, "--space", space, "--trials", 3, "--run-dir", search, *SHORT)
    assert (code, err) == (0, "")
    results = json.loads((search / "results.json").read_text())
    assert "138 images to train on, 30 for validation, 42 to test on" in out
    assert "Searching learning_rate from 0.0001 to 0.1, logarithmically; trial 0 has 0.01" in out
    numbers = [int(number) for number in re.findall(r"^Trial (\d+): .*learning_rate = ", out, re.MULTILINE)]
    assert sorted(numbers) == [0, 1, 2]
    best = results["best"]
    assert f"Best: trial {best['trial']}, validation accuracy {best['validation_accuracy']:.4f} (95% interval" in out
    assert "Trained once more with these settings, and tested once: accuracy" in out
    assert "Optimism: on the validation images, by which it was chosen among 3" in out
    looks = json.loads((tmp_path / "ledger.json").read_text())["looks"]
    assert [list(of.values()) for of in looks.values()] == [[1]]
    page = (search / "report.html").read_text()
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org/", "")
    again = command("tune", "--resume", search, "--json")
    assert again.code == 0
    assert f"{search}: this search is finished." in again.err
    answer = json.loads(again.out)
    assert {name: answer[name] for name in results} == results
    assert answer["test_accuracy_ci95"][0] <= answer["test_accuracy"] <= answer["test_accuracy_ci95"][1]
    assert command("train", "--resume", search).err.startswith(f"RunError: {search}: this is of a search.")
    for asked in (("evaluate", search), ("compare", search, tmp_path), ("predict", search, "x.png")):
        assert f"this is a search for settings. Give the run of the best of them: {search}" in command(*asked).err
    assert command("report", search).code == 0
    taken = process("train", "--config", search / "best.toml", "--run-dir", tmp_path / "again", "--json", "--quiet")
    best_run = json.loads((search / results["run"] / "results.json").read_text())
    assert json.loads(taken.out)["weights_sha256"] == best_run["weights_sha256"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Say how long to search: --trials N, --minutes M, or both."),
        (("--trials", 0), "--trials 0: a search has at least 1 trial."),
        (("--trials", 3, "--jobs", 0), "--jobs 0: give at least 1"),
        (("--trials", 3, "--validation", 0), "--validation 0.0: a search chooses by validation images."),
        (("--trials", 3, "--model", "softmax", "--preset", "tutorial", "--learning-rate", 0.1, "--batch-size", 20,
          "--max-steps", 20), "--batch-size, --learning-rate, --max-steps: flags set all that would be searched."),
        (("--trials", 3, "--space", "no.toml"), "no.toml: cannot be read"),
        (("--resume", "nowhere"), "nowhere: there is no such directory"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_anything_is_made(arguments, message, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    code, out, err = command("tune", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_bad_spaces_are_named_by_file_and_key(space, tmp_path, command):
    for text, message in (
        ("[lerning_rate]\nlow = 1\nhigh = 2", "[lerning_rate]: unknown setting. Did you mean 'learning_rate'?"),
        (
            "[learning_rate]\nlow = 0\nhigh = 2\nlog = true",
            "[learning_rate] low = 0: a logarithmic range begins above 0.",
        ),
        (
            "[learning_rate]\nlow = 2\nhigh = 1",
            "[learning_rate] low = 2: the range is empty: low must be below high = 1.",
        ),
        ("[l2]\nlow = 0\nhigh = 1\nwhen = {optimizer = 'sgd'}", "[l2] when: optimizer is not searched."),
    ):
        space.write_text(text)
        code, _, err = command("tune", "--trials", 2, "--space", space, "--run-dir", tmp_path / "search")
        assert (code, err.partition(" Known")[0].rstrip()) == (2, f"SettingsError: {space}: {message}")
    assert not (tmp_path / "search").exists()


def test_a_signal_saves_everything_and_says_how_to_go_on(npz, space, tmp_path, start, process):
    search = tmp_path / "search"
    program = start("tune", npz, "--space", space, "--trials", 40, "--jobs", 2, "--run-dir", search, *SHORT)
    wait_for(lambda: (search / "study.db").exists() and over(search))
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert program.returncode == 128 + signal.SIGINT
    assert re.search(r"Stopped after \d+ trials; everything is saved. Go on with: .* tune --resume ", err)
    known = over(search)
    assert process("train", "--resume", search).code == 2
    code, out, err = process("tune", "--resume", search, npz, "--trials", 6, "--no-refit", "--json", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads(out)["trials"]["unfinished"] == 0
    assert [row for row in over(search) if row[0] in {number for number, *_ in known}] == known
    assert len({number for number, *_ in over(search)}) >= 6


def is_gone(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


# Read by Python as it starts: the import of what trains takes a minute in the processes that others start.
SLOW = """
import multiprocessing, pathlib, sys, time

class Slow:
    def find_spec(name, path=None, target=None):
        if name == "tensorflow" and multiprocessing.parent_process():
            pathlib.Path(__file__).with_name("begun").touch()
            time.sleep(60)

sys.meta_path.insert(0, Slow)
"""


def test_processes_that_have_not_begun_to_train_end_with_their_parent(npz, space, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(SLOW)
    paths = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    arguments = ["tune", npz, "--space", space, "--trials", 2, "--run-dir", tmp_path / "search", *SHORT]
    program = subprocess.Popen(
        [sys.executable, "-m", "eyebright", *map(str, arguments)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": paths},
    )
    try:
        wait_for((tmp_path / "begun").exists)
        program.kill()
        program.wait()
        wait_for(lambda: is_gone(program.pid), 10.0)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.wait()


@pytest.mark.parametrize("whole_group", [True, False], ids=["group", "parent"])
def test_a_search_that_is_killed_loses_no_trial_and_leaves_no_process(whole_group, npz, space, tmp_path, process):
    search = tmp_path / "search"
    arguments = ["tune", npz, "--space", space, "--trials", 5, "--jobs", 2, "--run-dir", search, *SHORT]
    program = subprocess.Popen(
        [sys.executable, "-m", "eyebright", *map(str, arguments)],
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wait_for(lambda: (search / "study.db").exists() and over(search))
    (os.killpg if whole_group else os.kill)(program.pid, signal.SIGKILL)
    program.wait()
    wait_for(lambda: is_gone(program.pid), 10.0)
    known = over(search)
    assert known
    code, out, err = process("tune", "--resume", search, "--jobs", 2, "--json", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads(out)["trials"]["all"] == 5
    now = over(search)
    assert [row for row in now if row[0] in {number for number, *_ in known}] == known
    with (search / "trials.csv").open(newline="") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert len(rows) == len(set(rows)) == 5


def test_a_search_has_as_many_trials_as_there_is_time_for(npz, space, tmp_path, command):
    arguments = ("tune", npz, "--space", space, "--run-dir", tmp_path / "search", *SHORT)
    code, out, _ = command(*arguments, "--minutes", 0.5, "--no-refit", "--json", "--quiet")
    assert code == 0
    results = json.loads(out)
    assert results["trials"]["all"] > 1
    assert results["seconds"] < 40
    again = command("tune", "--resume", tmp_path / "search", "--no-refit", "--json", "--quiet")
    assert json.loads(again.out) == results


def test_time_in_which_no_trial_ends_is_said_to_be_too_little(npz, space, tmp_path, command):
    arguments = ("tune", npz, "--space", space, "--run-dir", tmp_path / "search", *SHORT)
    code, out, err = command(*arguments, "--minutes", 0.001, "--quiet")
    assert (code, out) == (2, "")
    assert "no trial was finished in 0.001 minutes. Everything is saved; give it more in all:" in err
    code, out, _ = command("tune", "--resume", tmp_path / "search", "--minutes", 5, "--trials", 1, "--json", "--quiet")
    assert (code, json.loads(out)["best"]["trial"]) == (0, 0)


def test_without_optuna_the_command_says_how_to_install_it():
    code = (
        "import sys; sys.modules['optuna'] = None; sys.argv = ['eyebright', 'tune', '--trials', '2']\n"
        "from eyebright.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("needs an optional part. Install it with: pip install 'eyebright[tune]'\n")
