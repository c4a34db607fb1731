"""A disk that becomes full in the midst of a run: an error of two lines, and nothing lost that was saved."""

import contextlib
import math
import os
import resource
import subprocess
import sys

import pytest

from eyebright.errors import StorageError
from eyebright.training.checkpoint import Checkpoints
from eyebright.training.trainer import resume, train


@pytest.fixture
def disk(tmp_path):
    """A disk of its own, whose size can be changed while it is in use."""

    def mount(*options):
        return subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", tmp_path], capture_output=True, check=False)

    if sys.platform != "linux" or os.geteuid() != 0 or mount("-o", "size=64k").returncode:
        pytest.skip("a small disk can be mounted by root only")

    def resize(size):
        assert mount("-o", f"remount,size={size}").returncode == 0

    yield tmp_path, resize
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


@contextlib.contextmanager
def files_of_at_most(size):
    """Let no file of this process grow beyond a size, in bytes: what is written past it fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def settings(make_settings):
    return make_settings(hidden_units=100, optimizer="adam", keep_checkpoints=100, checkpoint_steps=5, log_steps=1)


@pytest.fixture(scope="module")
def undisturbed(dataset, settings, tmp_path_factory):
    return train(settings, dataset, tmp_path_factory.mktemp("undisturbed") / "run")


# Shares of what the whole run takes, so that it is the event file, a checkpoint, and the saved classifier that do
# not fit.
@pytest.mark.parametrize("share", [0.08, 0.15, 0.4, 0.78, 0.94])
def test_a_full_disk_is_an_error_that_leaves_what_was_saved_and_the_run_can_go_on(
    share, disk, dataset, settings, undisturbed
):
    path, resize = disk
    pages = sum(math.ceil(entry.stat().st_size / 4096) for entry in undisturbed.path.rglob("*"))
    resize(f"{round(share * pages) * 4}k")
    with pytest.raises(StorageError, match="No space left on device") as error:
        train(settings, dataset, path / "run")
    assert str(path / "run") in str(error.value)
    checkpoints = Checkpoints(path / "run" / "checkpoints", keep=100)
    for step in checkpoints.steps():
        checkpoints._read(f"step-{step}")
    with pytest.raises(StorageError, match="No space left on device"):
        resume(path / "run", dataset)
    resize("20m")
    run = resume(path / "run", dataset)
    assert run.results["weights_sha256"] == undisturbed.results["weights_sha256"]


@pytest.mark.parametrize("size", [15_000, 50_000, 100_000, 140_000])  # the record of images has 12 kB
def test_a_file_that_cannot_grow_is_an_error_and_the_run_can_go_on(size, dataset, settings, undisturbed, tmp_path):
    with files_of_at_most(size), pytest.raises(StorageError, match="File too large"):
        train(settings, dataset, tmp_path / "run")
    run = resume(tmp_path / "run", dataset)
    assert run.results["weights_sha256"] == undisturbed.results["weights_sha256"]


def test_the_command_says_so_in_short_and_exits_with_2(npz_file, tmp_path):
    limited = "import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000)); "
    command = [sys.executable, "-c", limited + "runpy.run_module('eyebright', run_name='__main__')"]
    arguments = ["train", str(npz_file), "--run-dir", str(tmp_path / "run"), "--max-steps", "20", "--quiet"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("StorageError: ")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2
