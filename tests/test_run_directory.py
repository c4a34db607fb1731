import itertools
import json
import os
import resource
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from eyebright.data.dataset import Dataset
from eyebright.data.split import split_dataset
from eyebright.errors import RunError, SettingsError, StorageError
from eyebright.run_directory import DataRecord, RunDirectory
from eyebright.run_paths import RunExistsError, check_free, default_path
from eyebright.settings import Settings

SETTINGS = Settings(epochs=3, learning_rate=0.1, clip_norm=2.0)


def shades(seed=0):
    images = np.random.default_rng(seed).integers(0, 256, (40, 4, 4, 1), np.uint8)
    return Dataset(images, np.arange(40, dtype=np.int32) % 2, ("dark", "bright"), "shades")


@pytest.fixture(scope="module")
def data():
    dataset = shades()
    return DataRecord.of(dataset, split_dataset(dataset, **SETTINGS.split))


@pytest.fixture
def run(data, tmp_path):
    return RunDirectory.create(tmp_path / "run", SETTINGS, data)


def test_record_of_the_data_says_what_there_is(data):
    assert data == DataRecord(
        name="shades",
        fingerprint=shades().fingerprint,
        class_names=("dark", "bright"),
        image_shape=(4, 4, 1),
        training_images=29,
        validation_images=3,
        test_images=8,
    )


def test_what_was_created_is_opened_again(run, data):
    opened = RunDirectory.open(run.path)
    assert (opened.path, opened.settings, opened.data) == (run.path, SETTINGS, data)
    assert opened.results is None
    assert opened.test_looks == 0
    assert [entry.name for entry in run.path.parent.iterdir()] == ["run"]


def test_where_the_data_came_from_is_recorded_and_older_runs_have_none(run, tmp_path):
    dataset = replace(shades(), source="/data/shades.npz")
    record = DataRecord.of(dataset, split_dataset(dataset, **SETTINGS.split))
    made = RunDirectory.create(tmp_path / "other", SETTINGS, record)
    assert RunDirectory.open(made.path).data.source == "/data/shades.npz"
    older = json.loads((run.path / "data.json").read_text())
    del older["source"]
    (run.path / "data.json").write_text(json.dumps(older))
    assert RunDirectory.open(run.path).data.source == ""


def test_processes_that_make_runs_at_the_same_time_leave_each_other_alone(data, tmp_path):
    names = [f"run-{i}" for i in range(20)]
    script = f"""
import sys
from pathlib import Path
from eyebright.run_directory import DataRecord, RunDirectory
from eyebright.run_paths import RunExistsError
from eyebright.settings import Settings
data = DataRecord.model_validate_json({data.model_dump_json()!r})
print("ready", flush=True)
sys.stdin.readline()
for name in {names!r}:
    try:
        print(RunDirectory.create(Path(name), Settings(epochs=1), data).path)
    except RunExistsError:
        pass
"""
    command, pipe = [sys.executable, "-c", script], subprocess.PIPE
    started = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=tmp_path) for _ in range(3)]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.stdin.write("\n")
        process.stdin.flush()
    made = [process.communicate(timeout=60)[0].split() for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert sorted(itertools.chain(*made)) == sorted(names)  # each was made once, and by one of them
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    for name in names:
        assert RunDirectory.open(tmp_path / name).data == data


def test_directories_above_are_made(data, tmp_path):
    assert RunDirectory.create(tmp_path / "a" / "b" / "run", SETTINGS, data).path.is_dir()


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_a_run_never_overwrites_what_is_there(make, data, tmp_path):
    make(tmp_path / "run")
    for attempt in (check_free, lambda path: RunDirectory.create(path, SETTINGS, data)):
        with pytest.raises(RunExistsError, match="exists already"):
            attempt(tmp_path / "run")
    assert [entry.name for entry in tmp_path.iterdir()] == ["run"]


def test_a_directory_that_cannot_be_made_leaves_nothing(data, tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "run", tmp_path / ("x" * 300)):
        check_free(path)
        with pytest.raises(RunError, match="cannot be made"):
            RunDirectory.create(path, SETTINGS, data)
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_leaves_nothing(data, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(StorageError, match="File too large"):
            RunDirectory.create(tmp_path / "run", SETTINGS, data)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def refused(path, error=RunError):
    with pytest.raises(error) as caught:
        RunDirectory.open(path)
    return str(caught.value)


def test_what_is_no_run_cannot_be_opened(run, tmp_path):
    assert refused(tmp_path / "no") == f"{tmp_path / 'no'}: there is no such directory."
    assert "not the directory of a run (no settings.toml and data.json in it)" in refused(tmp_path)
    assert "no such directory" in refused(tmp_path / ("x" * 300))
    (tmp_path / "file").touch()
    assert "not the directory of a run" in refused(tmp_path / "file")


@pytest.mark.parametrize("part", ["model", "checkpoints/step-10", "settings.toml"])
def test_a_part_of_a_run_leads_to_the_run(part, run, monkeypatch):
    if part != "settings.toml":
        (run.path / part).mkdir(parents=True)
    assert refused(run.path / part) == (
        f"{run.path / part}: this is a part of a run. Give the run's directory: {run.path}."
    )
    monkeypatch.chdir(run.path)
    assert str(run.path) in refused(Path(part))


@pytest.mark.parametrize("name", ["settings.toml", "data.json"])
def test_half_a_run_is_none(name, run):
    (run.path / name).unlink()
    assert "not the directory of a run" in refused(run.path)


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b"[]", b"\xff", b'{"name": 3}'])
def test_damaged_data_json_is_named(content, run):
    (run.path / "data.json").write_bytes(content)
    assert refused(run.path).startswith(f"{run.path / 'data.json'}: damaged: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epoch = 3", "settings.toml: epoch: unknown setting. Did you mean 'epochs'?"),
        ("epochs = 0", "settings.toml: epochs = 0: input should be greater than or equal to 1"),
        ('epochs = "3"', 'settings.toml: epochs = "3": input should be a valid integer'),
        ("epochs", "settings.toml: no valid TOML"),
        ("", "settings.toml: give either epochs or max_steps"),
    ],
)
def test_damaged_settings_are_named(text, words, run):
    (run.path / "settings.toml").write_text(text)
    assert words in refused(run.path, SettingsError)


def test_results_are_what_was_written(run):
    run.write_results({"test_accuracy": 0.5, "test_looks": 1})
    assert RunDirectory.open(run.path).results == {"test_accuracy": 0.5, "test_looks": 1}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff"])
@pytest.mark.parametrize(("name", "of"), [("results.json", "results"), ("looks.json", "test_looks")])
def test_damaged_records_are_named(name, of, content, run):
    (run.path / name).write_bytes(content)
    with pytest.raises(RunError, match=rf"{name}: damaged"):
        getattr(run, of)


@pytest.mark.parametrize("content", ["{}", '{"test_looks": "3"}'])
def test_a_number_of_looks_that_is_none_is_named(content, run):
    (run.path / "looks.json").write_text(content)
    with pytest.raises(RunError, match=r"looks\.json: damaged"):
        run.count_test_look()


def test_a_record_that_cannot_be_read_is_named(run):
    (run.path / "results.json").mkdir()
    with pytest.raises(RunError, match=r"results\.json: cannot be read: Is a directory"):
        _ = run.results


def test_looks_are_counted_before_and_after_the_end_and_in_the_ledger(run, tmp_path, monkeypatch):
    monkeypatch.setenv("EYEBRIGHT_LEDGER", str(tmp_path / "ledger.json"))
    assert [run.count_test_look(), run.count_test_look()] == [1, 2]
    assert not (run.path / "results.json").exists()
    run.write_results({"test_accuracy": 0.5, "test_looks": run.test_looks})
    assert run.count_test_look() == 3
    assert RunDirectory.open(run.path).results == {
        "test_accuracy": 0.5, "test_looks": 3, "test_looks_of_data": 3, "runs_that_looked": 1,
    }  # fmt: skip


def test_an_extended_run_is_not_finished_and_remembers_its_looks(run):
    run.count_test_look()
    run.write_results({"test_looks": 1})
    longer = SETTINGS.model_copy(update={"epochs": 9})
    run.extend(longer)
    opened = RunDirectory.open(run.path)
    assert (opened.results, opened.settings, opened.test_looks) == (None, longer, 1)


def test_other_data_are_refused(run):
    run.check_same_data(shades())
    with pytest.raises(RunError, match=r"not the data of the run .*fingerprint [0-9a-f]{12}…, the run's [0-9a-f]{12}…"):
        run.check_same_data(shades(seed=1))


HOLDER = """
import sys
from pathlib import Path
from eyebright.run_directory import RunDirectory
with RunDirectory.open(Path(sys.argv[1])).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_one_process_at_a_time_and_a_killed_one_holds_nothing(run):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, run.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"locked\n"
        with pytest.raises(RunError, match="another process is at work in this run"), run.locked():
            pass
        holder.kill()
    with run.locked():
        pass


def test_the_lock_can_be_taken_again(run):
    for _ in range(2):
        with run.locked():
            pass


def test_a_lock_that_cannot_be_taken_for_another_reason_says_so(run):
    (run.path / ".lock").mkdir()
    with pytest.raises(RunError, match="cannot be written"), run.locked():
        pass


def test_default_path_is_named_by_time_data_and_model_and_is_free(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    now = datetime(2026, 3, 4, 5, 6, 7)
    assert default_path(SETTINGS, now) == Path("runs/20260304-050607-digits-fc")
    os.makedirs("runs/20260304-050607-digits-fc")  # noqa: PTH103
    assert default_path(SETTINGS, now) == Path("runs/20260304-050607-digits-fc-2")
    Path("runs/20260304-050607-digits-fc-2").symlink_to("nowhere")
    assert default_path(SETTINGS, now) == Path("runs/20260304-050607-digits-fc-3")


@pytest.mark.parametrize(
    ("data", "name"), [("/a/b/cats.npz", "cats"), ("../cifar-10-batches-bin/", "cifar-10-batches-bin"), ("/", "data")]
)
def test_default_path_of_a_path(data, name):
    settings = SETTINGS.model_copy(update={"data": data, "model": "softmax"})
    assert default_path(settings, datetime(2026, 1, 1)).name == f"20260101-000000-{name}-softmax"


def test_files_are_what_people_can_read(run):
    assert (run.path / "settings.toml").read_text().splitlines()[0] == "accumulate = 1"
    assert json.loads((run.path / "data.json").read_text())["class_names"] == ["dark", "bright"]
