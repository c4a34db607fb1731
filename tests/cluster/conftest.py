"""A real Ray cluster on loopback, and a small classifier that it answers with."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from eyebright import Classifier, Dataset, load_dataset, preset_settings, train
from eyebright.packaging.package import package
from eyebright.run_directory import RunDirectory

PROGRAM = (sys.executable, "-m", "eyebright")
_SECONDS = 120.0  # within which a cluster must have started, and a command have ended: the machine may be busy


class Answer(NamedTuple):
    """What a command did."""

    code: int
    out: str
    err: str


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture(scope="session")
def environment() -> Iterator[dict[str, str]]:
    """What processes of these tests have: a place for Ray's files that no other cluster of this machine has."""
    directory = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: names of sockets are
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    # Ray gives its workers the lowest priority but a few: on a busy machine tests would wait for them for minutes.
    own = {"RAY_TMPDIR": directory, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": "", "RAY_worker_niceness": "0"}
    yield {**os.environ, **secret, **own}
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster(environment: dict[str, str]) -> Iterator[str]:
    """The address of a cluster of two processors, that runs on its own."""
    address = f"127.0.0.1:{free_port()}"
    ray = str(Path(sys.executable).with_name("ray"))
    command = [
        ray, "start", "--head", "--block", "--port", address.split(":")[1], "--num-cpus", "2",
        "--include-dashboard", "false", "--disable-usage-stats", "--temp-dir", environment["RAY_TMPDIR"],
    ]  # fmt: skip
    log = Path(environment["RAY_TMPDIR"]) / "start.log"
    with log.open("w") as output:
        head = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    end = time.monotonic() + _SECONDS
    while "Ray runtime started" not in log.read_text():
        assert head.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)
    yield address
    os.killpg(head.pid, signal.SIGKILL)  # asked to end, it would wait for half a minute
    head.wait()


@pytest.fixture(scope="session")
def eyebright(environment: dict[str, str]) -> Callable[..., Answer]:
    """Run `eyebright` with these arguments as a process of its own."""

    def run(*arguments: object, **options: Any) -> Answer:
        done = subprocess.run(
            [*PROGRAM, *map(str, arguments)], capture_output=True, encoding="utf-8", timeout=_SECONDS, check=False,
            **{"env": environment, **options},
        )  # fmt: skip
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="session")
def artefact(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Path:
    """A classifier of digits; no worker needs TensorFlow for it."""
    folder = tmp_path_factory.mktemp("cluster")
    run = train(preset_settings("default", model="softmax", epochs=2, batch_size=100), digits, folder / "run")
    package(RunDirectory.open(run.path), Classifier.load(run.path), folder / "digits.eyebright")
    return folder / "digits.eyebright"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Path:
    """A folder with 40 test images (00.png …) and one file, words.png, that is no picture."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(40):
        Image.fromarray(digits.images[index, :, :, 0]).save(folder / f"{index:02}.png")
    (folder / "words.png").write_text("no picture")
    return folder
