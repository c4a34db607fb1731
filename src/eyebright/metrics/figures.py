"""All figures of labelled predictions, each with its 95% interval, from one pass over the predictions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eyebright.data.progress import shown
from eyebright.metrics.bootstrap import (
    DRAWS,
    error_interval,
    percentile_interval,
    proportion_interval,
    resampled_means,
    resampled_sums,
)
from eyebright.metrics.calibration_error import (
    BINS,
    chance_error,
    classwise_calibration_error,
    equal_mass_bins,
    expected_calibration_error,
    reliability_table,
)
from eyebright.metrics.class_scores import ClassCounts, divided, macro_mean, weighted_mean
from eyebright.metrics.roc_auc import RocAuc, roc_auc
from eyebright.metrics.scores import brier_losses, confusion_matrix, defined, log_losses, per_class_scores, ranks

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_Z95 = 1.96  # standard deviations of a normal distribution, that 97.5% of it lie below
Draws = dict[str, NDArray[np.float64]]


def accuracy_interval(
    labels: NDArray[np.int32], hits: NDArray[np.bool_], units: NDArray[np.int64] | None = None
) -> tuple[float, float]:
    """95% interval of an accuracy: Wilson's, or by the bootstrap over groups where images come in groups.

    Args:
        labels: int32 [N], N at least 1.
        hits: bool [N], whether each image's own class came first.
        units: int64 [N], the group of each image, from 0 without gaps; None where each image stands for itself.
    """
    draws = None if units is None else resampled_means(hits, labels, units)
    interval = proportion_interval(hits, units, draws)
    if interval is None:
        raise ValueError("of no images there is no accuracy")
    return interval


def all_figures(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.float64],
    class_names: tuple[str, ...],
    *,
    units: NDArray[np.int64] | None = None,
    top_k: int | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    progress: bool = False,
) -> dict[str, Any]:
    """Every figure that `evaluate` gives, by the name that it has there; `<name>_ci95` is its 95% interval.

    Intervals of shares (accuracy, top-k accuracy, precision, recall) are Wilson's, those of the ROC's areas DeLong's,
    all others the bootstrap's percentiles, but for the calibration errors (`error_interval`).
    Where images come in groups, all of them are of groups. A figure or an interval that the images do not tell is None.

    Args:
        labels: int32 [N], N at least 1.
        probabilities: float64 [N, classes], each row summing to 1.
        class_names: in the order of the columns.
        units: int64 [N], the group of each image, from 0 without gaps; None where each image stands for itself.
        top_k: for a top-k accuracy; None for none.
        draws: of the bootstrap.
        seed: of the bootstrap.
        progress: whether the bootstrap shows a progress bar on standard error.
    """
    predictions = _Predictions(labels, probabilities, units, top_k)
    drawn = _draw(predictions, draws, seed, progress=progress)
    confusion = confusion_matrix(labels, probabilities)
    counts, areas = ClassCounts.of(confusion), roc_auc(labels, probabilities, units)
    figures: dict[str, Any] = {
        "n": len(labels),
        "groups": None if units is None else int(units.max()) + 1,
        **_shares(predictions, drawn),
        "balanced_accuracy": defined(macro_mean(counts.recall)),
        "balanced_accuracy_ci95": percentile_interval(drawn["macro_recall"]),
        "macro": _means("macro", counts, drawn),
        "weighted": _means("weighted", counts, drawn),
    }
    for name, values in predictions.losses.items():
        figures |= {name: float(values.mean()), f"{name}_ci95": percentile_interval(drawn[name])}
    areas_of_all = {name: getattr(areas, name) for name in ("macro", "macro_ci95", "weighted", "weighted_ci95")}
    return {
        **figures,
        "roc_auc": areas_of_all,
        **_calibration(labels, probabilities, drawn),
        "confusion_matrix": confusion,
        "per_class": _per_class(predictions, confusion, class_names, areas, drawn),
    }


class _Predictions:
    """Labelled predictions, and what several figures need of them."""

    def __init__(
        self,
        labels: NDArray[np.int32],
        probabilities: NDArray[np.float64],
        units: NDArray[np.int64] | None,
        top_k: int | None,
    ) -> None:
        self.labels, self.probabilities, self.units, self.top_k = labels, probabilities, units, top_k
        self.places = ranks(labels, probabilities)  # [N]
        self.losses = {
            "log_loss": log_losses(labels, probabilities),
            "brier_score": brier_losses(labels, probabilities),
        }

    def interval(
        self, hits: NDArray[np.bool_], inside: NDArray[np.bool_], draws: NDArray[np.float64]
    ) -> tuple[float, float] | None:
        """Of the share of hits among the images inside."""
        return proportion_interval(hits[inside], None if self.units is None else self.units[inside], draws)


def _shares(predictions: _Predictions, drawn: Draws) -> dict[str, Any]:
    """Accuracy and top-k accuracy."""
    figures: dict[str, Any] = {"top_k": predictions.top_k}
    everyone = np.ones(len(predictions.labels), bool)
    for name, k in (("accuracy", 1), ("top_k_accuracy", predictions.top_k)):
        if k is None:
            figures |= {name: None, f"{name}_ci95": None}
            continue
        hits = predictions.places < k
        figures |= {
            name: float(hits.mean()),
            f"{name}_ci95": predictions.interval(hits, everyone, drawn[name]),
        }
    return figures


def _per_class(
    predictions: _Predictions,
    confusion: NDArray[np.int64],
    class_names: tuple[str, ...],
    areas: RocAuc,
    drawn: Draws,
) -> list[dict[str, Any]]:
    labels, taken = predictions.labels, predictions.probabilities.argmax(axis=1)
    rows = per_class_scores(confusion, class_names)
    for label, row in enumerate(rows):
        own, named = labels == label, taken == label
        row["precision_ci95"] = predictions.interval(own, named, drawn["precision"][:, label])
        row["recall_ci95"] = predictions.interval(named, own, drawn["recall"][:, label])
        row["f1_ci95"] = percentile_interval(drawn["f1"][:, label])
        row["roc_auc"], row["roc_auc_ci95"] = areas.per_class[label], areas.per_class_ci95[label]
    return rows


def _means(kind: str, counts: ClassCounts, drawn: Draws) -> dict[str, Any]:
    """The means of precision, recall and F1 over the classes, with their intervals."""
    means: dict[str, Any] = {}
    for name in ("precision", "recall", "f1"):
        values = getattr(counts, name)
        mean = macro_mean(values) if kind == "macro" else weighted_mean(values, counts.support)
        means |= {name: defined(mean), f"{name}_ci95": percentile_interval(drawn[f"{kind}_{name}"])}
    return means


def _calibration(labels: NDArray[np.int32], probabilities: NDArray[np.float64], drawn: Draws) -> dict[str, Any]:
    ece = expected_calibration_error(labels, probabilities)
    classwise = classwise_calibration_error(labels, probabilities)
    by_chance, deviation = chance_error(probabilities.max(axis=1))
    of_classes = np.array([chance_error(column) for column in probabilities.T])  # [classes, 2]
    classwise_deviation = np.sqrt(np.square(of_classes[:, 1]).sum()) / len(of_classes)
    return {
        "ece": ece,
        "ece_ci95": error_interval(ece, drawn["ece"], by_chance + _Z95 * deviation),
        "ece_if_calibrated": by_chance,
        "ece_bins": BINS,
        "classwise_ece": classwise,
        "classwise_ece_ci95": error_interval(
            classwise, drawn["classwise_ece"], float(of_classes[:, 0].mean() + _Z95 * classwise_deviation)
        ),
        "reliability": reliability_table(labels, probabilities),
    }


def _draw(predictions: _Predictions, draws: int, seed: int, *, progress: bool) -> Draws:
    """What the bootstrap's draws make of each figure: float64 [draws], or [draws, classes] of a class's figure."""
    from scipy.sparse import csr_array, hstack

    labels, probabilities, places = predictions.labels, predictions.probabilities, predictions.places
    classes = probabilities.shape[1]
    # A column for each sum that a figure needs; most are sparse, one number an image or one a class of it.
    columns = {
        "hits": _one_hot(labels, classes, places == 0),
        "support": _one_hot(labels, classes),
        "taken": _one_hot(probabilities.argmax(axis=1), classes),
        "gaps": _gaps(places == 0, probabilities.max(axis=1)),
        "class_gaps": hstack([_gaps(labels == label, probabilities[:, label]) for label in range(classes)]),
        "top_k": csr_array((places < (predictions.top_k or 0)).astype(np.float64)[:, np.newaxis]),
        **{name: csr_array(values[:, np.newaxis]) for name, values in predictions.losses.items()},
    }
    values = hstack(list(columns.values()), format="csr")
    ends = np.cumsum([part.shape[1] for part in columns.values()])[:-1]
    chunks_of_sums = resampled_sums(values, labels, predictions.units, draws, seed)
    chunks = [
        _figures_of(dict(zip(columns, np.split(sums, ends, axis=1), strict=True)), classes)
        for sums in shown(chunks_of_sums, "Intervals", draws, len, progress=progress)
    ]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _figures_of(sums: Draws, classes: int) -> Draws:
    counts = ClassCounts(sums["hits"], sums["support"], sums["taken"])
    of_class = {"precision": counts.precision, "recall": counts.recall, "f1": counts.f1}
    n = counts.support.sum(axis=1)  # of groups, draws hold more or fewer images
    return {
        **of_class,
        **{f"macro_{name}": macro_mean(values) for name, values in of_class.items()},
        **{f"weighted_{name}": weighted_mean(values, counts.support) for name, values in of_class.items()},
        **{name: divided(sums[name][:, 0], n) for name in ("log_loss", "brier_score")},
        "accuracy": divided(counts.hits.sum(axis=1), n),
        "top_k_accuracy": divided(sums["top_k"][:, 0], n),
        "ece": divided(np.abs(sums["gaps"]).sum(axis=1), n),
        "classwise_ece": divided(np.abs(sums["class_gaps"]).sum(axis=1), n) / classes,
    }


def _one_hot(numbers: NDArray[Any], size: int, where: NDArray[np.bool_] | None = None) -> csr_array:
    """[N, size] with a 1 in each row at its number, or none where that is not wanted."""
    from scipy.sparse import csr_array

    n = len(numbers)
    values = np.ones(n) if where is None else where.astype(np.float64)
    return csr_array((values, numbers, np.arange(n + 1)), shape=(n, size))


def _gaps(outcomes: NDArray[np.bool_], predictions: NDArray[np.float64]) -> csr_array:
    """[N, bins]: of each image, in the column of its bin, outcome - prediction."""
    from scipy.sparse import csr_array

    bins = equal_mass_bins(predictions)
    n = len(bins)
    return csr_array((outcomes - predictions, bins, np.arange(n + 1)), shape=(n, int(bins.max()) + 1))
