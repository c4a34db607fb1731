"""Findings about classes: those without images, with very few, and of very different sizes."""

from __future__ import annotations

import numpy as np

from eyebright.data.audit.report import Finding
from eyebright.data.dataset import Dataset

_FEW = 10  # images of a class: with fewer, neither learning nor a split has much to go by
_UNEQUAL = 5  # times as many images of the largest class as of the smallest


def class_findings(dataset: Dataset, empty_classes: tuple[str, ...] = ()) -> list[Finding]:
    """Findings about the classes' numbers of images, those that are trained on where that is known.

    Args:
        dataset: the images.
        empty_classes: classes that have none, by the names of their folders.
    """
    trained_on = dataset.splits.get("train")
    counts = dataset.class_counts(trained_on)
    where = "training images" if trained_on is not None else "images"
    indices = np.arange(len(dataset)) if trained_on is None else trained_on
    findings = [Finding("empty-class", f"{name}: no picture is in this folder") for name in empty_classes]
    for label, name in enumerate(dataset.class_names):
        if counts[label] == 0:
            findings.append(Finding("empty-class", f"{name}: it has no {where}"))
        elif counts[label] < _FEW:
            members = tuple(dataset.path(index) for index in indices[dataset.labels[indices] == label].tolist())
            findings.append(Finding("small-class", f"{name}: {counts[label]} {where}", members))
    if "test" in dataset.splits:
        tested = dataset.class_counts(dataset.splits["test"])
        findings += [
            Finding("empty-class", f"{dataset.class_names[label]}: it has no test images")
            for label in np.flatnonzero((tested == 0) & (counts > 0))
        ]
    present = np.flatnonzero(counts)
    if len(present):
        largest, smallest = present[counts[present].argmax()], present[counts[present].argmin()]
        if counts[largest] >= _UNEQUAL * counts[smallest]:
            names = dataset.class_names
            findings.append(
                Finding(
                    "imbalance",
                    f"{counts[largest]:,} {where} of {names[largest]}, and {counts[smallest]:,} of {names[smallest]}",
                )
            )
    return findings
