"""Cross-validation: as many runs as there are folds, each tested on the images that it did not learn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from eyebright.arrays import arrays_to_npz
from eyebright.backend import versions
from eyebright.data.dataset import Dataset
from eyebright.data.folds import fold_datasets
from eyebright.data.grouping import units_of_images
from eyebright.data.split import split_dataset, training_pool
from eyebright.errors import RunError, StorageError
from eyebright.metrics.figures import accuracy_interval
from eyebright.metrics.scores import log_loss
from eyebright.predictions_file import StoredPredictions
from eyebright.run_directory import DataRecord, RunDirectory
from eyebright.run_paths import check_free, fold_path
from eyebright.run_series import Part, check_flags, forget_results_of_missing, train_parts
from eyebright.settings import Settings
from eyebright.storage import write_file
from eyebright.suggestions import command
from eyebright.training import trainer
from eyebright.training.environment import FILE as ENVIRONMENT
from eyebright.training.environment import first_environment
from eyebright.training.learnt_images import FILE, image_keys
from eyebright.training.origins import kept_origins, load_origins
from eyebright.training.preparation import settle
from eyebright.training.progress import say_settings

_OUT_OF_FOLD = "out_of_fold.npz"


@dataclass(frozen=True)
class CrossValidation:
    """A finished cross-validation.

    Attributes:
        path: its directory, in which each fold has a run's directory.
        results: what its results.json holds, `accuracy` and `accuracy_ci95` over all images among them.
        images: int64 [n], ascending: which images of the data set took part.
        folds: int64 [n]: the fold that each was tested in, from 1.
        probabilities: float32 [n, classes]: of each image, by the classifier that did not learn from it.
    """

    path: Path
    results: dict[str, Any]
    images: NDArray[np.int64]
    folds: NDArray[np.int64]
    probabilities: NDArray[np.float32]


def cross_validate(
    settings: Settings,
    dataset: Dataset,
    run_dir: str | Path,
    *,
    folds: int = 5,
    console: Console | None = None,
    title: str | None = None,
) -> CrossValidation:
    """Train the same settings once a fold, each time tested on the images of that fold.

    A split "test" that the data came with stays sealed: none of its images is learnt from or tested on.

    The accuracy's 95% interval is Wilson's over all images, each of which was tested once. It takes them for
    independent; the folds' training sets overlap, so that it is a little too narrow. No unbiased estimate of that
    variance exists (Bengio and Grandvalet, "No unbiased estimator of the variance of K-fold cross-validation", JMLR
    2004).

    Args:
        settings: of every run.
        dataset: what to divide, see `fold_datasets`.
        run_dir: a directory that does not exist yet.
        folds: how many, from 2 to the number of images of the smallest class.
        console: where to show progress; None shows nothing.
        title: what the lines of the folds begin with where this is a part of something else; the settings are then not
            shown.

    Raises:
        SettingsError: settings that contradict the data, or learning from a run that has seen them.
        DataError: data that cannot be divided into so many folds.
        RunError: the directory exists.
        TrainingError: the loss of a run became infinite or not a number.
        TrainingInterrupted: Ctrl-C or SIGTERM; what was done is saved, and `resume_cross_validation` goes on with it.
    """
    run_dir = Path(run_dir)
    check_free(run_dir)
    parts = fold_datasets(dataset, folds, settings.split_seed)
    splits = [split_dataset(part, **settings.split) for part in parts]
    smallest = min(splits, key=lambda split: len(split.train))
    origins = load_origins(settings, dataset, image_keys(dataset), splits, console)
    settings, reason = settle(settings, dataset, smallest.train, origins.pretrained)
    record = DataRecord.of(dataset, splits[0], folds).model_copy(
        update={"training_images": len(training_pool(dataset)), "validation_images": 0, "test_images": 0}
    )
    run = RunDirectory.create(
        run_dir, settings, record, {FILE: origins.learnt.to_bytes(), ENVIRONMENT: first_environment(settings)}
    )
    if title is None:
        say_settings(console, settings, dataset, reason)
    with run.locked():
        origins.keep(run)
        return _finish(run, dataset, parts, train_parts(run, _series(run, parts, title), origins, console))


def resume_cross_validation(
    run_dir: str | Path,
    dataset: Dataset,
    *,
    flags: Mapping[str, Any] | None = None,
    console: Console | None = None,
    title: str | None = None,
) -> CrossValidation:
    """Go on with a cross-validation: with the fold that was broken off, to the same bits, and with those after it.

    Args:
        run_dir: its directory.
        dataset: the data that it was begun with; its fingerprint is checked.
        flags: settings by name that the user repeats. They must be those that it was begun with.
        console: where to show progress; None shows nothing.
        title: as for `cross_validate`.

    Raises:
        RunError: no cross-validation, other data, or settings that contradict its own.
        StorageError: what a finished fold left is damaged.
    """
    run = RunDirectory.open_any(Path(run_dir))
    if run.data.folds is None:
        raise RunError(f"{run_dir}: this is a run, not a cross-validation. Go on with it by train --resume.")
    with run.locked():
        run.check_same_data(dataset)
        check_flags(run, flags or {}, "cross-validation")
        parts = fold_datasets(dataset, run.data.folds, run.settings.split_seed)
        forget_results_of_missing(run, _series(run, parts, title))
        origins = kept_origins(run, dataset, console)  # the copies: the originals may be others by now
        origins.keep(run)
        return _finish(run, dataset, parts, train_parts(run, _series(run, parts, title), origins, console))


def _series(run: RunDirectory, parts: list[Dataset], title: str | None) -> list[Part]:
    return [
        Part(fold_path(run.path, number), run.settings, part, f"{title or 'Fold'} {number} of {len(parts)}")
        for number, part in enumerate(parts, start=1)
    ]


def _finish(run: RunDirectory, dataset: Dataset, parts: list[Dataset], runs: list[trainer.Run]) -> CrossValidation:
    """Write out_of_fold.npz, and results.json after it."""
    images = np.concatenate([part.splits["test"] for part in parts])
    folds = np.concatenate([np.full(len(part.splits["test"]), number) for number, part in enumerate(parts, start=1)])
    answers = np.concatenate([_answers(one, len(part.splits["test"])) for one, part in zip(runs, parts, strict=True)])
    order = np.argsort(images)
    images, folds, answers = images[order], folds[order], answers[order]
    probabilities = np.exp(answers).astype(np.float32)
    arrays = {"images": images, "labels": dataset.labels[images], "folds": folds, "probabilities": probabilities}
    write_file(run.path / _OUT_OF_FOLD, arrays_to_npz(arrays))
    results = _results(run, dataset.labels[images], answers, units_of_images(dataset, images), runs)
    run.write_results(results)
    return CrossValidation(run.path, results, images, folds, probabilities)


def _results(
    run: RunDirectory,
    labels: NDArray[np.int32],
    answers: NDArray[np.float64],
    units: NDArray[np.int64] | None,
    runs: list[trainer.Run],
) -> dict[str, Any]:
    hits = answers.argmax(axis=1) == labels
    accuracies = [one.results["test_accuracy"] for one in runs]
    names = ("test_accuracy", "test_accuracy_ci95", "test_images", "validation_accuracy", "steps", "weights_sha256")
    return {
        "accuracy": float(hits.mean()),
        "accuracy_ci95": list(accuracy_interval(labels, hits, units)),
        "n": len(labels),
        "log_loss": log_loss(labels, answers),
        "folds": [
            {"fold": number, **{name: one.results[name] for name in names}} for number, one in enumerate(runs, start=1)
        ],
        "fold_accuracy_mean": float(np.mean(accuracies)),
        "fold_accuracy_std": float(np.std(accuracies, ddof=1)),
        "tta": run.settings.tta,
        "train_seconds": sum(one.results["train_seconds"] for one in runs),
        "total_seconds": sum(one.results["total_seconds"] for one in runs),
        "precision": run.settings.precision,
        "threads": run.settings.threads,
        "seed": run.settings.seed,
        "data_fingerprint": run.data.fingerprint,
        "versions": versions(),
    }


def _answers(run: trainer.Run, images: int) -> NDArray[np.float64]:
    """The calibrated log probabilities of a fold's classifier for the images of the fold, [n, classes], in order."""
    path = run.path / "test_predictions.npz"
    remedy = (
        f"Remove {run.path} to have this fold trained anew, then go on with: "
        f"{command('train', '--resume', run.path.parent)}"
    )
    try:
        found = StoredPredictions.read(path, len(run.classifier.class_names))
    except StorageError as error:
        raise StorageError(f"{error}. {remedy}") from error
    if found.weights_sha256 != run.results["weights_sha256"] or len(found.labels) != images:
        raise StorageError(f"{path}: it is not of this run. {remedy}")
    return run.classifier.calibration.log_probabilities(found.logits)
