"""Label errors: images whose label the classifiers that did not learn from them contradict.

Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 2021, as cleanlab has
it.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from eyebright.cross_validation import cross_validate, resume_cross_validation
from eyebright.data.audit import Finding
from eyebright.data.catalog import CATALOG
from eyebright.data.dataset import Dataset
from eyebright.data.grouping import same_pixels_together
from eyebright.errors import DataError, MissingExtraError, RunError, TrainingInterrupted
from eyebright.paths import whole_path
from eyebright.picture_options import PictureOptions
from eyebright.presets import resolve_settings
from eyebright.run_directory import RunDirectory
from eyebright.settings import Settings

FOLDS = 3
_SMALLEST_FOR_CNN = 16  # pixels of the shorter side; what is smaller, or grey, is fc's
_LEAST_STEPS = 300  # of a training; the presets' few epochs are not that many on few images


class LabelError(NamedTuple):
    """An image that is probably labelled wrongly.

    Attributes:
        image: its index in the data set.
        given: its label, an index into the class names.
        suggested: the label that is more likely.
        confidence: the probability of that label, 0 … 1, by a classifier that did not learn from the image.
        doubt: the probability of the given label.
    """

    image: int
    given: int
    suggested: int
    confidence: float
    doubt: float


def find_label_errors(
    dataset: Dataset,
    *,
    options: PictureOptions | None = None,
    folds: int = FOLDS,
    run_dir: str | Path | None = None,
    console: Console | None = None,
) -> list[LabelError]:
    """Cross-validate our own `fast` model, and find the labels that its predictions contradict.

    Images of a split "test" are not looked at, and neither are those of classes with fewer images than there are folds,
    where all of a group count as one. No image is judged by a classifier that learned from one of its group or from a
    copy of it.

    Args:
        dataset: whose labels are checked.
        options: how its pictures were read, for the record; None for the defaults.
        folds: how often to train.
        run_dir: where to keep the cross-validation; one that is there already is gone on with, or used again where it
            is finished. None keeps nothing.
        console: where to show progress; None shows nothing.

    Returns:
        The images whose labels are probably wrong, the least likely label first.

    Raises:
        DataError: fewer than two classes have as many images as there are folds.
        MissingExtraError: cleanlab is not installed.
        RunError: the directory is of other data, or of other folds.
        TrainingInterrupted: Ctrl-C or SIGTERM; with a directory, what was done is kept.
    """
    _find_label_issues()  # that it is missing is known before minutes of training
    dataset = same_pixels_together(dataset)
    checked = _checked(dataset, folds)
    settings = label_error_settings(dataset, len(checked) - math.ceil(len(checked) / folds), options)
    with ExitStack() as stack:
        directory = Path(run_dir or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "runs")
        part = replace(dataset, splits={"train": checked})
        try:
            if os.path.lexists(directory):
                _check_folds(directory, folds)
                result = resume_cross_validation(directory, part, console=console, title=_TITLE)
            else:
                result = cross_validate(settings, part, directory, folds=folds, console=console, title=_TITLE)
        except TrainingInterrupted as error:
            kept = "Give the same command again to go on." if run_dir else "Nothing of it was kept; --run-dir keeps it."
            message = f"{str(error).partition(';')[0]}, while labels were being checked. {kept}"
            raise TrainingInterrupted(message, error.exit_code - 128) from error
    places = rank_label_errors(dataset.labels[result.images], result.probabilities)
    return [_label_error(dataset, int(result.images[place]), result.probabilities[place]) for place in places]


_TITLE = "Checking labels: fold"


def label_error_settings(dataset: Dataset, training_images: int, options: PictureOptions | None = None) -> Settings:
    """The settings of the training: the preset `fast`, of cnn for colour images of 16 pixels and more, else of fc.

    No image is kept for validation, as nothing is chosen, and few images are gone through more often than the preset
    says.

    Args:
        dataset: of which the size and the channels of the images are read.
        training_images: how many images each training has.
        options: how its pictures were read; None for the defaults.
    """
    height, width, channels = dataset.image_shape
    model = "cnn" if channels == 3 and min(height, width) >= _SMALLEST_FOR_CNN else "fc"
    read = {} if options is None else {name: getattr(options, name) for name in options.given}
    if "exclude" in read:
        read["exclude"] = whole_path(read["exclude"])
    name = dataset.source.partition(":")[0]
    data = name if name in CATALOG else dataset.source or None
    resolved = resolve_settings({"preset": "fast", "model": model, "data": data, "validation": 0.0, **read})
    settings, _ = resolved.fitted(training_images, dataset.image_shape)
    epochs = math.ceil(_LEAST_STEPS / max(1, training_images // settings.batch_size))
    return settings.model_copy(update={"epochs": max(epochs, settings.epochs or 0)})


def rank_label_errors(labels: NDArray[np.int32], probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
    """The images whose labels are probably wrong, those first whose label has the least probability.

    Args:
        labels: int32 [N].
        probabilities: float [N, classes], by classifiers that did not learn from the image.

    Returns:
        int64 [n], places in `labels`; n is at most cleanlab's estimate of how many are wrong.

    Raises:
        MissingExtraError: cleanlab is not installed.
    """
    find_label_issues = _find_label_issues()
    present, known = np.unique(labels, return_inverse=True)
    shares = probabilities[:, present].astype(np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    # On CIFAR-10 with flipped labels this way reports fewer images than cleanlab's default, and more of the flipped
    # ones; ranked by the normalised margin, a third fewer of them are among the first.
    ranked = find_label_issues(
        known, shares, filter_by="low_self_confidence", return_indices_ranked_by="self_confidence", n_jobs=1
    )
    doubted: NDArray[np.int64] = ranked[shares[ranked].argmax(axis=1) != known[ranked]]
    return doubted


def _find_label_issues() -> Callable[..., NDArray[np.int64]]:
    """Cleanlab's function of that name."""
    try:
        from cleanlab.filter import find_label_issues
    except ModuleNotFoundError as error:
        raise MissingExtraError("The search for label errors", "train") from error
    found: Callable[..., NDArray[np.int64]] = find_label_issues
    return found


def _check_folds(directory: Path, folds: int) -> None:
    """Refuse a cross-validation of another number of folds; a run, which has none, is refused where it is resumed."""
    own = RunDirectory.open_any(directory).data.folds
    if own not in (None, folds):
        raise RunError(f"{directory}: it has {own} folds, not {folds}. Name another directory.")


def label_error_findings(dataset: Dataset, errors: list[LabelError]) -> list[Finding]:
    """Label errors as `check` reports them, in their order."""
    return [_finding(dataset, error) for error in errors]


def _finding(dataset: Dataset, error: LabelError) -> Finding:
    path, names = dataset.path(error.image), dataset.class_names
    given, suggested = names[error.given], names[error.suggested]
    return Finding(
        "label-error",
        f"{path}: labelled {given!r} (probability {error.doubt:.2f}), more likely {suggested!r} "
        f"({error.confidence:.2f})",
        (path,),
        (path,),
        {"given_label": given, "suggested_label": suggested, "confidence": round(error.confidence, 4)},
    )


def _label_error(dataset: Dataset, image: int, probabilities: NDArray[np.floating]) -> LabelError:
    given, suggested = int(dataset.labels[image]), int(probabilities.argmax())
    return LabelError(image, given, suggested, float(probabilities[suggested]), float(probabilities[given]))


def _checked(dataset: Dataset, folds: int) -> NDArray[np.int64]:
    """Int64 [n], ascending: the images whose labels are checked."""
    images = np.setdiff1d(np.arange(len(dataset)), dataset.splits.get("test", np.empty(0, np.int64)))
    groups = np.full(len(dataset), -1) if dataset.groups is None else dataset.groups
    units = np.where(groups < 0, len(dataset) + np.arange(len(dataset)), groups)  # what is in no group is one itself
    distinct = np.unique(np.stack([dataset.labels, units])[:, images], axis=1)  # [2, n]: labels, and units of them
    enough = np.bincount(distinct[0], minlength=len(dataset.class_names)) >= folds
    if enough.sum() < 2:
        raise DataError(
            f"{dataset.name}: labels cannot be checked: fewer than two classes have {folds} images or more. Add images."
        )
    return images[enough[dataset.labels[images]]]
