"""The page of several runs that belong together: trainings of several seeds, or the folds of a cross-validation."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from eyebright.errors import RunError
from eyebright.html_page import render_page
from eyebright.report import about_run
from eyebright.report.page import PACKAGE, WrittenReport
from eyebright.run_directory import RunDirectory
from eyebright.storage import write_file
from eyebright.suggestions import command


def write_series_report(series: RunDirectory, path: Path) -> WrittenReport:
    """Write what results.json says of several runs as a page; each of them has a report of its own.

    Args:
        series: a directory of several seeds or of a cross-validation.
        path: of the page. What was under that name is replaced.

    Raises:
        RunError: not all of its runs are finished.
        StorageError: the page cannot be written.
    """
    if series.results is None:
        go_on = command("train", "--resume", series.path)
        raise RunError(f"{series.path}: not all of its runs are finished. Go on with it: {go_on}")
    kind, name = ("fold" if series.data.folds else "seed"), series.path.resolve().name
    runs: list[dict[str, Any]] = [
        {**one, "command": f"eyebright report {shlex.quote(f'{name}/{kind}-{one[kind]}')}"}
        for one in series.results[f"{kind}s"]
    ]
    page = render_page(
        PACKAGE,
        "series.html",
        name=name,
        kind=kind,
        runs=runs,
        results=series.results,
        looks=about_run.looks_of_all(series),
        data=about_run.data_of(series),
        settings=about_run.settings_of(series),
        model=series.settings.model,
    )
    write_file(path, page)
    return WrittenReport(path, len(page), 0)
