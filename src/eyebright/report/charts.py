"""Charts as SVG for a page: drawn by matplotlib, coloured by the page's own style, so that they fit dark and light."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from eyebright.errors import MissingExtraError

# matplotlib needs colours; these stand for the page's, whose names they are replaced by.
_INK, _GRID = "#010203", "#040506"
_SERIES = ("#070809", "#0a0b0c")
_NAMES = {_INK: "var(--ink)", _GRID: "var(--grid)", **{hex_: f"var(--series-{i})" for i, hex_ in enumerate(_SERIES)}}
_STYLE = {
    "svg.fonttype": "none",  # text stays text: a fifth of the size of outlines, and in the page's own font
    "font.size": 10,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _GRID,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}
_POINTS = 72  # an inch has
_FEW_TICKS = 100.0  # times that an axis reaches, above which a logarithmic one has ticks at powers of ten alone


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        name: in the legend; "" for none.
        x: of its points.
        y: likewise.
        interval: the lower and the upper ends of each point's interval, as a band; None for none.
        dashed: rather than drawn through.
        points: whether each point is marked.
        joined: whether a line goes from point to point.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    interval: tuple[Sequence[float], Sequence[float]] | None = None
    dashed: bool = False
    points: bool = False
    joined: bool = True


def line_chart(
    name: str,
    description: str,
    lines: Sequence[Line],
    *,
    labels: tuple[str, str],
    size: tuple[float, float] = (4.6, 3.2),
    log_x: bool = False,
    log_y: bool = False,
    unit_square: bool = False,
    limits: tuple[float, float] | None = None,
) -> Markup:
    """Draw lines.

    Args:
        name: of the chart, a word that no other chart of the page has.
        description: what it shows, in words, for those who do not see it.
        lines: two at most.
        labels: of the axes x and y.
        size: width and height, inches; it grows and shrinks with the page.
        log_x: whether x is on a logarithmic scale.
        log_y: whether y is.
        unit_square: whether both axes reach from 0 to 1, with the diagonal drawn.
        limits: of y; None for those of the points.

    Returns:
        An <svg> element. The same lines give the same text.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure  # not pyplot: no window system, no global state
        from matplotlib.ticker import LogLocator, NullFormatter
    except ImportError as error:
        raise MissingExtraError("Drawing", "train") from error

    style: Any = {**_STYLE, "svg.hashsalt": name}  # matplotlib's type names each of its settings
    with rc_context(style):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        for line, colour in zip(lines, _SERIES, strict=False):
            dashes, marker = ("--" if line.dashed else "-" if line.joined else "none"), ("o" if line.points else "")
            look: Any = {"ls": dashes, "marker": marker, "ms": 4, "lw": 1.5, "color": colour}
            axes.plot(line.x, line.y, label=line.name or "_none", **look)
            if line.interval is not None:
                axes.fill_between(line.x, *line.interval, color=colour, alpha=0.2, linewidth=0)
        if unit_square:
            axes.plot([0, 1], [0, 1], ":", color=_INK, lw=1)
            axes.set(xlim=(0, 1), ylim=(0, 1.01))
        axes.set(xlabel=labels[0], ylabel=labels[1], **({"ylim": limits} if limits else {}))
        axes.grid(linewidth=0.6)
        for axis, is_log in (("x", log_x), ("y", log_y)):
            if is_log:
                axes.set(**{f"{axis}scale": "log"})
                scale = axes.xaxis if axis == "x" else axes.yaxis
                ends = scale.get_view_interval()
                scale.set_major_locator(LogLocator(subs=(1, 2, 5) if ends[1] < _FEW_TICKS * ends[0] else (1,)))
                scale.set_major_formatter("{x:g}")
                scale.set_minor_formatter(NullFormatter())
        if any(line.name for line in lines):
            axes.legend(fontsize=9)
        buffer = io.StringIO()
        figure.savefig(
            buffer, format="svg", transparent=True, metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    return _for_page(buffer.getvalue(), name, description, size)


def _with_short_numbers(tag: re.Match[str]) -> str:
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", tag[0])


def _for_page(svg: str, name: str, description: str, size: tuple[float, float]) -> Markup:
    """What matplotlib wrote, as a part of a page: names that are the chart's own, the page's colours and font."""
    body = svg[svg.index("<svg") : svg.rindex("</svg>")]
    body = re.sub(r"^<svg.*?>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r"<style.*?</style>|<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", body)
    body = re.sub(r" font-family: [^;\"]*;", "", body)
    body = re.sub(r"<[^>]*>", _with_short_numbers, body)  # of coordinates, not of what is to be read
    for hex_, colour in _NAMES.items():
        body = body.replace(hex_, colour)
    body = re.sub(r"\s*\n\s*", "\n", body)
    width, height = (side * _POINTS for side in size)
    # All that is put together here was made here, but for the description, which is escaped.
    head = f'<svg class="chart" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(description)}">'
    return Markup(f"{head}{body}</svg>")  # noqa: S704
