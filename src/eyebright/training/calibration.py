"""A run's classifier, calibrated on its answers to the run's validation images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset, hash_prefixes, image_hashes
from eyebright.held_out import HeldOut
from eyebright.metrics.calibration import DEFAULT_METHOD, CalibrationMethod
from eyebright.metrics.calibration_fit import fit_calibration
from eyebright.predictions_file import StoredPredictions
from eyebright.run_directory import RunDirectory
from eyebright.settings import Settings

FILE = "validation_predictions.npz"


def default_method(settings: Settings) -> CalibrationMethod:
    """Temperature scaling; for a network trained with label smoothing "quadratic", which straightens what that bends.

    Label smoothing keeps sure answers as unsure as doubtful ones: a temperature that fits the former is wrong for the
    latter.
    """
    return "quadratic" if settings.label_smoothing else DEFAULT_METHOD


def held_out_predictions(
    run: RunDirectory, classifier: Classifier, dataset: Dataset, validation: NDArray[np.int64], *, progress: bool
) -> HeldOut:
    """The classifier's answers to the run's validation images: those that are kept, or made and kept now.

    Args:
        run: whose lock is held.
        classifier: the run's; its calibration plays no part.
        dataset: the run's.
        validation: int64 [n], its validation images.
        progress: whether to show a bar.
    """
    kept = kept_predictions(run, classifier.weights_sha256, classifier.tta)
    if kept is not None:
        return kept
    logits = classifier.logits(dataset.images, validation, progress=progress)
    hashes = image_hashes(dataset.images, validation)
    labels = dataset.labels[validation]
    StoredPredictions(labels, logits, hashes, classifier.weights_sha256, classifier.tta).write(run.path / FILE)
    return HeldOut(labels, logits, hash_prefixes(hashes))


def kept_predictions(run: RunDirectory, weights_sha256: str, tta: str) -> HeldOut | None:
    """What validation_predictions.npz holds, or None where it is missing, damaged, or of other weights or views."""
    kept = StoredPredictions.of_classifier(run.path / FILE, len(run.data.class_names), weights_sha256, tta)
    return None if kept is None else HeldOut(kept.labels, kept.logits, hash_prefixes(kept.image_sha256))


def calibrated(classifier: Classifier, method: CalibrationMethod, held_out: HeldOut) -> Classifier:
    """The same classifier, calibrated on its held-out predictions, which go with it."""
    calibration = fit_calibration(method, held_out.labels, held_out.logits, classifier.class_names)
    return classifier.having(calibration=calibration, held_out=held_out)
