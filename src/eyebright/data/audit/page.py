"""A report as a page with thumbnails: one file, which loads nothing from anywhere."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from eyebright.data.audit.report import KINDS, Finding, Report
from eyebright.data.dataset import Dataset
from eyebright.storage import write_file

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
    """
    places = {dataset.path(index): index for index in range(len(dataset))} if dataset is not None else {}
    sections = [_section(kind, report.of_kind(kind), dataset, places) for kind in report.counts]
    page = Template(files(__package__).joinpath("page.html").read_text("utf-8")).substitute(
        title=_text(f"Check of {report.data}"),
        summary=f"{report.images:,} images, {len(report.findings):,} findings.",
        notes="\n".join(f"<p>{_text(note)}</p>" for note in report.notes),
        overview=_overview(report.overview),
        contents=_contents(report),
        sections="\n".join(sections),
    )
    write_file(path, page.encode())


def _overview(overview: Mapping[str, Mapping[str, int]]) -> str:
    rows = []
    for name, counts in overview.items():
        values = [f"{_text(value)}&nbsp;{count:,}" for value, count in list(counts.items())[:_MOST_VALUES]]
        more = [f"and {len(counts) - _MOST_VALUES:,} more"] if len(counts) > _MOST_VALUES else []
        rows.append(f"<tr><th>{_text(name)}</th><td>{', '.join(values + more)}</td></tr>")
    return f"<table>{''.join(rows)}</table>"


def _contents(report: Report) -> str:
    rows = [
        f'<tr><td><a href="#{kind}" class="{KINDS[kind].severity}">{kind}</a></td><td class="number">{count:,}</td>'
        f"<td>{_text(KINDS[kind].title)}</td></tr>"
        for kind, count in report.counts.items()
    ]
    return f"<table>{''.join(rows)}</table>" if rows else "<p>Nothing was found.</p>"


def _section(kind: str, findings: list[Finding], dataset: Dataset | None, places: Mapping[str, int]) -> str:
    shown = [_finding(finding, dataset, places) for finding in findings[:_MOST_FINDINGS]]
    if len(findings) > _MOST_FINDINGS:
        shown.append(f"<p>… and {len(findings) - _MOST_FINDINGS:,} more: eyebright check --json lists all of them.</p>")
    heading = f'<h2 id="{kind}" class="{KINDS[kind].severity}">{kind}: {_text(KINDS[kind].title)}</h2>'
    return f"<section>{heading}<p>{_text(KINDS[kind].advice)}</p>{''.join(shown)}</section>"


def _finding(finding: Finding, dataset: Dataset | None, places: Mapping[str, int]) -> str:
    readable = [image for image in finding.images if image in places]
    figures = [_figure(dataset, places[image]) for image in readable[:_MOST_IMAGES] if dataset is not None]
    more = len(readable) - len(figures)
    tail = f"<span>… and {more:,} more</span>" if more else ""
    images = f'<div class="images">{"".join(figures)}{tail}</div>' if figures else ""
    return f'<div class="finding"><p>{_text(finding.message)}</p>{images}</div>'


def _figure(dataset: Dataset, index: int) -> str:
    from PIL import Image

    pixels, buffer = dataset.images[index], io.BytesIO()
    thumbnail = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    thumbnail.thumbnail((_THUMBNAIL, _THUMBNAIL))
    thumbnail.save(buffer, "PNG")
    source = base64.b64encode(buffer.getvalue()).decode()
    name, label = _text(dataset.path(index)), _text(dataset.class_names[dataset.labels[index]])
    return (
        f'<figure><img src="data:image/png;base64,{source}" alt="{name}">'
        f"<figcaption>{label}<br>{name}</figcaption></figure>"
    )


def _text(text: str) -> str:
    """Text as it stands in a page; what is no text in UTF-8 is shown, not lost."""
    return escape(text.encode("utf-8", "backslashreplace").decode())
