"""The page of a search for settings."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from eyebright.errors import RunError
from eyebright.html_page import render_page
from eyebright.report import about_run
from eyebright.report.charts import Line, line_chart
from eyebright.report.page import PACKAGE, WrittenReport
from eyebright.run_directory import RunDirectory
from eyebright.sources import as_text
from eyebright.storage import write_file
from eyebright.suggestions import command
from eyebright.tuning.record import SECOND_FIGURE, WHOLE, Record, read_findings
from eyebright.tuning.study import Study, TrialRow

_FEW = 3  # points of which no chart says more than the table
_UNITS = {"train_seconds": "training, seconds", "parameters": "parameters"}


def write_search_report(search: RunDirectory, path: Path) -> WrittenReport:
    """Write what a search found as a page: its best trial and the test, the course, each setting, every trial.

    Args:
        search: its directory.
        path: of the page. What was under that name is replaced.

    Raises:
        RunError: it is not finished.
        StorageError: the page cannot be written.
        MissingExtraError: Optuna, matplotlib or Jinja is not installed.
    """
    results = read_findings(search)
    if results is None:
        raise RunError(
            f"{search.path}: this search is not finished. Go on with it: {command('tune', '--resume', search.path)}"
        )
    study = Study(search, Record.read(search))
    rows = study.rows()
    best = RunDirectory.open(search.path / results["run"]) if results["run"] else None
    page = render_page(
        PACKAGE,
        "search.html",
        name=search.path.resolve().name,
        results=results,
        record=study.record,
        space=[(name, str(one)) for name, one in study.space.searched.items()],
        tested=best.results if best else None,
        looks=about_run.looks_at(best) if best else [],
        front={one["trial"] for one in results["front"] or ()},
        course=_front_chart(rows, results, study.record) if results["front"] else _course_chart(rows),
        settings_charts=_charts_of_settings(rows, study),
        trials=[_shown(row, study) for row in rows],
        best=next(_shown(row, study) for row in rows if row.number == results["best"]["trial"]),
        names=list(study.space.searched),
        data=about_run.data_of(search),
        settings=about_run.settings_of(best or search),
        model=search.settings.model,
    )
    write_file(path, page)
    return WrittenReport(path, len(page), 0)


def _course_chart(rows: Sequence[TrialRow]) -> Any:
    """Validation accuracy over the trials that went all the way, and the best so far; None of few."""
    points = [(row.number, row.last["validation_accuracy"]) for row in rows if row.state == "finished"]
    if len(points) < _FEW:
        return None
    numbers, accuracies = zip(*points, strict=True)
    so_far = list(accumulate(accuracies, max))
    description = (
        f"Validation accuracy of {len(points)} trials that were trained to the end, in their order: the first "
        f"{accuracies[0]:.4f}, the best {so_far[-1]:.4f}. The table below has the figures."
    )
    lines = [Line("a trial", numbers, accuracies, points=True, joined=False), Line("best so far", numbers, so_far)]
    return line_chart("course", description, lines, labels=("trial", "validation accuracy"))


def _front_chart(rows: Sequence[TrialRow], results: dict[str, Any], record: Record) -> Any:
    """Accuracy over the second figure, of all trials and of those that no other one beats; None of few."""
    second = SECOND_FIGURE[record.objective]
    finished = [row.last for row in rows if row.state == "finished"]
    if len(finished) < _FEW:
        return None
    front = sorted((one[second], one["validation_accuracy"]) for one in results["front"])
    costs, accuracies = zip(*front, strict=True)
    description = (
        f"Validation accuracy over {_UNITS[second]} of {len(finished)} trials; {len(front)} of them are not beaten in "
        "both by any other. The table below has the figures."
    )
    lines = [
        Line(
            "a trial",
            [one[second] for one in finished],
            [one["validation_accuracy"] for one in finished],
            points=True,
            joined=False,
        ),
        Line("not beaten in both", costs, accuracies, points=True),
    ]
    return line_chart("front", description, lines, labels=(_UNITS[second], "validation accuracy"))


def _charts_of_settings(rows: Sequence[TrialRow], study: Study) -> list[dict[str, Any]]:
    """Of each setting that is a number a chart: accuracy after the first part of a trial, which all have, over it."""
    first = study.record.parts[0]
    charts = []
    for name, one in study.space.searched.items():
        points = sorted(
            (row.values[name], row.parts[first]["validation_accuracy"])
            for row in rows
            if first in row.parts and name in row.values
        )
        if one.choices is not None or len(points) < _FEW:
            continue
        x, y = zip(*points, strict=True)
        top = max(points, key=lambda point: point[1])
        description = f"Accuracy over {name} of {len(points)} trials: the best, {top[1]:.4f}, at {top[0]:.4g}."
        line = Line("", x, y, points=True, joined=False)
        labels = (name, "accuracy")
        chart = line_chart(f"setting-{name}", description, [line], labels=labels, size=(3.2, 2.2), log_x=one.log)
        charts.append({"name": name, "chart": chart})
    return charts


def _shown(row: TrialRow, study: Study) -> dict[str, Any]:
    """A trial as a row of the table."""
    values = study.shown_values(row)
    return {
        "number": row.number,
        "state": row.state if row.state != "pruned" else f"ended after {max(row.parts, default=0)}/{WHOLE}",
        "failure": row.failure,
        "accuracy": row.last.get("validation_accuracy"),
        "seconds": sum(part["seconds"] for part in row.parts.values()),
        "train_seconds": row.last.get("train_seconds"),
        "parameters": row.last.get("parameters"),
        "values": [
            f"{one:.4g}" if isinstance(one, float) else "–" if one is None else as_text(one) for one in values.values()
        ],
    }
