"""The course of training, and of accuracy under worse pictures, as charts of a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eyebright.errors import RunError
from eyebright.evaluation.training_chart import metrics_rows
from eyebright.report.charts import Line, line_chart

if TYPE_CHECKING:
    from eyebright.evaluation.robustness import Robustness  # it loads a backend, which a report without it does not

_PANELS = {"loss": ("loss", "validation_loss"), "accuracy": ("train_accuracy", "validation_accuracy")}
_MOST_ROWS = 20  # of the tables beside the charts
_MOST_POINTS = 1000  # of a line
_FEW_POINTS = 20  # are marked: of a single one there is no line


def training_curves(run: Path) -> list[dict[str, Any]]:
    """Loss and accuracy over the steps, each a chart and a table, for the template.

    Raises:
        RunError: the run's metrics.csv is missing or damaged.
    """
    rows = metrics_rows(run)
    try:
        return [_panel(title, rows, columns) for title, columns in _PANELS.items()]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run / 'metrics.csv'}: damaged: {error}.") from error


def _panel(title: str, rows: list[dict[str, str]], columns: tuple[str, str]) -> dict[str, Any]:
    lines, tables = [], []
    for column, name in zip(columns, ("training batch", "validation"), strict=True):
        points = [(int(row["step"]), float(row[column])) for row in rows if row[column]]
        if points:
            x, y = zip(*_some(points, _MOST_POINTS), strict=True)
            lines.append(Line(name, x, y, dashed=column == columns[0], points=len(points) <= _FEW_POINTS))
            tables.append({"name": name, "rows": _some(points, _MOST_ROWS), "of": len(points)})
    ends = "; ".join(f"{one.name} {one.y[0]:.4g} at step {one.x[0]}, {one.y[-1]:.4g} at {one.x[-1]}" for one in lines)
    description = f"{title.capitalize()} over the steps: {ends}. The table below has the figures."
    chart = line_chart(f"curve-{title}", description, lines, labels=("step", title), log_y=title == "loss")
    return {"title": title, "chart": chart, "tables": tables}


def robustness_panels(found: Robustness) -> list[dict[str, Any]]:
    """A chart a kind of change, for the template."""
    panels = []
    for number, (kind, row) in enumerate(found.corrupted.items()):
        shares = [found.clean, *row]
        low, high = zip(*(share.accuracy_ci95 for share in shares), strict=True)
        accuracies = [share.accuracy for share in shares]
        description = f"Accuracy under {kind}: {accuracies[0]:.3f} as the images are, {accuracies[-1]:.3f} at the most."
        line = Line("", range(len(shares)), accuracies, (low, high), points=True)
        labels = ("strength", "accuracy")
        chart = line_chart(f"robust-{number}", description, [line], labels=labels, size=(3.2, 2.2), limits=(0, 1))
        panels.append({"kind": kind, "chart": chart, "row": row})
    return panels


def _some(points: list[tuple[int, float]], most: int) -> list[tuple[int, float]]:
    """At most so many points, evenly chosen, the first and the last among them."""
    places = np.unique(np.linspace(0, len(points) - 1, most).round().astype(int))
    return [points[place] for place in places]
