"""A report as a page with thumbnails: one file, which loads nothing from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eyebright.data.audit.report import KINDS, Finding, Report
from eyebright.data.dataset import Dataset
from eyebright.data.thumbnails import thumbnail
from eyebright.html_page import render_page
from eyebright.storage import write_file

_PACKAGE = "eyebright.data.audit"
_MOST_FINDINGS = 100  # of a kind: a page of many thousand thumbnails is slow to open
_THUMBNAIL = 96  # pixels of the longer side of an image; page.html shows it at 6rem
_MOST_IMAGES = 12  # of a finding
_MOST_VALUES = 30  # of a row of the overview


def write_page(report: Report, dataset: Dataset | None, path: Path) -> None:
    """Write a report as an HTML page.

    Args:
        report: what was found.
        dataset: where the images are; None where none can be read.
        path: of the page. What was under that name is replaced.

    Raises:
        StorageError: it cannot be written.
        MissingExtraError: Jinja is not installed.
    """
    places = {dataset.path(index): index for index in range(len(dataset))} if dataset is not None else {}
    sections = [
        {
            "kind": kind,
            "about": KINDS[kind],
            "count": count,
            "findings": [_shown(finding, dataset, places) for finding in report.of_kind(kind)[:_MOST_FINDINGS]],
        }
        for kind, count in report.counts.items()
    ]
    overview = [
        (name, {"shown": list(counts.items())[:_MOST_VALUES], "more": max(0, len(counts) - _MOST_VALUES)})
        for name, counts in report.overview.items()
    ]
    write_file(path, render_page(_PACKAGE, "page.html", report=report, overview=overview, sections=sections))


def _shown(finding: Finding, dataset: Dataset | None, places: Mapping[str, int]) -> dict[str, Any]:
    readable = [places[image] for image in finding.images if image in places]
    images = [_image(dataset, index) for index in readable[:_MOST_IMAGES] if dataset is not None]
    return {"message": finding.message, "images": images, "more": len(readable) - len(images)}


def _image(dataset: Dataset, index: int) -> dict[str, str]:
    return {
        "source": thumbnail(dataset.images[index], _THUMBNAIL),
        "name": dataset.path(index),
        "label": dataset.class_names[dataset.labels[index]],
    }
