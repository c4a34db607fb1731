"""A run's copy elsewhere: what is in it, when it is written, and going on from it where there is nothing else."""

import io
import re
import shutil
import signal
import threading
import zipfile
from functools import partial

import pytest
from rich.console import Console

from eyebright.data.places import ObjectStorage, Patience, place_of
from eyebright.errors import DataError, RunError, SettingsError, StorageError, TrainingInterrupted
from eyebright.run_copy import ARCHIVE, fetch_run
from eyebright.run_paths import RunExistsError
from eyebright.stored_zip import zip_bytes
from eyebright.training import copying
from eyebright.training.copying import RunCopy
from eyebright.training.trainer import resume, train


@pytest.fixture(params=["directory", "s3"])
def location(request, tmp_path):
    """Where a copy is kept."""
    return (
        str(tmp_path / "copies" / "a") if request.param == "directory" else f"{request.getfixturevalue('s3').bucket}/a"
    )


@pytest.fixture
def copied(dataset, make_settings, tmp_path):
    """Train a run with a copy in a directory."""
    return partial(train, make_settings(), dataset, tmp_path / "run", copy_to=str(tmp_path / "copy"))


@pytest.fixture
def command(command):
    """Run `eyebright train` with these arguments in this process."""
    return partial(command, "train")


def content(directory):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def visible(files):
    return {name: found for name, found in files.items() if not any(part.startswith(".") for part in name.parts)}


def test_a_finished_run_and_what_its_copy_gives_back_are_the_same_files(dataset, make_settings, location, tmp_path):
    run = train(make_settings(), dataset, tmp_path / "run", copy_to=location)
    fetch_run(location, tmp_path / "fetched")
    assert content(tmp_path / "fetched") == visible(content(run.path))
    assert resume(tmp_path / "fetched", dataset).results == run.results


@pytest.mark.parametrize(
    ("location", "number"), [("s3", signal.SIGKILL), ("directory", signal.SIGTERM)], indirect=["location"]
)
def test_a_run_whose_machine_is_lost_goes_on_elsewhere_to_the_same_bits(
    number, dataset, make_settings, npz_file, read_figures, start_program, location, newest_checkpoint,
    monkeypatch, tmp_path, command,
):  # fmt: skip
    settings = make_settings(max_steps=400, checkpoint_steps=5, log_steps=50)
    expected = train(settings, dataset, tmp_path / "expected")
    (tmp_path / "settings.toml").write_bytes(settings.to_toml())
    program = start_program(
        "train", npz_file, "--config", tmp_path / "settings.toml", "--run-dir", tmp_path / "lost" / "run",
        "--copy-to", location,
    )  # fmt: skip
    program.wait_until(lambda: newest_checkpoint(tmp_path / "lost" / "run") >= 50)
    code, _, errors = program.end(number)
    assert code in (-signal.SIGKILL, 128 + signal.SIGTERM), errors
    there = newest_checkpoint(tmp_path / "lost" / "run")
    shutil.rmtree(tmp_path / "lost")
    monkeypatch.chdir(tmp_path)
    code, said, err = command("--resume", location)
    assert code == 0, err
    step = int(re.search(r"^Going on from step (\d+)$", said, re.M)[1])
    assert 0 < step <= there
    assert step == there or number == signal.SIGKILL
    run = resume(tmp_path / "runs" / "a", dataset)  # which is finished
    assert run.results["weights_sha256"] == expected.results["weights_sha256"]
    assert read_figures(run.path) == read_figures(expected.path)
    with zipfile.ZipFile(io.BytesIO(place_of(location).read(ARCHIVE))) as archive:
        assert archive.read("results.json") == (run.path / "results.json").read_bytes()


def test_a_copy_is_never_put_over_that_of_another_run(copied, make_settings, dataset, tmp_path):
    copied()
    before = (tmp_path / "copy" / ARCHIVE).read_bytes()
    with pytest.raises(RunExistsError, match=r"copy/run\.zip: exists already\. .* train --resume "):
        train(make_settings(), dataset, tmp_path / "other", copy_to=str(tmp_path / "copy"))
    assert not (tmp_path / "other").exists()
    assert (tmp_path / "copy" / ARCHIVE).read_bytes() == before


def test_going_on_beside_a_copy_of_another_run_is_refused(copied, make_settings, dataset, tmp_path):
    run = copied()
    shutil.rmtree(tmp_path / "copy")
    train(make_settings(), dataset, tmp_path / "other", copy_to=str(tmp_path / "copy"))
    with pytest.raises(RunError, match=r"by now a copy of another run than .*copy\.json"):
        resume(run.path, dataset)
    with pytest.raises(RunExistsError, match=r"is not the run of .*run\.zip\. Name another directory: --run-dir\."):
        fetch_run(str(tmp_path / "copy"), run.path)
    with pytest.raises(RunError, match="by now a copy of another run"):
        resume(run.path, dataset, flags={"max_steps": 60})
    assert (run.path / "results.json").exists()
    (run.path / "copy.json").unlink()
    assert resume(run.path, dataset).results == run.results


def test_a_directory_that_is_behind_the_copy_is_brought_forward_and_never_back(copied, go_back, dataset, tmp_path):
    run = copied()
    behind = go_back(run, tmp_path / "behind", 10)
    with pytest.raises(
        RunError, match=r"has got further, to step 30; this directory is at step 10\. .* --resume .*behind"
    ):
        resume(behind, dataset)
    fetch_run(str(tmp_path / "copy"), behind)
    assert visible(content(behind)) == visible(content(run.path))
    archive = tmp_path / "copy" / ARCHIVE
    old = go_back(run, tmp_path / "old", 10)
    archive.write_bytes(zip_bytes({str(name): found for name, found in visible(content(old)).items()}))
    before = content(run.path)
    fetch_run(str(tmp_path / "copy"), run.path)
    assert content(run.path) == before
    resume(run.path, dataset)  # it is finished, and so is its copy afterwards
    fetch_run(str(tmp_path / "copy"), tmp_path / "fetched")
    assert content(tmp_path / "fetched") == visible(content(run.path))


@pytest.mark.parametrize("position", [80, -1])
def test_a_damaged_copy_is_named_and_nothing_is_left_of_it(copied, flip_bit, tmp_path, position):
    copied()
    archive = tmp_path / "copy" / ARCHIVE
    flip_bit(archive, 8 * (position % archive.stat().st_size))
    with pytest.raises(StorageError, match=r"copy/run\.zip: damaged .* remove this file: --resume with"):
        fetch_run(str(tmp_path / "copy"), tmp_path / "fetched")
    archive.write_bytes(zip_bytes({"copy.json": b'{"run": "a"}', "settings.toml": b""}))
    with pytest.raises(StorageError, match="no copy of a run"):
        fetch_run(str(tmp_path / "copy"), tmp_path / "fetched")
    archive.write_bytes(zip_bytes({"../outside": b""}))
    with pytest.raises(StorageError, match="no copy of a run"):
        fetch_run(str(tmp_path / "copy"), tmp_path / "fetched")
    assert not [path for path in tmp_path.iterdir() if "fetch" in path.name or path.name == "outside"]


def test_a_run_with_a_copy_is_made_longer_and_so_is_the_copy(dataset, make_settings, tmp_path):
    copy, settings = str(tmp_path / "copy"), make_settings(max_steps=30, schedule="constant")
    run = train(settings, dataset, tmp_path / "run", copy_to=copy)
    longer = resume(run.path, dataset, flags={"max_steps": 40})
    fetch_run(copy, tmp_path / "fetched")
    assert resume(tmp_path / "fetched", dataset).results == longer.results
    assert longer.results["steps"] == 40


def test_the_copy_saves_a_run_whose_checkpoints_were_damaged(copied, go_back, flip_bit, dataset, tmp_path):
    """They are never put over the copy's."""
    run = copied()
    archive = tmp_path / "copy" / ARCHIVE
    before = archive.read_bytes()
    behind = go_back(run, tmp_path / "behind", 30)
    (behind / "notes.txt").write_text("mine")
    for path in behind.glob("checkpoints/step-*/variables.npz"):
        flip_bit(path, 8 * 100)
    with pytest.raises(RunError, match=r"has got further, to step 30; this directory is at step 0"):
        resume(behind, dataset)
    assert archive.read_bytes() == before
    fetch_run(str(tmp_path / "copy"), behind)
    assert resume(behind, dataset).results == run.results
    assert (behind / "notes.txt").read_text() == "mine"


def test_a_run_is_given_a_copy_or_another_one_when_it_is_resumed(make_run, command, tmp_path, npz_file):
    run = tmp_path / "run"
    shutil.copytree(make_run().path, run)
    for name in ("first", "second"):
        code, _, err = command(npz_file, "--resume", run, "--copy-to", tmp_path / name)
        assert code == 0, err
        fetch_run(str(tmp_path / name), tmp_path / f"of-{name}")
        assert visible(content(tmp_path / f"of-{name}")) == visible(content(run))
    assert place_of(str(tmp_path / "first")).read(ARCHIVE) != place_of(str(tmp_path / "second")).read(ARCHIVE)


def test_a_copy_that_was_moved_is_gone_on_with_where_it_is(copied, dataset, tmp_path):
    run = copied()
    (tmp_path / "copy").rename(tmp_path / "moved")
    fetch_run(str(tmp_path / "moved"), tmp_path / "fetched")
    assert resume(tmp_path / "fetched", dataset).results == run.results
    assert not (tmp_path / "copy").exists()


def test_a_copy_within_its_own_run_is_refused(dataset, make_settings, tmp_path):
    for place in (tmp_path / "run", tmp_path / "run" / "copies" / ".." / "a"):
        with pytest.raises(SettingsError, match="within the run's own directory"):
            train(make_settings(), dataset, tmp_path / "run", copy_to=str(place))
    assert not list(tmp_path.iterdir())


def test_a_bucket_that_is_not_there_leaves_no_run(s3, dataset, make_settings, tmp_path):
    with pytest.raises(StorageError, match=r"no-such-bucket/a/run\.zip: cannot be written: there is no such place"):
        train(make_settings(), dataset, tmp_path / "run", copy_to="s3://no-such-bucket/a")
    assert not list(tmp_path.iterdir())


def test_storage_that_denies_is_refused_before_there_is_a_run(s3, dataset, make_settings, tmp_path):
    s3.deny()
    with pytest.raises(DataError, match="access is denied"):
        train(make_settings(), dataset, tmp_path / "run", copy_to=f"{s3.bucket}/a")
    assert not (tmp_path / "run").exists()


def test_storage_that_fails_on_the_way_is_told_of_and_the_run_is_whole(
    s3, dataset, make_settings, monkeypatch, tmp_path
):
    """From the tenth step on nobody may do anything any more."""
    quick = Patience(attempts=2, pause_seconds=0.01, connect_seconds=2.0, read_seconds=2.0)
    monkeypatch.setattr(copying, "place_of", partial(ObjectStorage, patience=quick))
    update, said = RunCopy.update, io.StringIO()

    def deny(self):
        s3.deny()
        update(self)

    with monkeypatch.context() as patched:
        patched.setattr(RunCopy, "update", deny)
        with pytest.raises(
            StorageError, match=r"access is denied[^\n]*\nThe run itself is whole in .* train --resume "
        ):
            train(
                make_settings(),
                dataset,
                tmp_path / "run",
                copy_to=f"{s3.bucket}/a",
                console=Console(file=said, width=1000),
            )
    assert (
        "not up to date (the next checkpoint tries again): s3://bucket/a/run.zip: access is denied" in said.getvalue()
    )
    with pytest.raises(
        StorageError, match=r"access is denied[^\n]*\nThe run itself is whole in .*copy\.json no copy is"
    ):
        resume(tmp_path / "run", dataset)
    s3.ask("/moto-api/reset-auth", b"inf")
    run = resume(tmp_path / "run", dataset, console=Console(file=said, width=1000))
    assert said.getvalue().endswith("The run's copy is up to date: s3://bucket/a/run.zip\n")
    assert run.results["steps"] == 30
    fetch_run(f"{s3.bucket}/a", tmp_path / "fetched")
    assert content(tmp_path / "fetched") == visible(content(run.path))


def test_training_does_not_wait_for_a_slow_transfer(monkeypatch, copied, dataset, tmp_path):
    """While one is under way no other is begun, and the last one is made at the end."""
    end, written = threading.Event(), []
    put, leave = RunCopy._put, RunCopy.__exit__

    def slow(self, files):
        if threading.current_thread() is not threading.main_thread():
            assert end.wait(60)
        written.append(threading.current_thread() is threading.main_thread())
        put(self, files)

    monkeypatch.setattr(RunCopy, "_put", slow)
    monkeypatch.setattr(RunCopy, "__exit__", lambda *arguments: (end.set(), leave(*arguments))[1])
    copied()
    assert written == [True, True, False, True]  # of six checkpoints, that whose transfer took until the end
    fetch_run(str(tmp_path / "copy"), tmp_path / "fetched")
    assert content(tmp_path / "fetched") == visible(content(tmp_path / "run"))


def test_the_copy_of_a_run_that_was_stopped_can_fail_without_hiding_why(monkeypatch, copied, tmp_path):
    said = io.StringIO()

    def stop(self):
        shutil.rmtree(tmp_path / "copy")
        (tmp_path / "copy").touch()
        raise TrainingInterrupted("stopped", signal.SIGTERM)

    monkeypatch.setattr(RunCopy, "update", stop)
    with pytest.raises(TrainingInterrupted, match="stopped"):
        copied(console=Console(file=said, width=1000))
    assert "copy: the directory cannot be made: File exists." in said.getvalue()
    assert "The run itself is whole in" in said.getvalue()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--copy-to", "foo://bar"), "foo://bar: this kind of URL is not known"),
        (
            ("--copy-to", "copy", "--folds", "3"),
            "--copy-to copy: a copy of one run is kept. Leave it out, or --folds 3.",
        ),
        (
            ("--copy-to", "copy", "--seeds", "3"),
            "--copy-to copy: a copy of one run is kept. Leave it out, or --seeds 3.",
        ),
        (("--resume", "run", "--copy-to", "copy"), "run: there is no such directory."),
        (("--copy-to", "s3:/bucket/run"), "s3:/bucket/run: no URL, but it looks like one. Give s3://bucket/name"),
        (("--copy-to", "s3//bucket/run"), "s3//bucket/run: no URL, but it looks like one."),
        (("--copy-to", "s3://"), "s3://: names no place."),
        (("--copy-to", ""), "--copy-to: names no place. Is a variable empty?"),
        (("--resume", "run", "--run-dir", "other"), "--run-dir other: has no meaning beside --resume"),
        (("--resume", "s3://bucket/none"), "s3://bucket/none/run.zip: missing"),
        (("--resume", 300 * "a"), "RunError: "),
        (("--copy-to", 300 * "a"), "File name too long"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_is_refused(s3, monkeypatch, command, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    code, _, err = command(*arguments)
    assert code == 2
    assert message in err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
