"""What a search leaves: the best settings, a table of its trials, what mattered, and the run of the best settings."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w
from rich.console import Console

from eyebright.backend import versions
from eyebright.data.dataset import Dataset
from eyebright.errors import RunError, TrainingInterrupted
from eyebright.metrics.intervals import wilson_interval
from eyebright.paths import exists
from eyebright.run_directory import RunDirectory
from eyebright.run_paths import best_path
from eyebright.settings import Settings
from eyebright.storage import make_directory, write_file
from eyebright.suggestions import command
from eyebright.training import trainer
from eyebright.training.origins import kept_origins
from eyebright.training.progress import say
from eyebright.tuning.importance import importances
from eyebright.tuning.record import SECOND_FIGURE, WHOLE
from eyebright.tuning.space import trial_settings
from eyebright.tuning.study import Study, TrialRow, best_of

_TITLE = "Best settings"  # of the bar of their run
_FIGURES = ("validation_accuracy", "train_seconds", "parameters")


def write_findings(study: Study) -> dict[str, Any]:
    """Write best.toml, trials.csv and front/.

    Args:
        study: whose trials are over.

    Returns:
        What results.json holds, but for the run of the best settings.

    Raises:
        RunError: no trial was finished.
        StorageError: a file cannot be written.
    """
    rows, record = study.rows(), study.record
    best = best_of(rows)
    if best is None:
        raise RunError(_why_none(study, rows))
    path, images = study.run.path, study.run.data.validation_images
    front = _front(rows, SECOND_FIGURE[record.objective]) if record.objective in SECOND_FIGURE else None
    write_file(path / "best.toml", _toml(study, best))
    if front is not None:
        make_directory(path / "front")
        for old in (path / "front").glob("trial-*.toml"):  # of a search that has become longer
            old.unlink()
        for row in front:
            write_file(path / "front" / f"trial-{row.number}.toml", _toml(study, row))
    write_file(path / "trials.csv", _table(study, rows, front))
    counts = {
        state: sum(row.state == state for row in rows) for state in ("finished", "pruned", "failed", "unfinished")
    }
    return {
        "objective": record.objective,
        "trials": {"all": len(rows), **counts},
        "best": _summary(best, images),
        "first": _summary(rows[0], images),
        "front": None if front is None else [_summary(row, images) for row in front],
        "importances": importances(rows, study.space),
        "validation_images": images,
        "seconds": study.seconds,
        "sampler": record.sampler,
        "seed": study.run.settings.seed,
        "data_fingerprint": study.run.data.fingerprint,
        "versions": versions(),
    }


def tested_run(study: Path, number: int) -> trainer.Run | None:
    """The run of a trial's settings in a search's directory, if it is finished."""
    path = best_path(study, number)
    results = RunDirectory.open(path).results if exists(path) else None
    return None if results is None else trainer.Run(path, results)


def train_best(study: Study, dataset: Dataset, number: int, console: Console | None) -> trainer.Run:
    """Train once more with the settings of a trial, with more of the images, and test what comes of it.

    It is the only run of a search that meets the test images. Where it was broken off, it is gone on with.
    """
    path = best_path(study.run.path, number)
    if tested_run(study.run.path, number) is None:
        say(console, f"Training once more with the settings of trial {number}, to be tested: {path}")
    try:
        if exists(path):
            return trainer.resume(path, dataset, console=console, title=_TITLE)
        origins = kept_origins(study.run, dataset, console)
        return trainer.train(
            _refit_settings(study, number), dataset, path, console=console, title=_TITLE, origins=origins
        )
    except TrainingInterrupted as error:
        what, go_on = str(error).partition(";")[0], command("tune", "--resume", study.run.path)
        raise TrainingInterrupted(
            f"{_TITLE}: {what}; everything is saved. Go on with: {go_on}", error.exit_code - 128
        ) from error


def with_test(results: Mapping[str, Any], run: trainer.Run) -> dict[str, Any]:
    """A search's results with the name of the run of its best settings, and the optimism.

    That is how much better the winner was on the validation images, by which it was chosen among others, than the run
    is on the test images, by one view of each as validation has it.
    """
    one_view = run.results.get("test_accuracy_one_view", run.results["test_accuracy"])
    optimism = results["best"]["validation_accuracy"] - one_view
    return {**results, "run": run.path.name, "optimism": optimism}


def _refit_settings(study: Study, number: int) -> Settings:
    settings = trial_settings(study.run.settings, study.values(number), f"trial {number}")
    return settings.model_copy(update={"validation": study.record.refit_validation})


def _toml(study: Study, row: TrialRow) -> bytes:
    what = f"{row.last['validation_accuracy']:.4f} of {study.run.data.validation_images:,} validation images"
    head = (
        f"# Trial {row.number} of a search by eyebright tune: {what}.\n# Train with it: eyebright train --config FILE\n"
    )
    values = _refit_settings(study, row.number).to_dict()
    return (head + tomli_w.dumps(values)).encode()


def _summary(row: TrialRow, images: int) -> dict[str, Any]:
    """A trial as results.json has it; its figures are None where it did not come to its end."""
    found: dict[str, Any] = {
        "trial": row.number,
        "values": row.values,
        **dict.fromkeys((*_FIGURES, "validation_accuracy_ci95")),
    }
    if row.state == "finished":
        found |= {name: row.last[name] for name in _FIGURES}
        hits = round(row.last["validation_accuracy"] * images)
        found["validation_accuracy_ci95"] = list(wilson_interval(hits, images))
    return found


def _front(rows: Sequence[TrialRow], second: str) -> list[TrialRow]:
    """The trials that no other one beats in both figures, most accurate first; of equal ones the first."""
    finished = [row for row in rows if row.state == "finished"]
    finished.sort(key=lambda row: (-row.last["validation_accuracy"], row.last[second], row.number))
    front: list[TrialRow] = []
    for row in finished:  # each is less accurate than those before it, or equal: it must be better in the second
        if not front or row.last[second] < front[-1].last[second]:
            front.append(row)
    return front


def _table(study: Study, rows: Sequence[TrialRow], front: Sequence[TrialRow] | None) -> bytes:
    """trials.csv: a line a trial. Accuracy is that of its longest part, by `length` of 1."""
    names = list(study.space.searched)
    columns = [
        "trial",
        "state",
        "length",
        *_FIGURES,
        "seconds",
        *(["front"] if front is not None else []),
        *names,
        "failure",
    ]
    content = io.StringIO(newline="")
    writer = csv.DictWriter(content, columns, lineterminator="\n")
    writer.writeheader()
    numbers = {row.number for row in front or ()}
    for row in rows:
        line = {"trial": row.number, "state": row.state, "failure": row.failure, **study.shown_values(row)}
        if row.parts:
            line |= {name: row.last[name] for name in _FIGURES}
            line |= {
                "length": round(max(row.parts) / WHOLE, 4),
                "seconds": sum(p["seconds"] for p in row.parts.values()),
            }
        if front is not None:
            line["front"] = row.number in numbers
        writer.writerow(line)
    return content.getvalue().encode()


def _why_none(study: Study, rows: Sequence[TrialRow]) -> str:
    path = study.run.path
    failed = next((row for row in rows if row.state == "failed"), None)
    if failed is not None and all(row.state == "failed" for row in rows):
        return (
            f"{path}: all {len(rows)} trials failed. The first: {failed.failure.rstrip('.')}. Mend that and try more: "
            f"{command('tune', '--resume', path, '--trials', 2 * len(rows))}; or begin another search."
        )
    go_on = command("tune", "--resume", path, "--minutes")
    return (
        f"{path}: no trial was finished in {study.record.minutes:g} minutes. Everything is saved; give it more in all: "
        f"{go_on} {max(1, round(4 * (study.record.minutes or 1)))}"
    )
