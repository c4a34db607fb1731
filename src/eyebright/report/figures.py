"""The figures of a report, from what a run kept of its test images: no model meets them again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from eyebright.kept_predictions import Answers
from eyebright.metrics.calibration import Calibration
from eyebright.metrics.calibration_error import expected_calibration_error, reliability_table
from eyebright.metrics.figures import all_figures
from eyebright.metrics.selective import risk_coverage_curve
from eyebright.report.charts import Line, line_chart

_TOP_K = 5  # where there are more classes
_COVERAGES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)  # of the table beside the curve
_MOST_POINTS = 500  # of the curve


@dataclass(frozen=True)
class TestAnswers:
    """A classifier's answers to its run's test images, as its probabilities are calibrated.

    Attributes:
        labels: int32 [n].
        probabilities: float64 [n, classes].
        taken: int64 [n], the class that comes first.
        losses: float64 [n], -ln of the probability of the image's own class.
        uncalibrated: float64 [n, classes], the softmax of the logits.
        units: int64 [n], or None; see `Answers`.
        method: of the calibration.
    """

    labels: NDArray[np.int32]
    probabilities: NDArray[np.float64]
    taken: NDArray[np.int64]
    losses: NDArray[np.float64]
    uncalibrated: NDArray[np.float64]
    units: NDArray[np.int64] | None
    method: str

    @classmethod
    def of(cls, answers: Answers) -> TestAnswers:
        """From what a run kept."""
        logs = answers.calibration.log_probabilities(answers.logits)
        probabilities = np.exp(logs)
        return cls(
            answers.labels,
            probabilities,
            probabilities.argmax(axis=1),
            -logs[np.arange(len(logs)), answers.labels],
            Calibration().probabilities(answers.logits),
            answers.units,
            answers.calibration.method,
        )


def figures_of(answers: TestAnswers, class_names: tuple[str, ...], *, progress: bool) -> dict[str, Any]:
    """All that `evaluate` gives, by its names, from the kept answers."""
    top_k = _TOP_K if len(class_names) > _TOP_K else None
    return all_figures(
        answers.labels, answers.probabilities, class_names, units=answers.units, top_k=top_k, progress=progress
    )


def summary(figures: dict[str, Any]) -> list[tuple[str, float | None, tuple[float, float] | None]]:
    """Rows of the table of figures over all classes: title, figure, interval."""
    rows: list[tuple[str, dict[str, Any], str]] = [
        ("Accuracy", figures, "accuracy"),
        (f"Top-{figures['top_k']} accuracy", figures, "top_k_accuracy"),
        ("Balanced accuracy (mean recall of the classes)", figures, "balanced_accuracy"),
        ("Precision, mean over classes", figures["macro"], "precision"),
        ("F1, mean over classes", figures["macro"], "f1"),
        ("ROC AUC, one class against the rest, mean over classes", figures["roc_auc"], "macro"),
        ("Log loss (lower is better)", figures, "log_loss"),
        ("Brier score (lower is better)", figures, "brier_score"),
        ("Expected calibration error (lower is better)", figures, "ece"),
        ("Classwise calibration error (lower is better)", figures, "classwise_ece"),
    ]
    return [
        (title, where[name], where[f"{name}_ci95"])
        for title, where, name in rows
        if name != "top_k_accuracy" or figures["top_k"] is not None
    ]


def reliability(answers: TestAnswers, figures: dict[str, Any]) -> dict[str, Any]:
    """The reliability diagram, before and after calibration, for the template."""
    before, after = reliability_table(answers.labels, answers.uncalibrated), figures["reliability"]
    ece_before = expected_calibration_error(answers.labels, answers.uncalibrated)
    is_calibrated = answers.method != "none"
    series = [_reliability_line("calibrated" if is_calibrated else "", after, dashed=False)]
    if is_calibrated:
        series.append(_reliability_line("before calibration", before, dashed=True))
    description = (
        f"Reliability diagram: accuracy over confidence in {len(after)} bins of as many images each. Expected "
        f"calibration error {figures['ece']:.4f}; of the bare softmax {ece_before:.4f}. The table below says it."
    )
    return {
        "method": answers.method,
        "ece_before": ece_before,
        "after": after,
        "chart": line_chart(
            "reliability", description, series, labels=("confidence", "accuracy"), size=(4.6, 3.8), unit_square=True
        ),
    }


def risk_coverage(answers: TestAnswers) -> dict[str, Any]:
    """The risk-coverage curve, its area and a table of it, for the template."""
    confidences = answers.probabilities.max(axis=1)
    curve = risk_coverage_curve(confidences, answers.taken == answers.labels)
    rows = []
    for asked in _COVERAGES:
        place = min(int(np.searchsorted(curve.coverage, asked - 1e-12)), len(curve.coverage) - 1)
        found = (curve.coverage[place], curve.risk[place], curve.thresholds[place])
        rows.append(tuple(float(value) for value in found))
    shown = np.unique(np.linspace(0, len(curve.coverage) - 1, _MOST_POINTS).astype(int))
    description = (
        f"Share of wrong answers over the share of images that are answered: {rows[0][1]:.4f} at {rows[0][0]:.2f}, "
        f"{rows[-1][1]:.4f} at 1. The table below has the figures."
    )
    line = Line("", curve.coverage[shown].tolist(), curve.risk[shown].tolist())
    chart: Markup = line_chart(
        "risk-coverage", description, [line], labels=("coverage: share answered", "risk: share of these wrong")
    )
    return {"area": curve.area, "rows": rows, "chart": chart}


def _reliability_line(name: str, table: list[dict[str, Any]], *, dashed: bool) -> Line:
    interval = ([row["accuracy_ci95"][0] for row in table], [row["accuracy_ci95"][1] for row in table])
    return Line(
        name,
        [row["mean_confidence"] for row in table],
        [row["accuracy"] for row in table],
        None if dashed else interval,
        dashed=dashed,
        points=True,
    )
