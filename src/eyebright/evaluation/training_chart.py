"""The course of training as a picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from eyebright.errors import MissingExtraError, RunError
from eyebright.storage import write_file

_PANELS = {"loss": ("loss", "validation_loss"), "accuracy": ("train_accuracy", "validation_accuracy")}


def draw_training(runs: Sequence[Path], path: Path) -> None:
    """Draw loss and accuracy over the steps of some runs, from their metrics.csv, as a PNG.

    Args:
        runs: directories of runs.
        path: of the picture.

    Raises:
        RunError: a run has no metrics.csv with rows in it, or a damaged one.
        StorageError: the picture cannot be written.
    """
    try:
        from matplotlib.figure import Figure  # not pyplot: no window system, no global state
    except ImportError as error:
        raise MissingExtraError("Drawing", "train") from error

    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, len(_PANELS))
    for number, run in enumerate(runs):
        rows = metrics_rows(run)
        try:
            for panel, (title, columns) in zip(panels, _PANELS.items(), strict=True):
                _draw(panel, rows, columns, colour=f"C{number}", name=run.resolve().name)
                panel.set(title=title, xlabel="step")
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{run / 'metrics.csv'}: damaged: {error}.") from error
    panels[0].set_yscale("log")
    for panel in panels:
        panel.grid(alpha=0.3)
        panel.legend(fontsize="small")
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    write_file(path, picture.getvalue())


def metrics_rows(run: Path) -> list[dict[str, str]]:
    """The rows of a run's metrics.csv, by column.

    Raises:
        RunError: it cannot be read, is damaged, or has none.
    """
    path = run / "metrics.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}. Name the directory of a run.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise RunError(f"{path}: damaged: {error}.") from error
    if not rows:
        raise RunError(f"{path}: has no rows yet.")
    return rows


def _draw(panel: Any, rows: list[dict[str, str]], columns: tuple[str, str], colour: str, name: str) -> None:
    for column, style, label in zip(columns, ("-", "--"), ("training batch", "validation"), strict=True):
        points = [(int(row["step"]), float(row[column])) for row in rows if row[column]]
        if points:
            panel.plot(*zip(*points, strict=True), style, color=colour, linewidth=1.2, label=f"{label} ({name})")
