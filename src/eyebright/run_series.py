"""Several runs in one directory, one after the other: those of a cross-validation's folds, or of several seeds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from eyebright.backend import keras
from eyebright.data.dataset import Dataset
from eyebright.errors import RunError, TrainingInterrupted
from eyebright.run_directory import RunDirectory
from eyebright.settings import Settings
from eyebright.sources import as_text, flag
from eyebright.suggestions import command
from eyebright.training import trainer
from eyebright.training.extension import extended_settings
from eyebright.training.interrupts import Interrupts
from eyebright.training.origins import Origins
from eyebright.training.progress import say


@dataclass(frozen=True)
class Part:
    """One run of a series.

    Attributes:
        path: its directory.
        settings: what it does.
        dataset: what it learns from.
        name: what lines about it begin with, for example "Fold 2 of 5".
    """

    path: Path
    settings: Settings
    dataset: Dataset
    name: str


def train_parts(
    series: RunDirectory, parts: Sequence[Part], origins: Origins, console: Console | None
) -> list[trainer.Run]:
    """Train every run of a series that is not finished, with a line for each as it ends. Hold the series' lock.

    Args:
        series: the directory that all of them are in.
        parts: the runs, in their order.
        origins: what all of them begin with.
        console: where to show progress; None shows nothing.

    Raises:
        TrainingError: the loss of a run became infinite or not a number.
        TrainingInterrupted: Ctrl-C or SIGTERM; what was done is saved, and says how to go on with the series.
    """
    runs: list[trainer.Run] = []
    with Interrupts() as interrupts:
        for number, part in enumerate(parts, start=1):
            try:
                runs.append(_train_part(part, origins, console))
            except TrainingInterrupted as error:
                what = f"{part.name}: {str(error).partition(';')[0]}"
                raise _interrupted(series, what, error.exit_code - 128) from error
            results = runs[-1].results
            low, high = results["test_accuracy_ci95"]
            say(
                console,
                f"{part.name}: accuracy {results['test_accuracy']:.4f} (95% interval {low:.4f} to {high:.4f}) on "
                f"{results['test_images']:,} images",
            )
            if interrupts.received is not None and number < len(parts):
                raise _interrupted(series, f"{part.name}: Finished", interrupts.received)
    return runs


def check_flags(series: RunDirectory, flags: Mapping[str, Any], kind: str) -> None:
    """Refuse flags that are not what a series was begun with, its length included.

    Args:
        series: its directory.
        flags: settings by name as they were given; None means not given.
        kind: what it is called.

    Raises:
        RunError: a flag contradicts the series.
    """
    for key in ("epochs", "max_steps"):
        own, value = getattr(series.settings, key), flags.get(key)
        if value not in (None, own):
            raise RunError(
                f"{flag(key)} {value}: contradicts the {kind} {series.path}, which has {as_text(own)} and "
                "cannot be made longer. Leave the flag out."
            )
    extended_settings(series, flags, series.data.training_images)


def forget_results_of_missing(series: RunDirectory, parts: Sequence[Part]) -> None:
    """Remove a series' results where one of its runs was removed: they are no longer its results."""
    if not all((part.path / "results.json").is_file() for part in parts):
        (series.path / "results.json").unlink(missing_ok=True)


def _train_part(part: Part, origins: Origins, console: Console | None) -> trainer.Run:
    keras.utils.clear_session()  # of the run before: its graphs and pixels would stay in memory
    if os.path.lexists(part.path):
        return trainer.resume(part.path, part.dataset, console=console, title=part.name)
    return trainer.train(part.settings, part.dataset, part.path, console=console, title=part.name, origins=origins)


def _interrupted(series: RunDirectory, what: str, signal: int) -> TrainingInterrupted:
    go_on = command("train", "--resume", series.path)
    return TrainingInterrupted(f"{what}; everything is saved. Go on with: {go_on}", signal)
