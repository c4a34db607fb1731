"""`eyebright report`: all that is known of a run, as one page."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eyebright.cli.options import DataDir, JsonAside
from eyebright.cli.output import print_json

if TYPE_CHECKING:
    from eyebright.data.dataset import Dataset
    from eyebright.evaluation.robustness import Robustness
    from eyebright.run_directory import RunDirectory

_FILE = "report.html"  # in the run
_ENDINGS = (".html", ".htm")


def report(
    run: Annotated[
        Path, typer.Argument(help="Directory of a finished run, of several seeds, or of a cross-validation.")
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The page (HTML).", show_default=f"RUN/{_FILE}")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="Where the run's data lie now, for the pictures.", show_default="where they lay"
        ),
    ] = None,
    compare: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Another run to compare it with; may be given several times."),
    ] = None,
    robustness: Annotated[
        bool,
        typer.Option("--robustness", help="Measure accuracy on worse pictures, too; takes the classifier, and time."),
    ] = False,
    data_dir: DataDir = None,
    json: JsonAside = False,
) -> None:
    """Write a run's report as one HTML file.

    Figures with their intervals, curves, calibration, the confusion matrix with its pictures, the worst pictures, and
    how to have the run again, in one file that needs no network. All of it comes from what the run kept of its test,
    and is no look at the test images; --robustness takes validation images. Without the run's data there is a report,
    too, without pictures. Of several seeds, a cross-validation and a search it is a page of their figures.
    """
    from eyebright.report.page import write_report
    from eyebright.report.series_page import write_series_report
    from eyebright.run_directory import RunDirectory
    from eyebright.storage import check_writable

    directory = RunDirectory.open_any(run)
    path = _checked(output or run / _FILE)
    check_writable(path)
    missing = ""
    if directory.data.study:
        _refuse(directory, {"--data": data, "--compare": compare, "--robustness": robustness})
        from eyebright.report.search_page import write_search_report  # it needs Optuna, which other pages do not

        written = write_search_report(directory, path)
    elif directory.data.folds or directory.data.seeds:
        _refuse(directory, {"--data": data, "--compare": compare, "--robustness": robustness})
        written = write_series_report(directory, path)
    else:
        _check_finished(directory)
        _check_others(run, compare or [])
        dataset, missing = _data(directory, data, data_dir, needed=robustness)
        measured = _measured(directory, dataset) if robustness and dataset is not None else None
        written = write_report(
            directory, path, dataset, no_pictures=missing, others=compare or [], robustness=measured, progress=True
        )
    if json:
        found = {"report": str(path), "bytes": written.bytes, "pictures": written.pictures}
        print_json({**found, "without_pictures": missing or None})
    else:
        print(path)


def _checked(path: Path) -> Path:
    from eyebright.errors import SettingsError

    if path.suffix.lower() not in _ENDINGS:
        raise SettingsError(f"--output {path}: the report is a page; give a name that ends in .html.")
    return path


def _refuse(series: RunDirectory, options: Mapping[str, object]) -> None:
    """Refuse what the page of several runs does not have."""
    from eyebright.errors import RunError
    from eyebright.run_paths import member_paths

    names = [str(path) for paths in member_paths(series.path).values() for path in paths]
    for option, given in options.items():
        if given:
            raise RunError(f"{option}: is for the report of one run. {series.path} has several: {', '.join(names)}.")


def _check_finished(run: RunDirectory) -> None:
    """Refuse a run without a test, before its data are read."""
    from eyebright.kept_predictions import Answers

    Answers.of(run)


def _check_others(run: Path, others: list[Path]) -> None:
    from eyebright.errors import RunError

    whole = [os.path.realpath(path) for path in (run, *others)]  # unlike Path.resolve, it never raises
    for place, other in enumerate(others, start=1):
        if whole[place] in whole[:place]:
            raise RunError(f"--compare {other}: named twice. Name different runs.")


def _data(run: RunDirectory, data: str | None, data_dir: Path | None, *, needed: bool) -> tuple[Dataset | None, str]:
    """The run's data, or why there are none: who did not say where they are may do without them."""
    from eyebright.cli.run_data import load_run_data
    from eyebright.errors import EyebrightError

    try:
        dataset = load_run_data(run, data, data_dir, progress=True)
        run.check_same_data(dataset)
    except EyebrightError as error:
        if needed or data is not None:
            raise
        print(f"Without pictures: {error}", file=sys.stderr)
        return None, str(error)
    return dataset, ""


def _measured(run: RunDirectory, dataset: Dataset) -> Robustness:
    from eyebright.cli.run_images import saved_classifier
    from eyebright.data.split import split_dataset
    from eyebright.errors import RunError

    validation = split_dataset(dataset, **run.settings.split).validation
    if not len(validation):
        raise RunError(f"--robustness: the run {run.path} kept no validation images. Leave it out.")
    classifier = saved_classifier(run)

    from eyebright.evaluation.robustness import robustness as measure

    return measure(classifier, dataset, validation, progress=True)
