"""How `eyebright evaluate` prints its figures for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eyebright.cli.output import print_table

if TYPE_CHECKING:
    from rich.table import Table

    from eyebright.evaluation.evaluate import Evaluation

_MOST_CLASSES_SHOWN = 20  # a larger confusion matrix is for --json


def print_evaluation(evaluation: Evaluation, what: str) -> None:
    """Print all figures with their intervals.

    Args:
        evaluation: the figures.
        what: of which images they are.
    """
    from eyebright.views import VIEWS

    print(f"Accuracy {_figure(evaluation.accuracy, evaluation.accuracy_ci95, 4)} on {evaluation.n:,} images ({what})")
    print(f"Test-time augmentation {evaluation.tta}: {VIEWS[evaluation.tta]}")
    print(f"Calibration of the probabilities: {evaluation.calibration}")
    print(f"95% intervals: where a figure would lie with other images of the same kind.{_groups(evaluation)}")
    print_table(_summary(evaluation))
    print("Per class, with 95% intervals:")
    print_table(_class_table(evaluation))
    print("Reliability: how often images are right that are predicted with such a confidence")
    print_table(_reliability_table(evaluation))
    if len(evaluation.class_names) <= _MOST_CLASSES_SHOWN:
        print("Confusion matrix, an image's class down, what it was taken for across:")
        print_table(_confusion_table(evaluation))


def _groups(evaluation: Evaluation) -> str:
    if evaluation.groups is None:
        return ""
    return f" Images of one group, or the same twice, count together: {evaluation.n:,} images as {evaluation.groups:,}."


def _summary(evaluation: Evaluation) -> Table:
    from rich.table import Table

    figures = evaluation.to_dict()
    table = Table("all classes", "figure", "95% interval")
    rows: list[tuple[str, dict[str, Any], str]] = [
        (f"top-{evaluation.top_k} accuracy", figures, "top_k_accuracy"),
        ("balanced accuracy (mean recall of the classes)", figures, "balanced_accuracy"),
        *((f"{name}, mean over classes", figures["macro"], name.lower()) for name in ("precision", "F1")),
        *((f"{name}, mean over images", figures["weighted"], name.lower()) for name in ("precision", "F1")),
        ("ROC AUC, one class against the rest, mean over classes", figures["roc_auc"], "macro"),
        ("ROC AUC, mean over images", figures["roc_auc"], "weighted"),
        ("log loss (lower is better)", figures, "log_loss"),
        ("Brier score (lower is better)", figures, "brier_score"),
        (
            f"ECE, {evaluation.ece_bins} equal-mass bins (by chance alone {evaluation.ece_if_calibrated:.4f})",
            figures,
            "ece",
        ),
        ("classwise ECE", figures, "classwise_ece"),
    ]
    for title, where, name in rows:
        if name != "top_k_accuracy" or evaluation.top_k is not None:
            interval = where[f"{name}_ci95"]
            shown = "–" if interval is None else "{:.4f} to {:.4f}".format(*interval)
            table.add_row(title, _figure(where[name], None, 4), shown)
    return table


def _class_table(evaluation: Evaluation) -> Table:
    from rich.table import Table

    table = Table("class", "images", "precision", "recall", "F1", "ROC AUC")
    for row in evaluation.per_class:
        figures = (_figure(row[name], row[f"{name}_ci95"]) for name in ("precision", "recall", "f1", "roc_auc"))
        table.add_row(row["label"], f"{row['support']:,}", *figures)
    return table


def _reliability_table(evaluation: Evaluation) -> Table:
    from rich.table import Table

    table = Table("confidence", "images", "mean confidence", "accuracy")
    for row in evaluation.reliability:
        table.add_row(
            f"{row['lowest_confidence']:.3f} to {row['highest_confidence']:.3f}",
            f"{row['images']:,}",
            f"{row['mean_confidence']:.3f}",
            _figure(row["accuracy"], row["accuracy_ci95"]),
        )
    return table


def _confusion_table(evaluation: Evaluation) -> Table:
    from rich.table import Table

    table = Table("", *evaluation.class_names)
    for name, row in zip(evaluation.class_names, evaluation.confusion_matrix.tolist(), strict=True):
        table.add_row(name, *(f"{count:,}" if count else "·" for count in row))
    return table


def _figure(value: float | None, interval: tuple[float, float] | None, digits: int = 3) -> str:
    if value is None:
        return "–"
    if interval is None:
        return f"{value:.{digits}f}"
    words = "95% interval " if digits == 4 else ""
    return f"{value:.{digits}f} ({words}{interval[0]:.{digits}f} to {interval[1]:.{digits}f})"
