"""Records of a training: metrics.csv, TensorBoard, and what the person sees."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console

from eyebright.backend import keras
from eyebright.errors import StorageError
from eyebright.settings import Settings
from eyebright.storage import write_file
from eyebright.training.engine import Engine, StepRecords
from eyebright.training.plan import Steps
from eyebright.training.progress import TrainingProgress
from eyebright.training.tensorboard import EXAMPLES, TensorBoardLog

_TRAINING = ("loss", "train_accuracy", "learning_rate", "images_per_second")
_VALIDATION = ("validation_loss", "validation_accuracy")
COLUMNS = ("step", *_TRAINING, *_VALIDATION)


class Monitor:
    """Takes what happens in a training and writes it down in three places.

    A row of training figures has the number of the step whose batch they are of, before that step changed the
    weights; a row of validation figures has the number of steps done.

    Args:
        directory: the run's.
        settings: the run's.
        total_steps: length of the run.
        done: steps done before; later records of an earlier process are dropped.
        console: for the person; None for none.
        title: of the progress bar, see `TrainingProgress`.

    Raises:
        StorageError: here and in every method, a file cannot be written.
    """

    def __init__(
        self,
        directory: Path,
        settings: Settings,
        total_steps: int,
        done: int,
        console: Console | None,
        title: str | None = None,
    ) -> None:
        self._settings = settings
        self._tensorboard = TensorBoardLog(directory, done)
        self._progress = TrainingProgress(console, total_steps, done, title)
        self._path = directory / "metrics.csv"
        for row in _keep_rows_before(self._path, done):
            if int(row["step"]) == done:  # a validation, which TensorBoard has just been told to forget
                self._tensorboard.scalars(done, {name: float(row[name]) for name in _VALIDATION})

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.__exit__(kind, error, traceback)
        self._tensorboard.close()

    def describe_run(self, engine: Engine, first: Steps) -> None:
        """Write down what is known before the first step: graph, some images as they are learnt from, settings.

        Args:
            engine: of the run.
            first: the run's first step.
        """
        self._tensorboard.describe_run(engine.graph(), engine.example_images(first)[:EXAMPLES], self._settings)

    def record_steps(self, steps: Steps, records: StepRecords, seconds: float) -> None:
        """Show some steps; write down the last of them where it is one of the `log_steps`."""
        step, loss, accuracy = int(steps.numbers[-1]), float(records.losses[-1]), float(records.accuracies[-1])
        images_per_second = len(steps) * self._settings.batch_size / seconds
        self._progress.advance(step + 1, loss, accuracy, images_per_second)
        if step % self._settings.log_steps:
            return
        self._progress.logged(step, accuracy)
        self._write(
            step,
            {
                "loss": loss,
                "train_accuracy": accuracy,
                "learning_rate": float(steps.learning_rates[-1]),
                "images_per_second": images_per_second,
            },
        )
        self._tensorboard.logits(step, records.logits)

    def record_validation(self, steps_done: int, loss: float, accuracy: float) -> None:
        """Show and write down a validation."""
        self._progress.validated(steps_done, accuracy)
        self._write(steps_done, {"validation_loss": loss, "validation_accuracy": accuracy})

    def record_weights(self, steps_done: int, model: keras.Model) -> None:
        """Write down the distribution of the weights."""
        self._tensorboard.weights(steps_done, model)

    def record_results(self, steps_done: int, results: dict[str, Any]) -> None:
        """Write down the figure that TensorBoard's table of hyperparameters compares runs by."""
        self._tensorboard.scalars(steps_done, {"test_accuracy": results["test_accuracy"]})

    def _write(self, step: int, scalars: dict[str, float]) -> None:
        try:
            with self._path.open("a", newline="", encoding="utf-8") as file:
                csv.DictWriter(file, COLUMNS).writerow({"step": step, **scalars})
        except OSError as error:
            raise StorageError(
                f"{self._path}: cannot be written: {error.strerror}. The checkpoints are untouched."
            ) from error
        self._tensorboard.scalars(step, scalars)


def _keep_rows_before(path: Path, done: int) -> list[dict[str, str]]:
    """Begin metrics.csv, or keep of it what lies before the step from which the run goes on. Returns what is kept."""
    rows: list[dict[str, str]] = []
    if path.exists():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        rows = [row for row in map(_parse, lines) if row and _is_before(row, done)]
    content = io.StringIO(newline="")
    writer = csv.DictWriter(content, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    write_file(path, content.getvalue().encode())
    return rows


def _parse(line: str) -> dict[str, str] | None:
    """A row, or None for what is none: the header, a row that was cut short by a kill, or a damaged one."""
    row = dict(zip(COLUMNS, line.rstrip("\r\n").split(","), strict=False))
    filled = tuple(name for name, value in row.items() if value)
    whole = line.endswith("\n") and line.count(",") == len(COLUMNS) - 1
    if not whole or filled not in {("step", *_TRAINING), ("step", *_VALIDATION)}:
        return None
    try:
        int(row["step"])
        for name in filled:
            float(row[name])
    except ValueError:
        return None
    return row


def _is_before(row: dict[str, str], done: int) -> bool:
    step = int(row["step"])
    return step <= done if row["validation_accuracy"] else step < done
