"""A classifier over labelled images: exact figures over all of them, with their intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.data.grouping import units_of_images
from eyebright.errors import ClassifierError, DataError, SettingsError
from eyebright.metrics.calibration import CalibrationMethod
from eyebright.metrics.figures import all_figures
from eyebright.settings import TestTimeAugmentation

Interval = tuple[float, float] | None
_TOP_K = 5  # where there are more classes


@dataclass(frozen=True)
class Evaluation:
    """How good a classifier is on some labelled images.

    An attribute `<name>_ci95` is the 95% interval of `<name>`: with other images of the same kind, as many in each
    class, the figure would lie there. Which method makes it, `all_figures` says. None where the images do not tell.

    Attributes:
        class_names: in the order of the rows and columns below.
        tta: the views of each image that the classifier answered by.
        calibration: the method by which its probabilities are calibrated; "none" for those of a checkpoint.
        n: number of images.
        groups: of how many groups they are (an image in none counts as one), and all intervals are of groups; None
            where each stands for itself.
        accuracy: share of images whose own class came first, 0 … 1.
        top_k: the k of `top_k_accuracy`; None for none.
        top_k_accuracy: share of images whose own class was among the first k.
        balanced_accuracy: mean recall of the classes.
        macro: `precision`, `recall` and `f1`, each a mean over the classes for which it is defined.
        weighted: the same, each class counted as often as it has images.
        log_loss: mean cross-entropy, nats.
        brier_score: mean squared distance of the probabilities from the truth, 0 (best) … 2.
        roc_auc: `macro` and `weighted`, means over the classes of the area under the ROC curve, one against the rest.
        ece: expected calibration error, by equal-mass bins of the confidence.
        ece_if_calibrated: about what it would be by chance, were each confidence exactly right.
        ece_bins: number of bins at most.
        classwise_ece: the calibration error of each class's own probability, mean over the classes.
        reliability: one dict a bin, see `reliability_table`.
        confusion_matrix: int64 [classes, classes]; row: the image's class, column: what it was taken for.
        per_class: for each class its name, support, precision, recall, F1 and ROC AUC, with intervals; None where a
            figure is not defined, as the recall of a class without images.
    """

    class_names: tuple[str, ...]
    tta: TestTimeAugmentation
    calibration: CalibrationMethod
    n: int
    groups: int | None
    accuracy: float
    accuracy_ci95: tuple[float, float]
    top_k: int | None
    top_k_accuracy: float | None
    top_k_accuracy_ci95: Interval
    balanced_accuracy: float
    balanced_accuracy_ci95: Interval
    macro: dict[str, Any]
    weighted: dict[str, Any]
    log_loss: float
    log_loss_ci95: Interval
    brier_score: float
    brier_score_ci95: Interval
    roc_auc: dict[str, Any]
    ece: float
    ece_ci95: Interval
    ece_if_calibrated: float
    ece_bins: int
    classwise_ece: float
    classwise_ece_ci95: Interval
    reliability: list[dict[str, Any]]
    confusion_matrix: NDArray[np.int64]
    per_class: list[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """All of it as JSON has it."""
        return {**asdict(self), "confusion_matrix": self.confusion_matrix.tolist()}


def evaluate(
    classifier: Classifier,
    dataset: Dataset,
    indices: NDArray[np.int64] | None = None,
    *,
    top_k: int | None = None,
    progress: bool = False,
) -> Evaluation:
    """Evaluate a classifier as it answers, over every image once, the last partial batch included.

    Args:
        classifier: whose classes are those of the data set, by name; their order may differ.
        dataset: labelled images of the classifier's size. Images of one group count as such in the intervals.
        indices: int64 [n], which of the images; None for all.
        top_k: for the top-k accuracy, 1 … classes - 1; by default 5 where there are more classes, else none.
        progress: whether to show a progress bar on standard error.

    Raises:
        DataError: other classes, or images of another size, or none.
        SettingsError: a `top_k` that is none.
        ClassifierError: the classifier's logits are not finite.
    """
    chosen = np.arange(len(dataset)) if indices is None else indices
    if not len(chosen):
        raise DataError(f"{dataset.name}: there are no images to evaluate on.")
    k = checked_top_k(top_k, len(classifier.class_names))
    labels = labels_as_the_classifier_counts(classifier, dataset)[chosen]  # [n]
    logits = classifier.logits(dataset.images, chosen, progress=progress)  # [n, classes]
    _check_finite(dataset, chosen, logits)
    figures = all_figures(
        labels,
        classifier.calibration.probabilities(logits),
        classifier.class_names,
        units=units_of_images(dataset, chosen),
        top_k=k,
        progress=progress,
    )
    return Evaluation(
        class_names=classifier.class_names, tta=classifier.tta, calibration=classifier.calibration.method, **figures
    )


def checked_top_k(top_k: int | None, classes: int) -> int | None:
    """The k of the top-k accuracy: what was asked for, or 5 where there are more classes; None for none.

    Raises:
        SettingsError: a k that is none, or as large as every image has its class among the first k.
    """
    if top_k is None:
        return _TOP_K if classes > _TOP_K else None
    if not 1 <= top_k < classes:
        raise SettingsError(f"--top-k {top_k}: of {classes} classes, k must lie in 1 … {classes - 1}.")
    return top_k


def _check_finite(dataset: Dataset, indices: NDArray[np.int64], logits: NDArray[np.floating]) -> None:
    """Raise ClassifierError where a logit is not a number or infinite: no figure could be trusted."""
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if bad.size:
        raise ClassifierError(
            f"{dataset.name}: the classifier's logits are not finite for {bad.size:,} of {len(logits):,} images (the "
            f"first: image {dataset.path(int(indices[bad[0]]))}): its weights are too large or damaged. Train anew "
            "with a lower --learning-rate or with --clip-norm 1."
        )


def labels_as_the_classifier_counts(classifier: Classifier, dataset: Dataset) -> NDArray[np.int32]:
    """The data set's labels, int32 [N], as indices into the classifier's class names: matched by name, not by place."""
    unknown = set(dataset.class_names) ^ set(classifier.class_names)
    if unknown:
        name = sorted(unknown)[0]
        has, lacks = ("data", "classifier") if name in dataset.class_names else ("classifier", "data")
        raise DataError(
            f"{dataset.name}: its classes are not the classifier's: the {has} has {name!r}, the {lacks} does not "
            f"({len(dataset.class_names)} classes against {len(classifier.class_names)})."
        )
    places = np.array([classifier.class_names.index(name) for name in dataset.class_names], np.int32)
    return places[dataset.labels]
