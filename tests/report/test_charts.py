"""Charts of a page: they scale, they have no colours of their own, and say in words what they show."""

import re
import xml.etree.ElementTree as ET

from eyebright.report.charts import Line, line_chart


def chart(name="loss", description="Loss"):
    lines = [
        Line("training", [0, 10, 20], [40.0, 2.0, 0.3], dashed=True),
        Line("validation", [0, 10, 20], [30.0, 2.5, 0.5], ([29.0, 2.0, 0.4], [31.0, 3.0, 0.6]), points=True),
    ]
    return line_chart(name, description, lines, labels=("step", "loss"), log_y=True)


def test_the_same_lines_give_the_same_chart():
    assert chart() == chart()


def test_colours_are_the_pages_and_sizes_relative():
    svg = chart()
    assert set(re.findall(r"(?:fill|stroke): ([^;\"]+)", svg)) <= {
        "none", "var(--ink)", "var(--grid)", "var(--series-0)", "var(--series-1)",
    }  # fmt: skip
    assert svg.startswith('<svg class="chart" viewBox="0 0 331.2 230.4" role="img" aria-label="Loss">')
    assert "<style" not in svg
    assert "20" in re.sub(r"<[^>]*>", " ", svg)  # text is text: a tick of the loss


def test_small_values_are_told_apart_on_the_axis():
    svg = line_chart("risk", "Risk", [Line("", [0, 1], [0.0, 0.006])], labels=("coverage", "risk"))
    ticks = [text for text in re.findall(r">([^<>]+)<", svg) if re.fullmatch(r"\s*0\.00\d+\s*", text)]
    assert len(ticks) >= 3
    assert len(set(ticks)) == len(ticks)


def test_two_charts_share_no_ids():
    ids = [set(re.findall(r'id="([^"]*)"', chart(name))) for name in ("one", "two")]
    assert ids[0]
    assert ids[0].isdisjoint(ids[1])
    used = set(re.findall(r'(?:href="#|url\(#)([^")]*)', chart("one")))
    assert used <= ids[0]


def test_the_description_is_escaped_and_the_chart_well_formed():
    svg = chart(description='"><script>alert(1)</script>')
    tree = ET.fromstring(str(svg).replace("<svg ", '<svg xmlns:xlink="x" ', 1))
    assert tree.attrib["aria-label"] == '"><script>alert(1)</script>'
