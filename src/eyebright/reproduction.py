"""A run trained once more from what it recorded, and compared with itself to the bit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.data.split import split_dataset
from eyebright.errors import RunError, TrainingInterrupted
from eyebright.kept_predictions import FILE as TEST_PREDICTIONS
from eyebright.kept_predictions import Predictions
from eyebright.run_directory import RunDirectory
from eyebright.run_paths import check_free, is_run
from eyebright.storage import read_versions, sha256
from eyebright.suggestions import command
from eyebright.training import trainer
from eyebright.training.environment import FILE as ENVIRONMENT
from eyebright.training.environment import (
    Difference,
    environment,
    environment_differences,
    read_environments,
)
from eyebright.training.learnt_images import FILE as LEARNT_IMAGES
from eyebright.training.learnt_images import LearntImages, image_keys
from eyebright.training.origins import kept_origins
from eyebright.training.progress import say
from eyebright.training.sameness import Sameness, compare_bits

_SHOWN = 5  # images in a message


@dataclass(frozen=True)
class Reproduction:
    """What became of a run that was trained once more.

    Attributes:
        run: its directory.
        path: that of the repetition.
        sameness: the two beside each other.
        differences: what is not as it was when the run was trained.
        recorded: whether the run says what it was trained with.
    """

    run: Path
    path: Path
    sameness: Sameness
    differences: tuple[Difference, ...]
    recorded: bool

    @property
    def sentence(self) -> str:
        """What was found, in words."""
        found = self.sameness
        if found.identical:
            return (
                f"{self.path} is identical to the bit with {self.run}: weights {found.weights_sha256[0][:12]}…, "
                f"{len(found.checkpoints)} checkpoints, {found.rows} rows of metrics.csv."
            )
        same_weights = found.weights_sha256[0] == found.weights_sha256[1]
        weights = "the saved weights are the same to the bit" if same_weights else "the saved weights are others"
        return f"{self.path} differs from {self.run}: {weights}. First difference: {found.first_difference}."

    @property
    def environment_sentence(self) -> str:
        """What differs in the environment, in words."""
        if self.differences:
            return "What differs in the environment: " + "; ".join(map(str, self.differences)) + "."
        if not self.recorded:
            return f"The run has no {ENVIRONMENT}: but for the versions it is not known what it was trained with."
        return "Of all that is recorded of the environment, nothing differs."

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "run": str(self.run),
            "path": str(self.path),
            **self.sameness.to_dict(),
            "environment": [one._asdict() for one in self.differences],
            "sentence": self.sentence,
        }


def reproduce(
    run_dir: str | Path, dataset: Dataset, target: str | Path | None = None, *, console: Console | None = None
) -> Reproduction:
    """Train a finished run again, from its own settings, data and copies of what it began with.

    Args:
        run_dir: the run's directory. Nothing in it is changed.
        dataset: the run's data; they are checked.
        target: a directory for the repetition. One that was begun there before and broken off is gone on with; if not
            given, `<run_dir>-again`, with a number where that is taken.
        console: where to show progress; None shows nothing.

    Raises:
        RunError: no finished run; other data than it was trained on, or changed settings; the target is taken.
        ClassifierError: its saved classifier is damaged.
        StorageError: a record of the run is damaged.
        TrainingInterrupted: Ctrl-C or SIGTERM; what was done is saved, and the same call goes on with it.
    """
    run = RunDirectory.open(Path(run_dir))
    differences, recorded = verify(run, dataset)
    path = _target(run, None if target is None else Path(target))
    for one in differences:
        say(console, f"Not as it was: {one}.")
    say(console, f"Training {run.path} again, in {path}")
    _train_again(run, dataset, path, console)
    return Reproduction(run.path, path, compare_bits(run, RunDirectory.open(path)), differences, recorded)


def verify(run: RunDirectory, dataset: Dataset) -> tuple[tuple[Difference, ...], bool]:
    """Check that a run is whole, and that data and settings are those that it was trained with.

    Returns:
        What differs in the environment, and whether the run recorded it (earlier versions did not).

    Raises:
        RunError, ClassifierError, StorageError: as for `reproduce`.
    """
    if run.results is None:
        go_on = command("train", "--resume", run.path)
        raise RunError(f"{run.path}: this run is not finished. Go on with it first: {go_on}")
    _check_data(run, dataset)
    known = read_environments(run.path)
    written = sha256((run.path / "settings.toml").read_bytes())
    if known and known[-1].get("settings_sha256", written) != written:
        raise RunError(
            f"{run.path / 'settings.toml'}: it was changed after the run was trained (its SHA-256 is not the one in "
            f"{ENVIRONMENT}). Restore it; to train with other settings, give a copy of it as --config."
        )
    if Classifier.load(run.path / "model").weights_sha256 != run.results.get("weights_sha256"):
        raise RunError(f"{run.path / 'model'}: its weights are not those that results.json names. Restore them.")
    return tuple(_differences(run, known)), bool(known)


def _differences(run: RunDirectory, known: list[dict[str, Any]]) -> list[Difference]:
    """Between what a run records in three places and what is here; and where it was trained in several, these."""
    here = environment(run.settings)
    found = environment_differences(known[-1], here) if known else []
    for older in known[:-1]:
        found += [
            Difference(f"{one.what} (up to step {known[known.index(older) + 1]['step']:,})", one.then, one.now)
            for one in environment_differences(older, here)
        ]
    versions: dict[str, Any] = (run.results or {}).get("versions") or {}
    for file, recorded in {"results.json": versions, "model": read_versions(run.path / "model")}.items():
        found += [
            Difference(f"{name} ({file})", value, here["versions"].get(name))
            for name, value in recorded.items()
            if value != here["versions"].get(name) and not _is_named(found, name, value)
        ]
    return found


def _is_named(found: list[Difference], name: str, value: Any) -> bool:
    return any(one.what.partition(" (")[0] == name and one.then == value for one in found)


def _check_data(run: RunDirectory, dataset: Dataset) -> None:
    """Refuse other data than a run's, and say which images are others."""
    if dataset.fingerprint == run.data.fingerprint:
        return
    raise RunError(
        f"{dataset.name}: not the data that {run.path} was trained on: {_what_changed(run, dataset)} Restore the data, "
        "or say where they are now with --data PATH."
    )


def _what_changed(run: RunDirectory, dataset: Dataset) -> str:
    """In whole sentences, by the hashes of images that the run kept."""
    shape = run.data.image_shape
    if dataset.image_shape != shape:
        sizes = [" × ".join(map(str, one)) for one in (dataset.image_shape, shape)]
        return f"their images are of {sizes[0]} here, and were of {sizes[1]}."
    learnt, tested = _kept_keys(run)
    if learnt is None or tested is None:
        return "their fingerprint is another."
    keys = image_keys(dataset)
    new = np.flatnonzero(~np.isin(keys, np.concatenate([learnt, tested])))
    number = run.data.training_images + run.data.validation_images + run.data.test_images
    if not new.size:
        why = (
            f"{len(dataset):,} images, where there were {number:,}"
            if len(dataset) != number
            else ("no pixel is another, so it is labels, class names, the order of the images, splits or groups")
        )
        return f"{why}."
    split = split_dataset(dataset, **run.settings.split)
    parts = {"training": split.train, "validation": split.validation, "test": split.test}
    shown = [
        f"{dataset.path(index)} ({next((name for name, part in parts.items() if index in part), 'in no split')})"
        for index in new[:_SHOWN].tolist()
    ]
    more = f" and {new.size - _SHOWN:,} more" if new.size > _SHOWN else ""
    verb = "has" if new.size == 1 else "have"
    return f"{new.size:,} of {len(dataset):,} images {verb} other pixels: {', '.join(shown)}{more}."


def _kept_keys(run: RunDirectory) -> tuple[NDArray[np.uint64] | None, NDArray[np.uint64] | None]:
    """Keys of the images that a run learnt from and chose by, and of those that it was tested on; None if not known."""
    learnt = tested = None
    if (run.path / LEARNT_IMAGES).exists():
        record = LearntImages.read(run.path / LEARNT_IMAGES)
        learnt = np.union1d(record.training, record.validation)
    if (run.path / TEST_PREDICTIONS).exists():
        hashes = Predictions.of(run).image_sha256
        tested = hashes[:, :8].copy().view("<u8")[:, 0]
    return learnt, tested


def _target(run: RunDirectory, given: Path | None) -> Path:
    """Where the repetition goes: a free directory, or one where it was begun and broken off."""
    if given is not None:
        if not _is_broken_off(run, given):
            check_free(given)
        return given
    base = Path(os.path.realpath(run.path)) if run.path.name in ("", "..") else run.path
    names = (base.with_name(f"{base.name}-again" + (f"-{i}" if i > 1 else "")) for i in range(1, 1000))
    return next(path for path in names if not os.path.lexists(path) or _is_broken_off(run, path))


def _is_broken_off(run: RunDirectory, path: Path) -> bool:
    if not is_run(path):
        return False
    other = RunDirectory.open_any(path)
    return other.results is None and other.settings == run.settings and other.data == run.data


def _train_again(run: RunDirectory, dataset: Dataset, path: Path, console: Console | None) -> None:
    try:
        if os.path.lexists(path):
            trainer.resume(path, dataset, console=console)
        else:
            trainer.train(run.settings, dataset, path, console=console, origins=kept_origins(run, dataset, console))
    except TrainingInterrupted as error:
        done = str(error).partition(";")[0]
        go_on = command("reproduce", run.path, "--run-dir", path)
        raise TrainingInterrupted(f"{done}; everything is saved. Go on with: {go_on}", error.exit_code - 128) from error
