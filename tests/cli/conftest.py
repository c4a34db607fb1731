"""The command line as a process, and one small finished run that all tests look at."""

import io
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eyebright import Dataset, load_dataset, preset_settings, train
from eyebright.training.trainer import Run

from ..conftest import Answer

PROGRAM = [sys.executable, "-m", "eyebright"]


@pytest.fixture(scope="session")
def process() -> Callable[..., Answer]:
    """Run `eyebright` with these arguments as a process of its own."""

    def run(*arguments: object, **options: Any) -> Answer:
        command = [*PROGRAM, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False, **options)
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `eyebright` with these arguments as a process; what is still at work at the end of the test is ended."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **options: Any) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
        started.append(subprocess.Popen([*PROGRAM, *map(str, arguments)], **{**pipes, **options}))
        return started[-1]

    yield start
    for program in started:
        with program:
            program.kill()


@pytest.fixture(scope="session")
def digits() -> Dataset:
    return load_dataset("digits")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Run:
    """A run of 26 steps on the digits with checkpoints at 10, 20 and 26. Tests read it; they change a copy."""
    settings = preset_settings("default", model="softmax", epochs=2, batch_size=100, checkpoint_steps=10)
    return train(settings, digits, tmp_path_factory.mktemp("cli") / "run")


@pytest.fixture
def run_copy(finished: Run, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.path, tmp_path / "run"))


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Path:
    """A folder with test images as they are (0.png …), and files that are no pictures."""
    folder = tmp_path_factory.mktemp("pictures")
    for index in range(4):
        Image.fromarray(digits.images[index, :, :, 0]).save(folder / f"{index}.png")
    (folder / "words.png").write_text("no picture")
    whole = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(whole, "JPEG")
    (folder / "truncated.jpg").write_bytes(whole.getvalue()[:2000])
    return folder


@pytest.fixture(scope="session")
def bands(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Makes a small data set of so many images as a file: bright bands in three places."""

    def make(count: int) -> Path:
        labels = np.arange(count) % 3
        images = np.random.default_rng(0).integers(0, 156, (count, 6, 6, 1), np.uint8)
        for label in range(3):
            images[labels == label, 2 * label : 2 * label + 2] += 100
        path = tmp_path_factory.mktemp("data") / "bands.npz"
        np.savez(path, images=images, labels=labels, class_names=["high", "middle", "low"])
        return path

    return make
