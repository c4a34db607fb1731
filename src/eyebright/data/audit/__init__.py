"""What may be wrong with a data set, before anyone trains on it: one file a kind of finding.

`audit` looks at everything, `quick_audit` at what costs next to nothing, for the start of every training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from eyebright.data.audit.classes import class_findings
from eyebright.data.audit.collection import Collection, collect
from eyebright.data.audit.files import (
    kind_of_pixels,
    misnamed_files,
    odd_modes,
    odd_proportions,
    odd_sizes,
    unreadable_files,
)
from eyebright.data.audit.near_twins import find_near_twins
from eyebright.data.audit.pictures import constant_images
from eyebright.data.audit.report import Finding, Report, refuse_findings, summary_line, write_exclusions
from eyebright.data.audit.signals import shortcut_findings
from eyebright.data.audit.twins import exact_twins, leakage_note, twin_findings
from eyebright.data.dataset import Dataset

__all__ = [
    "Collection",
    "Finding",
    "Report",
    "audit",
    "collect",
    "quick_audit",
    "refuse_findings",
    "summary_line",
    "write_exclusions",
]

_MOST_SIZES = 10  # in the overview; the rest are counted together


def audit(collection: Collection, *, progress: bool = False) -> Report:
    """Look at everything: files, twins, near twins, what images show, classes, and what gives them away.

    Args:
        collection: the data.
        progress: whether the search for near twins shows a progress bar on standard error.
    """
    findings = unreadable_files(collection) + misnamed_files(collection)
    findings += odd_proportions(collection) + odd_sizes(collection) + odd_modes(collection)
    notes = list(collection.notes)
    dataset = collection.dataset
    if dataset is not None:
        findings += _of_images(dataset, collection.empty_classes)
        near = find_near_twins(dataset, progress=progress)
        findings += twin_findings(dataset, near.groups, near=True)
        findings += shortcut_findings(dataset, collection.files)
        notes += near.notes
        notes += filter(None, [leakage_note(dataset, findings)])
    return Report(collection.name, collection.images, tuple(findings), _overview(collection), tuple(notes))


def quick_audit(dataset: Dataset) -> Report:
    """Look at what costs next to nothing: exact twins, images that show nothing, numbers of images."""
    findings = _of_images(dataset, ())
    note = leakage_note(dataset, findings)
    return Report(dataset.name, len(dataset), tuple(findings), notes=(note,) if note else ())


def _of_images(dataset: Dataset, empty_classes: tuple[str, ...]) -> list[Finding]:
    return [
        *class_findings(dataset, empty_classes),
        *twin_findings(dataset, exact_twins(dataset), near=False),
        *constant_images(dataset),
    ]


def _overview(collection: Collection) -> Mapping[str, Mapping[str, int]]:
    """Counts of what there is, the most frequent first."""
    dataset, files = collection.dataset, collection.files
    overview: dict[str, dict[str, int]] = {}
    if dataset is not None:
        overview["classes"] = dict(zip(dataset.class_names, dataset.class_counts().tolist(), strict=True))
        overview["splits"] = {name: len(indices) for name, indices in dataset.splits.items()}
        height, width, _ = dataset.image_shape
        sizes = Counter(f"{file.size[1]} × {file.size[0]}" for file in files) or {f"{width} × {height}": len(dataset)}
        overview["sizes"] = _most_frequent(Counter(sizes))
        overview["pixels"] = _most_frequent(Counter(map(kind_of_pixels, files)))
        overview["formats"] = _most_frequent(Counter(file.format for file in files))
    return {name: counts for name, counts in overview.items() if counts}


def _most_frequent(counts: Counter[str]) -> dict[str, int]:
    shown = dict(counts.most_common(_MOST_SIZES))
    if others := counts.total() - sum(shown.values()):
        shown["others"] = others
    return shown
