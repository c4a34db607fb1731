"""The end of a run: the saved classifier, calibrated, its one run over the test images, and results.json, last."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from eyebright.backend import BACKEND, processes, versions
from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset, image_hashes
from eyebright.data.grouping import units_of_images
from eyebright.data.split import Split
from eyebright.metrics.figures import accuracy_interval
from eyebright.metrics.scores import log_loss
from eyebright.predictions_file import StoredPredictions
from eyebright.run_directory import RunDirectory
from eyebright.training.calibration import calibrated, default_method, held_out_predictions
from eyebright.training.checkpoint import TrainingState
from eyebright.training.familiarity import with_known_images
from eyebright.training.health import check_logits
from eyebright.training.progress import say
from eyebright.views import ViewedLogits


def finish_run(
    run: RunDirectory,
    classifier: Classifier,
    dataset: Dataset,
    split: Split,
    state: TrainingState,
    started: float,
    console: Console | None,
) -> dict[str, Any]:
    """Finish the classifier and save it, run it over the test images once, and write results.json.

    It is calibrated, and learns to tell images that are unlike its training images, where there are validation images.

    Args:
        run: whose lock is held.
        classifier: what was trained, with its test-time augmentation.
        dataset: what it was trained on.
        split: of the data set.
        state: where the training ended.
        started: `time.perf_counter()` at the start of the work.
        console: where to say that there was nothing to calibrate on; None says nothing.

    Returns:
        What results.json holds.

    Raises:
        TrainingError: the weights are so large that logits are not finite.
    """
    if len(split.validation):
        held_out = held_out_predictions(run, classifier, dataset, split.validation, progress=False)
        check_logits("validation", held_out.logits, state.step)
        classifier = calibrated(classifier, default_method(run.settings), held_out)
        classifier = with_known_images(classifier, dataset, split, run.settings.seed, progress=False)
    else:
        say(
            console,
            "No validation images: the probabilities are not calibrated. Nor will predict tell which pictures are "
            "unlike the training images.",
        )
    labels, logits = dataset.labels[split.test], answer_test_images(run, classifier, dataset, split.test, state.step)
    classifier.save(run.path / "model")
    units = units_of_images(dataset, split.test)
    results: dict[str, Any] = {
        **test_figures(classifier, labels, logits.mean, units),
        **(_accuracy("test_accuracy_one_view", labels, logits.one_view, units) if classifier.tta != "none" else {}),
        "tta": classifier.tta,
        "test_images": len(labels),
        **_of_training(run, classifier, dataset, state, started),
        "test_looks": run.test_looks,
        **run.looks_of_data.to_dict(),
    }
    _remove_unfinished(run.path)
    run.write_results(results)
    return results


def finish_trial(
    run: RunDirectory, classifier: Classifier, dataset: Dataset, state: TrainingState, started: float
) -> dict[str, Any]:
    """Write the results.json of a run that tries settings: it ends before the test images, and saves no classifier.

    Args:
        run: whose lock is held.
        classifier: what was trained.
        dataset: what it was trained on.
        state: where the training ended.
        started: `time.perf_counter()` at the start of the work.

    Returns:
        What results.json holds: what `finish_run` puts there of the training alone.
    """
    results = _of_training(run, classifier, dataset, state, started)
    run.write_results(results)
    return results


def _of_training(
    run: RunDirectory, classifier: Classifier, dataset: Dataset, state: TrainingState, started: float
) -> dict[str, Any]:
    settings, seconds = run.settings, state.train_seconds
    return {
        "validation_accuracy": state.best_accuracy if settings.restore_best else state.last_accuracy,
        "best_step": state.best_step,
        "steps": state.step,
        "train_seconds": seconds,
        **({"compile_seconds": state.compile_seconds} if BACKEND == "jax" else {}),
        "total_seconds": time.perf_counter() - started,
        "images_per_second": state.step * settings.batch_size / seconds,
        "parameters": classifier.parameters,
        "precision": settings.precision,
        "backend": BACKEND,
        **({"workers": processes()} if processes() > 1 else {}),
        "threads": settings.threads,
        "seed": settings.seed,
        "data_fingerprint": dataset.fingerprint,
        "weights_sha256": classifier.weights_sha256,
        "versions": versions(),
    }


def test_figures(
    classifier: Classifier,
    labels: NDArray[np.int32],
    logits: NDArray[np.floating],
    units: NDArray[np.int64] | None,
) -> dict[str, Any]:
    """The figures of results.json that hang on the calibration: those of the classifier as it answers.

    Args:
        classifier: calibrated.
        labels: int32 [n], of the test images.
        logits: float [n, classes], the classifier's.
        units: int64 [n], of images that come in groups; None where they do not.
    """
    answers = classifier.calibration.log_probabilities(logits)  # [n, classes]
    return {
        **_accuracy("test_accuracy", labels, answers, units),
        "test_loss": log_loss(labels, answers),
        "calibration": classifier.calibration.summary(),
    }


def _accuracy(
    name: str, labels: NDArray[np.int32], scores: NDArray[np.floating], units: NDArray[np.int64] | None
) -> dict[str, Any]:
    hits = scores.argmax(axis=1) == labels
    return {name: float(hits.mean()), f"{name}_ci95": list(accuracy_interval(labels, hits, units))}


def answer_test_images(
    run: RunDirectory, classifier: Classifier, dataset: Dataset, test: NDArray[np.int64], step: int
) -> ViewedLogits:
    """The classifier's logits of the test images, and those of one view, kept in test_predictions.npz.

    A run that was killed after this point looks at what it kept, so that the test set is not met a second time.
    """
    path, weights = run.path / "test_predictions.npz", classifier.weights_sha256
    kept = StoredPredictions.of_classifier(path, len(classifier.class_names), weights, classifier.tta)
    if kept is not None:
        one_view = kept.logits if classifier.tta == "none" else kept.logits_one_view
        if one_view is not None:
            return ViewedLogits(kept.logits, one_view)
    run.count_test_look()
    logits = classifier.viewed_logits(dataset.images, test)
    check_logits("test", logits.mean, step)  # not finite where a view's are not
    StoredPredictions(
        dataset.labels[test],
        logits.mean,
        image_hashes(dataset.images, test),
        weights,
        classifier.tta,
        units_of_images(dataset, test),
        None if classifier.tta == "none" else logits.one_view,
    ).write(path)
    return logits


def _remove_unfinished(directory: Path) -> None:
    """Remove what processes were writing when they were killed; `storage` gives it these names."""
    for pattern in (".writing-*", ".replaced-*", ".*.writing"):
        for path in directory.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
