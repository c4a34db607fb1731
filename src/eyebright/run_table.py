"""All runs of a directory as rows: what they are, how far they came, how good they are, and where settings differ."""

from __future__ import annotations

import math
import os
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eyebright.errors import EyebrightError, RunError, SettingsError, suggestion
from eyebright.paths import is_directory
from eyebright.run_directory import RunDirectory
from eyebright.run_paths import member_paths
from eyebright.settings import UNUSED_BY_MODEL, Settings
from eyebright.sources import as_text

COLUMNS = (
    "run", "state", "data", "model", "runs", "test_accuracy", "test_accuracy_ci95", "test_accuracy_std",
    "validation_accuracy", "steps", "train_seconds", "test_looks", "problem",
)  # fmt: skip
_FILES = {"settings.toml", "data.json", "results.json", "metrics.csv"}  # one of these, and it is a run or was one
_CHECKPOINT = re.compile(r"step-(\d+)")


@dataclass(frozen=True)
class Row:
    """A run, or the folds of a cross-validation, or the seeds of a training.

    Attributes:
        values: by the names in `COLUMNS`; None for what is not known. `state` is "finished", "unfinished" or
            "damaged", with `problem` in words.
        settings: by name, those that the model uses; a tuple or table as text.
    """

    values: dict[str, Any]
    settings: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str) -> Any:
        """A column's or a setting's value, or None."""
        return self.values.get(key, self.settings.get(key))


def read_rows(directory: Path) -> list[Row]:
    """The runs in a directory and all below it, by their paths; of a group's own directory, its runs.

    A run that cannot be read is a row that says why.

    Raises:
        RunError: there is no such directory.
    """
    if not is_directory(directory):
        raise RunError(f"{directory}: there is no such directory. Train something first, or name where the runs are.")
    members = member_paths(directory)
    if members:
        return [_row(path, directory) for path in next(iter(members.values()))]
    rows: list[Row] = []

    def unreadable(error: OSError) -> None:
        rows.append(_damaged(Path(error.filename), directory, f"cannot be read: {error.strerror}"))

    for name, folders, files in os.walk(directory, onerror=unreadable):
        if _FILES & {*files}:
            rows.append(_row(Path(name), directory))
            folders.clear()  # what lies in a run is its own
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
    return sorted(rows, key=lambda row: row.values["run"])


def differing_settings(rows: Sequence[Row]) -> list[str]:
    """The names of the settings that are not the same in all rows, in the order of `Settings`."""
    known = [row.settings for row in rows if row.settings]
    return [name for name in Settings.model_fields if len({repr(settings.get(name)) for settings in known}) > 1]


def filtered(rows: Sequence[Row], wanted: Mapping[str, str]) -> list[Row]:
    """The rows in which columns and settings have these values, as text.

    Raises:
        SettingsError: no such column or setting.
    """
    for key in wanted:
        _check_key(key, "--filter")
    return [row for row in rows if all(_matches(row.get(key), value) for key, value in wanted.items())]


def in_order(rows: Sequence[Row], key: str, *, reverse: bool) -> list[Row]:
    """The rows by a column or setting, ascending or descending; those that have none come last.

    Raises:
        SettingsError: no such column or setting.
    """
    _check_key(key, "--sort")
    known = [row for row in rows if row.get(key) is not None]
    numbers = all(isinstance(row.get(key), int | float) for row in known)
    known.sort(key=lambda row: row.get(key) if numbers else str(row.get(key)), reverse=reverse)
    return [*known, *(row for row in rows if row.get(key) is None)]


def _check_key(key: str, option: str) -> None:
    known = (*COLUMNS, *Settings.model_fields)
    if key not in known:
        raise SettingsError(f"{option} {key}: no such column or setting.{suggestion(key, known)}")


def _matches(value: Any, wanted: str) -> bool:
    if isinstance(value, float | int) and not isinstance(value, bool):
        try:
            return value == float(wanted)
        except ValueError:
            return False
    return as_text(value) == wanted


def _row(path: Path, directory: Path) -> Row:
    try:
        members = next(iter(member_paths(path).items()), None)
        run = RunDirectory.open_any(path)
        if run.data.study:
            return _of_search(run, directory)
        return _of_group(run, *members, directory) if members else _of_run(run, directory)
    except EyebrightError as error:
        problem = str(error).removeprefix(f"{path}: ").removeprefix(f"{path}{os.sep}")
        return _damaged(path, directory, problem.replace("\n", " "))


def _damaged(path: Path, directory: Path, problem: str) -> Row:
    return Row(dict.fromkeys(COLUMNS) | {"run": _name(path, directory), "state": "damaged", "problem": problem})


def _of_run(run: RunDirectory, directory: Path) -> Row:
    results = run.results
    values = _common(run, directory) | {
        "state": "unfinished" if results is None else "finished",
        "steps": _newest_step(run.path) if results is None else _figure(run, results, "steps"),
        "test_looks": run.test_looks,
    }
    if results is not None:
        for name in ("test_accuracy", "train_seconds"):
            values[name] = _figure(run, results, name)
        values["test_accuracy_ci95"] = _interval(results.get("test_accuracy_ci95"))
        if results.get("validation_accuracy") is not None:  # there are no validation images where it is
            values["validation_accuracy"] = _figure(run, results, "validation_accuracy")
    return Row(values, _settings(run))


def _of_group(run: RunDirectory, kind: str, paths: list[Path], directory: Path) -> Row:
    """One row of all folds or seeds, with the mean of those that are finished."""
    rows = [_of_run(RunDirectory.open(path), directory).values for path in paths]
    done = [row for row in rows if row["state"] == "finished"]
    results = run.results
    values = _common(run, directory) | {
        "state": "unfinished" if results is None else "finished",
        "runs": f"{len(done)} {kind}",
        "test_looks": max(row["test_looks"] for row in rows),
    }
    for name in ("test_accuracy", "validation_accuracy", "steps", "train_seconds"):
        known = [row[name] for row in done if row[name] is not None]
        if known:
            values[name] = statistics.fmean(known)
    if len(done) > 1:
        values["test_accuracy_std"] = statistics.stdev(row["test_accuracy"] for row in done)
    if results is not None:
        name = "accuracy_ci95" if kind == "folds" else "test_accuracy_mean_ci95"  # over images; over seeds
        values["test_accuracy_ci95"] = _interval(results.get(name))
    return Row(values, _settings(run))


def _of_search(run: RunDirectory, directory: Path) -> Row:
    """A search for settings: of its trials the best on validation images, and the test of the run of its settings."""
    results, values = run.results, _common(run, directory)
    if results is None:
        return Row({**values, "state": "unfinished"}, _settings(run))
    values |= {"state": "finished", "runs": f"{results['trials']['all']} trials"}
    values["validation_accuracy"] = _figure(run, results["best"], "validation_accuracy")
    if results["run"] is None:
        return Row(values, _settings(run))
    best = RunDirectory.open(run.path / results["run"])
    of_best = _of_run(best, directory).values
    names = ("test_accuracy", "test_accuracy_ci95", "steps", "train_seconds", "test_looks")
    return Row(values | {name: of_best[name] for name in names}, _settings(best))


def _common(run: RunDirectory, directory: Path) -> dict[str, Any]:
    return dict.fromkeys(COLUMNS) | {
        "run": _name(run.path, directory),
        "data": run.data.name,
        "model": run.settings.model,
    }


def _settings(run: RunDirectory) -> dict[str, Any]:
    """Those that the run's model uses."""
    values = dict.fromkeys(Settings.model_fields) | run.settings.to_dict()
    unused = UNUSED_BY_MODEL[run.settings.model]
    return {
        name: as_text(value) if isinstance(value, tuple | list) else str(value) if isinstance(value, dict) else value
        for name, value in values.items()
        if name not in unused
    }


def _figure(run: RunDirectory, results: Mapping[str, Any], name: str) -> float:
    value = results.get(name)
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise RunError(f"{run.path / 'results.json'}: damaged: it has no number {name}.")
    return value


def _interval(value: Any) -> list[float] | None:
    is_one = isinstance(value, list) and len(value) == 2 and all(isinstance(end, int | float) for end in value)
    return value if is_one else None


def _newest_step(path: Path) -> int:
    """The step of an unfinished run's newest checkpoint, 0 where there is none."""
    try:
        names = [entry.name for entry in (path / "checkpoints").iterdir()]
    except OSError:
        return 0
    return max((int(match[1]) for name in names if (match := _CHECKPOINT.fullmatch(name))), default=0)


def _name(path: Path, directory: Path) -> str:
    return str(path.relative_to(directory)) if path != directory else path.absolute().name
