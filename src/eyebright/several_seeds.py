"""The same training once for each of several seeds: how much of a figure is luck."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from eyebright.backend import versions
from eyebright.data.dataset import Dataset
from eyebright.data.split import split_dataset
from eyebright.errors import RunError, SettingsError
from eyebright.metrics.intervals import mean_interval, next_value_interval
from eyebright.run_directory import DataRecord, RunDirectory
from eyebright.run_paths import check_free, seed_path
from eyebright.run_series import Part, check_flags, forget_results_of_missing, train_parts
from eyebright.settings import Settings
from eyebright.training import trainer
from eyebright.training.environment import FILE as ENVIRONMENT
from eyebright.training.environment import first_environment
from eyebright.training.learnt_images import FILE, image_keys
from eyebright.training.origins import kept_origins, load_origins
from eyebright.training.preparation import settle
from eyebright.training.progress import say_settings, say_split

_MOST = 2**63 - 1  # that a seed may be


@dataclass(frozen=True)
class SeveralSeeds:
    """Finished runs of several seeds.

    Attributes:
        path: their directory, in which each seed has a run's directory.
        results: what its results.json holds: `test_accuracy_mean`, `test_accuracy_std` and two intervals over seeds
            (see `train_seeds`), and in `seeds` each run's figures with their intervals over images.
    """

    path: Path
    results: dict[str, Any]


def train_seeds(
    settings: Settings,
    dataset: Dataset,
    run_dir: str | Path,
    *,
    seeds: int = 5,
    console: Console | None = None,
) -> SeveralSeeds:
    """Train the same settings once a seed, counted from `settings.seed`, each tested on the same images.

    Two intervals answer two questions. That over seeds says what another training would give on these test images:
    `test_accuracy_mean_ci95` is Student's interval of the mean over all seeds, `another_seed_pi95` his prediction
    interval of one more run; None where all runs are equally good. That over images, `test_accuracy_ci95` of each run
    in `seeds`, says what that one classifier would give on other test images. Neither holds the other.

    Args:
        settings: of every run, but for the seed.
        dataset: what to learn from.
        run_dir: a directory that does not exist yet.
        seeds: how many, at least 2.
        console: where to show progress; None shows nothing.

    Raises:
        SettingsError: fewer than two seeds, settings that contradict the data, or learning from a run that has seen the
            test images.
        RunError: the directory exists.
        TrainingError: the loss of a run became infinite or not a number.
        TrainingInterrupted: Ctrl-C or SIGTERM; what was done is saved, and `resume_seeds` goes on with it.
    """
    run_dir = Path(run_dir)
    check_free(run_dir)
    check_seeds(seeds, settings.seed)
    split = split_dataset(dataset, **settings.split)
    origins = load_origins(settings, dataset, image_keys(dataset), [split], console)
    settings, reason = settle(settings, dataset, split.train, origins.pretrained)
    record = DataRecord.of(dataset, split, seeds=seeds)
    series = RunDirectory.create(
        run_dir, settings, record, {FILE: origins.learnt.to_bytes(), ENVIRONMENT: first_environment(settings)}
    )
    say_settings(console, settings, dataset, reason)
    say_split(console, split)
    with series.locked():
        origins.keep(series)
        return _finish(series, train_parts(series, _parts(series, dataset), origins, console))


def resume_seeds(
    run_dir: str | Path,
    dataset: Dataset,
    *,
    flags: Mapping[str, Any] | None = None,
    console: Console | None = None,
) -> SeveralSeeds:
    """Go on with runs of several seeds: with that which was broken off, to the same bits, and with those after it.

    Args:
        run_dir: their directory.
        dataset: the data that they were begun with; the fingerprint is checked.
        flags: settings by name that the user repeats. They must be those that they were begun with.
        console: where to show progress; None shows nothing.

    Raises:
        RunError: these are no runs of several seeds, or other data, or settings that contradict theirs.
    """
    series = RunDirectory.open_any(Path(run_dir))
    if series.data.seeds is None:
        raise RunError(f"{run_dir}: these are no runs of several seeds. Go on with a single run by train --resume.")
    with series.locked():
        series.check_same_data(dataset)
        check_flags(series, flags or {}, "runs of several seeds in")
        parts = _parts(series, dataset)
        for part in parts:
            _check_same_length(series, part)
        forget_results_of_missing(series, parts)
        origins = kept_origins(series, dataset, console)  # the copies: the originals may be others by now
        origins.keep(series)
        return _finish(series, train_parts(series, parts, origins, console))


def check_seeds(seeds: int, first: int) -> None:
    """Refuse a number of seeds that is none.

    Raises:
        SettingsError: fewer than two, or seeds that are too large.
    """
    if seeds < 2:
        raise SettingsError(f"--seeds {seeds}: what varies with the seed shows with at least 2 seeds.")
    if first + seeds - 1 > _MOST:
        raise SettingsError(f"--seeds {seeds}: counted from --seed {first}, they go beyond the largest, {_MOST}.")


def _parts(series: RunDirectory, dataset: Dataset) -> list[Part]:
    count, first = series.data.seeds or 0, series.settings.seed
    return [
        Part(
            seed_path(series.path, seed),
            series.settings.model_copy(update={"seed": seed}),
            dataset,
            f"Seed {seed} ({number} of {count})",
        )
        for number, seed in enumerate(range(first, first + count), start=1)
    ]


def _check_same_length(series: RunDirectory, part: Part) -> None:
    """Refuse a run that was made longer by itself: it can no longer be put together with the others."""
    if not (part.path / "settings.toml").is_file():
        return
    own = RunDirectory.open(part.path).settings
    if (own.epochs, own.max_steps) != (part.settings.epochs, part.settings.max_steps):
        raise RunError(
            f"{part.path}: this run was made longer than the others. Remove it to have this seed trained anew, then go "
            f"on with {series.path}."
        )


def _finish(series: RunDirectory, runs: list[trainer.Run]) -> SeveralSeeds:
    """Write results.json."""
    accuracies = [run.results["test_accuracy"] for run in runs]
    names = (
        *("seed", "test_accuracy", "test_accuracy_ci95", "test_loss", "validation_accuracy", "steps", "train_seconds"),
        "weights_sha256",
    )
    results = {
        "test_accuracy_mean": statistics.mean(accuracies),
        "test_accuracy_std": statistics.stdev(accuracies),
        "test_accuracy_mean_ci95": _of_a_share(mean_interval(accuracies)),
        "another_seed_pi95": _of_a_share(next_value_interval(accuracies)),
        "test_images": series.data.test_images,
        "seeds": [{name: run.results[name] for name in names} for run in runs],
        "tta": series.settings.tta,
        "train_seconds": sum(run.results["train_seconds"] for run in runs),
        "total_seconds": sum(run.results["total_seconds"] for run in runs),
        "precision": series.settings.precision,
        "threads": series.settings.threads,
        "seed": series.settings.seed,
        "data_fingerprint": series.data.fingerprint,
        "versions": versions(),
        **series.looks_of_data.to_dict(),
    }
    series.write_results(results)
    return SeveralSeeds(series.path, results)


def _of_a_share(interval: tuple[float, float] | None) -> list[float] | None:
    """Within 0 … 1, as JSON has it."""
    return None if interval is None else [max(0.0, interval[0]), min(1.0, interval[1])]
