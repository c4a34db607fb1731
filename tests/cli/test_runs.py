import contextlib
import csv
import fcntl
import io
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios

import numpy as np
import pytest

from eyebright import preset_settings, train

SHORT = ("--model", "softmax", "--max-steps", 4, "--batch-size", 20, "--quiet")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, digits, bands):
    """Two finished runs, one of them deeper down, and one that was broken off after its checkpoint of step 10."""
    folder = tmp_path_factory.mktemp("table") / "runs"
    common = {"model": "softmax", "batch_size": 100, "checkpoint_steps": 10}
    train(preset_settings("default", max_steps=26, **common), digits, folder / "a")
    train(preset_settings("default", max_steps=4, seed=3, learning_rate=0.5, **common), digits, folder / "more" / "b")
    broken_off = shutil.copytree(folder / "a", folder / "c")
    for name in (
        "results.json",
        "model",
        "test_predictions.npz",
        "looks.json",
        "checkpoints/step-20",
        "checkpoints/step-26",
    ):
        path = broken_off / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return folder


@pytest.fixture
def copy(runs, tmp_path):
    return shutil.copytree(runs, tmp_path / "runs")


def listed(command, *arguments):
    code, out, err = command("runs", *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_runs_are_listed_however_deep_with_their_figures(runs, command):
    rows = {row["run"]: row for row in listed(command, runs)}
    assert list(rows) == ["a", "c", os.path.join("more", "b")]  # noqa: PTH118
    results = json.loads((runs / "a" / "results.json").read_text())
    for name in ("test_accuracy", "test_accuracy_ci95", "validation_accuracy", "steps", "train_seconds", "test_looks"):
        assert rows["a"][name] == results[name], name
    assert (rows["a"]["state"], rows["a"]["data"], rows["a"]["model"]) == ("finished", "digits", "softmax")
    unfinished = rows["c"]
    assert (unfinished["state"], unfinished["steps"], unfinished["test_accuracy"]) == ("unfinished", 10, None)


def test_the_settings_that_differ_are_columns_and_no_others(runs, command):
    rows = {row["run"]: row["settings"] for row in listed(command, runs)}
    assert rows["a"] == {"learning_rate": rows["c"]["learning_rate"], "max_steps": 26, "seed": 0}
    assert rows["more/b"] == {"learning_rate": 0.5, "max_steps": 4, "seed": 3}
    code, out, _ = command("runs", runs)
    assert code == 0
    for word in ("more/b", "unfinished", "learning_rate", "0.5", f"{rows['a']['learning_rate']}"):
        assert word in out
    assert "batch_size" not in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--sort", "steps"), ["more/b", "c", "a"]),
        (("--sort", "learning_rate", "--reverse"), ["more/b", "a", "c"]),
        (("--sort", "test_accuracy", "--reverse"), ["a", "more/b", "c"]),  # what has none comes last
        (("--filter", "seed=3"), ["more/b"]),
        (("--filter", "learning-rate=0.50"), ["more/b"]),
        (("--filter", "state=finished", "--filter", "model=softmax"), ["a", "more/b"]),
        (("--filter", "seed=9"), []),
        (("--filter", "seed=many"), []),
    ],
)
def test_sorting_and_filtering(arguments, expected, runs, command):
    assert [row["run"] for row in listed(command, runs, *arguments)] == expected


def test_csv_has_a_column_for_everything(runs, command):
    code, out, err = command("runs", runs, "--csv")
    assert (code, err) == (0, "")
    rows = {row["run"]: row for row in csv.DictReader(io.StringIO(out))}
    results = json.loads((runs / "a" / "results.json").read_text())
    low, high = (rows["a"][f"test_accuracy_ci95_{end}"] for end in ("low", "high"))
    assert [float(low), float(high)] == results["test_accuracy_ci95"]
    assert (rows["c"]["test_accuracy"], rows["more/b"]["seed"]) == ("", "3")


def damage(run, name, content):
    (run / name).write_bytes(content)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda run: (run / "data.json").unlink(), "this is not the directory of a run"),
        (lambda run: damage(run, "data.json", b"{"), "data.json: damaged"),
        (lambda run: damage(run, "settings.toml", b"model = 3\n"), "settings.toml: model = 3"),
        (lambda run: damage(run, "settings.toml", b"\xff"), "settings.toml: no valid TOML"),
        (lambda run: damage(run, "results.json", b"[]"), "results.json: damaged: it holds no JSON object"),
        (lambda run: damage(run, "results.json", b"{}"), "results.json: damaged: it has no number"),
        (lambda run: damage(run, "results.json", b'{"steps": NaN}'), "results.json: damaged: it has no number"),
        (lambda run: damage(run, "looks.json", b"{}"), "looks.json: damaged"),
    ],
)
def test_a_damaged_run_is_listed_with_what_is_wrong_and_the_others_as_ever(change, problem, copy, command):
    expected = listed(command, copy)
    change(copy / "a")
    rows = {row["run"]: row for row in listed(command, copy)}
    assert rows["a"]["state"] == "damaged"
    assert problem in rows["a"]["problem"]
    assert rows["more/b"]["test_accuracy"] == expected[2]["test_accuracy"]
    for form in ((), ("--csv",)):
        code, out, err = command("runs", copy, *form)
        assert (code, err) == (0, "")
        assert problem in out


def test_the_runs_of_a_cross_validation_are_one_row_and_its_own_directory_lists_them(tmp_path, bands, command):
    assert command("train", bands(150), "--folds", 3, "--run-dir", tmp_path / "runs" / "cv", *SHORT).code == 0
    (row,) = listed(command, tmp_path / "runs")
    results = json.loads((tmp_path / "runs" / "cv" / "results.json").read_text())
    assert (row["run"], row["state"], row["runs"]) == ("cv", "finished", "3 folds")
    assert row["test_accuracy"] == pytest.approx(results["fold_accuracy_mean"])
    assert row["test_accuracy_std"] == pytest.approx(results["fold_accuracy_std"])
    assert f"± {results['fold_accuracy_std']:.4f}" in command("runs", tmp_path / "runs").out
    assert [one["run"] for one in listed(command, tmp_path / "runs" / "cv")] == ["fold-1", "fold-2", "fold-3"]
    (tmp_path / "runs" / "cv" / "fold-2" / "data.json").write_text("{}")
    (row,) = listed(command, tmp_path / "runs")
    assert (row["state"], "fold-2" in row["problem"]) == ("damaged", True)


def test_a_directory_without_runs_and_one_that_is_not_there(tmp_path, command, monkeypatch):
    (tmp_path / "pictures").mkdir()
    assert command("runs", tmp_path).out == f"{tmp_path}: no runs.\n"
    assert listed(command, tmp_path) == []
    monkeypatch.chdir(tmp_path)
    code, out, err = command("runs")
    assert (code, out) == (2, "")
    assert err.startswith("RunError: runs: there is no such directory. Train something first")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sort", "test_acuracy"), "--sort test_acuracy: no such column or setting. Did you mean 'test_accuracy'?"),
        (("--filter", "sed=0"), "--filter sed: no such column or setting. Did you mean 'seed'?"),
        (("--filter", "seed"), "--filter seed: give it as KEY=VALUE"),
        (("--json", "--csv"), "--json and --csv exclude each other"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(arguments, message, runs, command):
    code, out, err = command("runs", runs, *arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_a_directory_that_may_not_be_searched_is_listed(copy, command):
    (copy / "more").chmod(0)
    try:
        if os.access(copy / "more", os.R_OK):
            pytest.skip("this user may search every directory")
        rows = {row["run"]: row for row in listed(command, copy)}
    finally:
        (copy / "more").chmod(0o700)
    assert "cannot be read: Permission denied" in rows["more"]["problem"]


def test_what_a_run_is_said_to_differ_in_is_what_its_model_uses(tmp_path, digits, command):
    train(preset_settings("default", model="softmax", max_steps=2, batch_size=100), digits, tmp_path / "softmax")
    train(preset_settings("fast", model="fc", max_steps=2, batch_size=100, epochs=None), digits, tmp_path / "fc")
    rows = {row["run"]: row["settings"] for row in listed(command, tmp_path)}
    assert rows["softmax"]["hidden_units"] is None
    assert rows["fc"]["hidden_units"] > 0
    assert np.isfinite(rows["softmax"]["learning_rate"])


def test_on_a_narrow_terminal_the_last_columns_are_named_and_not_squeezed(runs):
    """On a real one, of 60 columns."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    program = [sys.executable, "-m", "eyebright", "runs", str(runs)]
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    environment.pop("COLUMNS", None)
    with subprocess.Popen(program, stdin=child, stdout=child, stderr=child, env=environment) as process:
        os.close(child)
        out = b""
        with contextlib.suppress(OSError):  # what reading gives once the program has ended
            while chunk := os.read(parent, 65536):
                out += chunk
    os.close(parent)
    text = re.sub(r"\x1b\[[0-9;]*m", "", out.decode())
    assert process.returncode == 0
    assert max(len(line) for line in text.splitlines() if "│" in line) <= 60
    assert "more/b" in text
    assert "test accuracy" in text
    assert re.search(r"More columns, in a wider terminal or by --csv: .*learning_rate", text.replace("\r\n", " "))
