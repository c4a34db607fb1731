"""A run's classifier, calibrated on its answers to the run's validation images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.arrays import arrays_to_npz, npz_to_arrays
from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset, hash_prefixes, image_hashes
from eyebright.held_out import HeldOut
from eyebright.metrics.calibration import DEFAULT_METHOD, CalibrationMethod
from eyebright.metrics.calibration_fit import fit_calibration
from eyebright.run_directory import RunDirectory
from eyebright.settings import Settings
from eyebright.storage import write_file

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
    arrays: dict[str, NDArray[Any]] = {
        "labels": dataset.labels[validation],
        "logits": logits,
        "image_sha256": hashes,
        "weights_sha256": np.array(classifier.weights_sha256),
    }
    if classifier.tta != "none":
        arrays["tta"] = np.array(classifier.tta)
    write_file(run.path / FILE, arrays_to_npz(arrays))
    return HeldOut(dataset.labels[validation], logits, hash_prefixes(hashes))


def kept_predictions(run: RunDirectory, weights_sha256: str, tta: str) -> HeldOut | None:
    """What validation_predictions.npz holds, or None where it is missing, damaged, or of other weights or views."""
    try:
        arrays = npz_to_arrays((run.path / FILE).read_bytes())
        if (str(arrays["weights_sha256"]), str(arrays.get("tta", "none"))) != (weights_sha256, tta):
            return None
        keys = hash_prefixes(arrays["image_sha256"])
        return HeldOut.from_arrays({**arrays, "keys": keys}, len(run.data.class_names))
    except (OSError, ValueError, KeyError, IndexError):
        return None


def calibrated(classifier: Classifier, method: CalibrationMethod, held_out: HeldOut) -> Classifier:
    """The same classifier, calibrated on its held-out predictions, which go with it."""
    calibration = fit_calibration(method, held_out.labels, held_out.logits, classifier.class_names)
    return classifier.having(calibration=calibration, held_out=held_out)
