"""Calibrating a finished run anew."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.backend import available_threads, set_threads
from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.data.split import split_dataset
from eyebright.errors import RunError, StorageError
from eyebright.held_out import HeldOut
from eyebright.metrics.calibration import Calibration, CalibrationMethod
from eyebright.metrics.calibration_error import expected_calibration_error
from eyebright.metrics.calibration_fit import cross_fitted_log_probabilities
from eyebright.metrics.scores import accuracy_score, log_loss
from eyebright.predictions_file import StoredPredictions
from eyebright.run_directory import RunDirectory
from eyebright.suggestions import command
from eyebright.training.calibration import calibrated, default_method, held_out_predictions, kept_predictions
from eyebright.training.familiarity import with_known_images
from eyebright.training.results import test_figures


@dataclass(frozen=True)
class Recalibration:
    """What a calibration does, on validation images.

    Attributes:
        calibration: what the classifier has now.
        images: number of validation images.
        before: `log_loss` (nats), `calibration_error` (ECE of 15 equal-mass bins) and `accuracy` of the softmax alone.
        after: the same of the calibrated probabilities, each image's by a calibration that was fitted to four fifths of
            the others. None for a single image.
        results: what results.json holds now.
        accuracy_before: the test accuracy that it held before; other methods than temperature and quadratic change it.
    """

    calibration: Calibration
    images: int
    before: dict[str, float]
    after: dict[str, float] | None
    results: dict[str, Any]
    accuracy_before: float


def calibrate(
    run_dir: str | Path,
    method: CalibrationMethod | None = None,
    *,
    dataset: Dataset | None = None,
    progress: bool = False,
) -> Recalibration:
    """Calibrate the classifier of a finished run on the run's validation images, and save it so.

    Its weights stay as they are. The figures of results.json that hang on the calibration are computed anew from the
    logits in test_predictions.npz: no model meets the test images.

    Args:
        run_dir: the run's directory.
        method: see `metrics.calibration.Calibration`; None for what `train` takes, see `default_method`.
        dataset: the run's data, its fingerprint is checked. Needed where `needs_data` says so; where they are given and
            the classifier does not know what is unlike its training images, as an older one, that is measured, too.
        progress: whether to show a bar on standard error while the classifier is run over them.

    Raises:
        RunError: the run is not finished, has no validation images, or lacks its test predictions; or its data are
            needed and were not given, or are others.
        DataError: a class without validation images, for "vector" and "isotonic"; or logits that are not finite.
        SettingsError: an unknown method.
    """
    run = RunDirectory.open(Path(run_dir))
    results = _finished(run)
    with run.locked():
        classifier = Classifier.load(run.path)
        test = _test_predictions(run, classifier)
        held_out = _held_out(run, classifier, dataset, progress=progress)
        method = method or default_method(run.settings)
        classifier = calibrated(classifier, method, held_out)
        if classifier.known_images is None and dataset is not None:
            classifier = _with_known_images(run, classifier, dataset, progress=progress)
        labels, logits = held_out.labels, held_out.logits
        before = _figures(labels, Calibration().log_probabilities(logits))
        after = _figures(labels, cross_fitted_log_probabilities(method, labels, logits)) if len(labels) > 1 else None
        accuracy_before = results["test_accuracy"]
        results = results | test_figures(classifier, test.labels, test.logits, test.units)
        classifier.save(run.path / "model")
        run.write_results(results)
    return Recalibration(classifier.calibration, len(labels), before, after, results, accuracy_before)


def needs_data(run: RunDirectory) -> bool:
    """Whether `calibrate` needs the run's data: where no answers to validation images are kept, as in older runs.

    Raises:
        RunError: the run is not finished, or has no validation images.
    """
    results = _finished(run)
    return kept_predictions(run, str(results["weights_sha256"]), str(results.get("tta", "none"))) is None


def _with_known_images(run: RunDirectory, classifier: Classifier, dataset: Dataset, *, progress: bool) -> Classifier:
    run.check_same_data(dataset)
    set_threads(run.settings.threads or available_threads())
    split = split_dataset(dataset, **run.settings.split)
    return with_known_images(classifier, dataset, split, run.settings.seed, progress=progress)


def knows_its_images(run: RunDirectory) -> bool:
    """Whether the saved classifier of a finished run can tell pictures that are unlike its training images."""
    return os.path.lexists(run.path / "model" / "known_images.npz")


def _finished(run: RunDirectory) -> dict[str, Any]:
    results = run.results
    if results is None:
        go_on = command("train", "--resume", run.path)
        raise RunError(f"{run.path}: this run is not finished. Go on with it: {go_on}")
    if not run.data.validation_images:
        raise RunError(
            f"{run.path}: this run kept no validation images to calibrate on. Train anew with --validation 0.1, say."
        )
    return results


def _held_out(run: RunDirectory, classifier: Classifier, dataset: Dataset | None, *, progress: bool) -> HeldOut:
    kept = kept_predictions(run, classifier.weights_sha256, classifier.tta)
    if kept is not None:
        return kept
    if dataset is None:
        raise RunError(f"{run.path}: no answers to its validation images are kept. Give the data that it learnt from.")
    run.check_same_data(dataset)
    set_threads(run.settings.threads or available_threads())
    validation = split_dataset(dataset, **run.settings.split).validation
    return held_out_predictions(run, classifier, dataset, validation, progress=progress)


def _test_predictions(run: RunDirectory, classifier: Classifier) -> StoredPredictions:
    path = run.path / "test_predictions.npz"
    stale = "The figures of results.json cannot be brought up to date. Restore the file."
    try:
        found = StoredPredictions.read(path, len(classifier.class_names))
    except StorageError as error:
        raise RunError(f"{error}. {stale}") from error
    if found.weights_sha256 != classifier.weights_sha256:
        raise RunError(f"{path}: it is not of this classifier. {stale}")
    return found


def _figures(labels: NDArray[np.int32], log_probabilities: NDArray[np.float64]) -> dict[str, float]:
    return {
        "log_loss": log_loss(labels, log_probabilities),
        "calibration_error": expected_calibration_error(labels, np.exp(log_probabilities)),
        "accuracy": accuracy_score(labels, log_probabilities),
    }
