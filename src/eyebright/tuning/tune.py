"""Search for better settings: trials around a preset, judged on validation images; the best is tested, once."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from eyebright.backend import available_threads, backend_in_words, set_threads
from eyebright.data.dataset import Dataset
from eyebright.data.split import Split, split_dataset
from eyebright.errors import RunError, SettingsError
from eyebright.run_directory import DataRecord, RunDirectory
from eyebright.run_paths import check_free
from eyebright.run_series import check_flags
from eyebright.settings import Settings
from eyebright.sources import as_text
from eyebright.training import trainer
from eyebright.training.environment import FILE as ENVIRONMENT
from eyebright.training.environment import first_environment
from eyebright.training.learnt_images import FILE, image_keys
from eyebright.training.origins import kept_origins, load_origins
from eyebright.training.preparation import settle
from eyebright.training.progress import say, say_split
from eyebright.tuning.record import SECOND_FIGURE, Objective, Record, Sampler, check_amounts, read_findings
from eyebright.tuning.results import tested_run, train_best, with_test, write_findings
from eyebright.tuning.search import search
from eyebright.tuning.space import SearchSpace
from eyebright.tuning.study import Study, first_files
from eyebright.tuning.workers import Place, ThisMachine

DEFAULT_VALIDATION = 0.1  # where the settings keep no validation images
# Of validation images, the run of the best settings keeps at most so many, to calibrate on; it learns from the others.
REFIT_VALIDATION = 1000
_HERE = ThisMachine()


@dataclass(frozen=True)
class Search:
    """A finished search.

    Attributes:
        path: its directory.
        results: what its results.json holds: `best` (the number of its trial, `values`, `validation_accuracy` and its
            interval), `first` (the same of trial 0), `trials` (how many, by state), `importances`, `front`, `optimism`.
        run: the run that was trained with the best settings, and tested; None where none was asked for.
    """

    path: Path
    results: dict[str, Any]
    run: trainer.Run | None


def tune(
    settings: Settings,
    dataset: Dataset,
    run_dir: str | Path,
    *,
    space: SearchSpace | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    jobs: int = 1,
    objective: Objective = "accuracy",
    sampler: Sampler = "tpe",
    prune: bool = True,
    refit: bool = True,
    place: Place = _HERE,
    console: Console | None = None,
) -> Search:
    """Search for settings that are better than these on validation images; train with the best, and test that once.

    Trial 0 has the settings as they are, so that the best ones are never below them on the validation images. Further
    ones are chosen by the tree-structured Parzen estimator, all settings together (Falkner et al., "BOHB", 2018). With
    one job, the same seed gives the same trials; with several, a trial is chosen by those that happen to be over by
    then. With minutes it is the machine's speed that says how many there are.

    Each process imports this program's main module anew: a script needs `if __name__ == "__main__":` around its work.

    Args:
        settings: to begin with. Where they keep no validation images, trials keep a tenth of the training images.
        dataset: what to learn from.
        run_dir: a directory that does not exist yet.
        space: what is searched; that of the settings' preset if not given.
        trials: how many, trial 0 included; those that end early count as well.
        minutes: how long. No trial begins that cannot end by then, as far as those before it tell; one that does not
            end in time stops, and does not count. The training with the best settings comes after that.
        jobs: how many trials are trained at once, each with its share of the threads.
        objective: accuracy; or accuracy against training time or the number of parameters, of which results have the
            Pareto front. The best is the most accurate in any case.
        sampler: "tpe", or "random" to compare with.
        prune: whether trials that begin badly end early; trials of two objectives never do.
        refit: whether to train with the best settings and test that.
        place: where trials are trained, this machine if not given; `eyebright.cluster.tuning` has another.
        console: where to show progress; None shows nothing.

    Raises:
        SettingsError: neither trials nor minutes, or settings that contradict the data.
        RunError: the directory exists, or no trial was finished.
        TrainingInterrupted: Ctrl-C or SIGTERM; what was done is saved, and `resume_tuning` goes on with it.
    """
    run_dir = Path(run_dir)
    check_free(run_dir)
    check_amounts(trials, minutes, jobs)
    place.threads(jobs, settings.threads)
    space = space or SearchSpace.of_preset(settings)
    given = settings.validation
    if not given and "validation" not in dataset.splits:
        settings = settings.model_copy(update={"validation": DEFAULT_VALIDATION})
    split = split_dataset(dataset, **settings.split)
    origins = load_origins(settings, dataset, image_keys(dataset), [split], console)
    settle(settings, dataset, split.train, origins.pretrained)
    _check_batch_size(space, split)
    record = Record(
        objective=objective,
        space=space.to_dict(),
        sampler=sampler,
        pruned=prune and objective not in SECOND_FIGURE,
        trials=trials,
        minutes=minutes,
        refit=refit,
        refit_validation=_refit_validation(given, settings.validation, split),
    )
    data = DataRecord.of(dataset, split).model_copy(update={"study": True})
    files = {FILE: origins.learnt.to_bytes(), ENVIRONMENT: first_environment(settings), **first_files(record, settings)}
    run = RunDirectory.create(run_dir, settings, data, files)
    _say_beginning(console, settings, space, split)
    with run.locked():
        origins.keep(run)
        return _finish(Study(run, record), dataset, jobs, place, console)


def resume_tuning(
    run_dir: str | Path,
    dataset: Dataset,
    *,
    space: SearchSpace | None = None,
    objective: Objective | None = None,
    flags: Mapping[str, Any] | None = None,
    trials: int | None = None,
    minutes: float | None = None,
    jobs: int = 1,
    refit: bool | None = None,
    place: Place = _HERE,
    console: Console | None = None,
) -> Search:
    """Go on with a search: trials that were broken off first, each under its own number, from its last checkpoint.

    Args:
        run_dir: its directory.
        dataset: the data that it was begun with; the fingerprint is checked.
        space: what is searched; it must be what it was begun with.
        objective: likewise.
        flags: settings by name that the user repeats; likewise.
        trials: how many in all, to make a search longer.
        minutes: likewise.
        jobs: how many trials are trained at once.
        refit: whether to train with the best settings and test that; if not given, as when it was begun.
        place: where trials are trained, this machine if not given; `eyebright.cluster.tuning` has another.
        console: where to show progress; None shows nothing.

    Raises:
        RunError: this is no search, or other data, another space, objective or model.
        StorageError: its trials are missing or damaged.
    """
    run = RunDirectory.open_any(Path(run_dir))
    record = Record.read(run)
    with run.locked():
        run.check_same_data(dataset)
        asked = {"trials": trials, "minutes": minutes, "refit": refit}
        changed = record.model_copy(update={name: value for name, value in asked.items() if value is not None})
        check_amounts(changed.trials, changed.minutes, jobs)
        place.threads(jobs, run.settings.threads)
        _check_same(run, record, space, objective)
        check_flags(run, flags or {}, "search")
        results = read_findings(run)
        if results is not None and (changed.trials, changed.minutes) == (record.trials, record.minutes):
            tested = tested_run(run.path, results["best"]["trial"])
            if tested is not None or not changed.refit:
                say(console, f"{run.path}: this search is finished. --trials or --minutes makes it longer.")
                return Search(run.path, results, None if results["run"] is None else tested)
        study = Study(run, changed)  # before anything is changed: it may be damaged
        if changed != record:
            changed.write(run)
        (run.path / "results.json").unlink(missing_ok=True)
        set_threads(run.settings.threads or available_threads())
        kept_origins(run, dataset, console).keep(run)
        return _finish(study, dataset, jobs, place, console)


def _finish(study: Study, dataset: Dataset, jobs: int, place: Place, console: Console | None) -> Search:
    run = study.run
    search(study, dataset, jobs, place, console)
    results: dict[str, Any] = {**write_findings(study), "run": None, "optimism": None}
    best, number = None, results["best"]["trial"]
    if study.record.refit or tested_run(run.path, number) is not None:
        best = train_best(study, dataset, number, console)
        results = with_test(results, best)
    run.write_results(results)
    shutil.rmtree(run.path / "trials", ignore_errors=True)
    return Search(run.path, results, best)


def _check_same(run: RunDirectory, record: Record, space: SearchSpace | None, objective: str | None) -> None:
    """Refuse to go on with a search for something else."""
    if objective not in (None, record.objective):
        raise RunError(f"--objective {objective}: the search {run.path} is for {record.objective}. Leave it out.")
    if space is not None and space.to_dict() != record.space:
        mine, its = space.to_dict(), record.space
        other = sorted(name for name in {*mine, *its} if mine.get(name) != its.get(name))
        raise RunError(
            f"--space: it is not what the search {run.path} was begun with: {', '.join(other)} differs. Leave it out, "
            "or begin another search."
        )


def _check_batch_size(space: SearchSpace, split: Split) -> None:
    one = space.searched.get("batch_size")
    largest = max(map(int, one.choices or one.range)) if one is not None else 0
    if largest > len(split.train):
        raise SettingsError(
            f"The search space: [batch_size] goes to {largest}, more than the training set has "
            f"({len(split.train):,} images). Give less."
        )


def _refit_validation(given: float, own: float, split: Split) -> float:
    """`validation` of the run of the best settings: none where the settings kept none for themselves."""
    if not given or len(split.validation) <= REFIT_VALIDATION:
        return given
    return min(own, REFIT_VALIDATION) if own >= 1 else REFIT_VALIDATION


def _say_beginning(console: Console | None, settings: Settings, space: SearchSpace, split: Split) -> None:
    say(console, f"Backend {backend_in_words()}")
    say_split(console, split)
    _, outside = space.of_settings(settings)
    for name, one in space.searched.items():
        begin = as_text(getattr(settings, name))
        note = ", which lies outside" if name in outside else ""
        say(console, f"Searching {name} {one}; trial 0 has {begin}{note}")
