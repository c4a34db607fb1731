"""A small data set, short runs on it, and the program as a process of its own."""

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eyebright.backend import available_threads, keras, set_threads
from eyebright.data.dataset import Dataset
from eyebright.data.split import split_dataset
from eyebright.models import measure
from eyebright.settings import UNUSED_BY_MODEL, Settings
from eyebright.training.engine import Engine, StepRecords
from eyebright.training.plan import Plan
from eyebright.training.preparation import build, build_engine
from eyebright.training.trainer import Run, train

_DEFAULTS = {
    "epochs": 3, "batch_size": 10, "hidden_units": 8, "precision": "float32", "checkpoint_steps": 5, "log_steps": 5,
}  # fmt: skip
# What a step depends on beside its batch, and an average of the weights.
_RANDOM = {
    "augment": "strong", "dropout": 0.3, "accumulate": 2, "class_weights": "balanced", "label_smoothing": 0.1,
    "learning_rate": 0.01, "optimizer": "momentum", "averaging_steps": 3, "averaging_decay": 0.9,
}  # fmt: skip
# Kinds of runs: the plainest; everything that has a state of its own at once; one that validation chooses from; and one
# for each average of the weights, each with random changes of the images that need the partners of a whole batch.
_KINDS = {
    "plain": {},
    "stateful": {
        "dropout": 0.3, "batch_norm": True, "optimizer": "adamw", "weight_decay": 0.05, "schedule": "one-cycle",
        "clip_norm": 1.0, "learning_rate": 0.01, "l2": 0.01, "label_smoothing": 0.1, "preprocessing": "per-channel",
    },
    "choosing": {
        "patience": 3, "restore_best": True, "epochs": 30, "optimizer": "momentum", "learning_rate": 0.03,
        "preprocessing": "per-channel",
    },
    "ema": {**_RANDOM, "averaging": "ema", "batch_norm": True},
    "swa": {**_RANDOM, "averaging": "swa", "averaging_start": 0.4, "preprocessing": "whitening"},
    "look-ahead": {
        **_RANDOM, "averaging": "look-ahead", "model": "cnn", "channels": (4, 6), "optimizer": "muon",
        "schedule": "triangular", "precision": "bfloat16",
    },
}  # fmt: skip
_SECONDS = 60.0  # within which a process must have done what a test waits for


@pytest.fixture(scope="session", autouse=True)
def _same_bits_each_time() -> None:
    """What a run does first; so that a test of one part alone computes as a run does."""
    set_threads(available_threads())


def make_dataset(seed: int) -> Dataset:
    """150 grey pictures of 8 × 8 in three classes that brightness tells apart, with noise; 100 to learn from."""
    labels = np.arange(150, dtype=np.int32) % 3
    noise = np.random.default_rng(seed).integers(0, 100, (150, 8, 8, 1))
    images = (noise + 60 * labels[:, None, None, None]).astype(np.uint8)
    splits = {"train": np.arange(100), "validation": np.arange(100, 120), "test": np.arange(120, 150)}
    return Dataset(images, labels, ("dark", "grey", "bright"), "shades", splits)


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    return make_dataset(0)


@pytest.fixture(scope="session")
def other_dataset() -> Dataset:
    """The same in everything but the pixels."""
    return make_dataset(1)


@pytest.fixture(scope="session")
def make_settings() -> Callable[..., Settings]:
    """Settings of a run of 30 steps, three epochs, unless other settings are given."""

    def make(**given: Any) -> Settings:
        unused = UNUSED_BY_MODEL[given.get("model", "fc")] | ({"epochs"} if "max_steps" in given else set())
        return Settings(**{**{key: value for key, value in _DEFAULTS.items() if key not in unused}, **given})

    return make


@pytest.fixture(scope="session")
def make_run(
    dataset: Dataset, make_settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Run]:
    """A finished run of a kind, with further settings; asked for again it is the same run, so leave it as it is."""
    made: dict[Settings, Run] = {}

    def make(kind: str = "plain", **given: Any) -> Run:
        settings = make_settings(**{**_KINDS[kind], **given})
        if settings not in made:
            made[settings] = train(settings, dataset, tmp_path_factory.mktemp("made") / "run")
        return made[settings]

    return make


@pytest.fixture(scope="session")
def go_back() -> Callable[[Run, Path, int], Path]:
    """Copy a run as a process leaves it that was killed after it had trained past a checkpoint."""

    def copy(run: Run, directory: Path, step: int) -> Path:
        shutil.copytree(run.path, directory)
        shutil.rmtree(directory / "model")
        for name in ("results.json", "test_predictions.npz", "validation_predictions.npz", "looks.json"):
            (directory / name).unlink()
        for path in (directory / "checkpoints").iterdir():
            if int(path.name.removeprefix("step-")) > step:
                shutil.rmtree(path)
        return directory

    return copy


@pytest.fixture(scope="session")
def read_figures() -> Callable[[Path], list[dict[str, str]]]:
    """The rows of a run's metrics.csv but for the speed."""

    def read(run: Path) -> list[dict[str, str]]:
        with (run / "metrics.csv").open(newline="") as file:
            return [{k: v for k, v in row.items() if k != "images_per_second"} for row in csv.DictReader(file)]

    return read


@dataclass(frozen=True)
class Training:
    """A model and all that trains it, without a run around them."""

    settings: Settings
    model: keras.Model
    plan: Plan
    engine: Engine

    def train(self, first: int, last: int, rate: float | None = None) -> StepRecords:
        """Train the steps from `first` to before `last` in one call, at another rate than the schedule's if given."""
        steps = self.plan.steps(np.arange(first, last))
        if rate is not None:
            steps = replace(steps, learning_rates=np.full(len(steps), rate, np.float32))
        return self.engine.train(steps)


@pytest.fixture(scope="session")
def make_training(dataset: Dataset, make_settings: Callable[..., Settings]) -> Callable[..., Training]:
    """A training with these settings, on the small data set or another, with a teacher or without."""

    def make(on: Dataset = dataset, teacher: Any = None, **given: Any) -> Training:
        settings, training = make_settings(**given), split_dataset(on, **make_settings().split).train
        model = build(settings, on)
        measure(model, on.images, training)
        return Training(settings, model, *build_engine(model, settings, on, training, teacher))

    return make


@pytest.fixture(scope="session")
def weights_of() -> Callable[[keras.Model], dict[str, np.ndarray]]:
    """A model's trainable weights by name."""
    return lambda model: {variable.path: variable.numpy() for variable in model.trainable_variables}


@pytest.fixture(scope="session")
def npz_file(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data set as a file, for a process of its own."""
    path = tmp_path_factory.mktemp("data") / "shades.npz"
    np.savez(path, images=dataset.images, labels=dataset.labels, class_names=dataset.class_names, **dataset.splits)
    return path


class Program:
    """`eyebright` in a process of its own that is still at work."""

    def __init__(self, arguments: tuple[object, ...]) -> None:
        command = [sys.executable, "-m", "eyebright", *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def wait_until(self, happened: Callable[[], bool], every: float = 0.01) -> None:
        """Return as soon as `happened`; fail where the process ends before, or takes too long."""
        deadline = time.monotonic() + _SECONDS
        while not happened():
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.process.communicate()}"
            assert time.monotonic() < deadline, "took too long"
            time.sleep(every)

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        """Send a signal; the exit code and what the process printed on its two outputs."""
        self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=_SECONDS)
        return self.process.returncode, output, errors


@pytest.fixture
def start_program() -> Any:
    """Start `eyebright` with these arguments; whatever is still at work at the end of the test is ended."""
    started: list[Program] = []

    def start(*arguments: object) -> Program:
        started.append(Program(arguments))
        return started[-1]

    yield start
    for program in started:
        if program.process.poll() is None:
            program.process.kill()
            program.process.communicate()


@pytest.fixture(scope="session")
def newest_checkpoint() -> Callable[[Path], int]:
    """The step of a run's newest checkpoint, 0 where there is none."""

    def newest(run: Path) -> int:
        names = os.listdir(run / "checkpoints") if (run / "checkpoints").is_dir() else []  # noqa: PTH208
        return max((int(name[5:]) for name in names if re.fullmatch(r"step-\d+", name)), default=0)

    return newest


@pytest.fixture(scope="session")
def flip_bit() -> Callable[[Path, int], None]:
    """Flip one bit of a file."""

    def flip(path: Path, position: int) -> None:
        content = bytearray(path.read_bytes())
        content[position // 8] ^= 1 << position % 8
        path.write_bytes(content)

    return flip
