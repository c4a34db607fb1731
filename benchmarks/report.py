"""What the sections of RESULTS.md are made of: tables, medians with their ranges, promises kept or not."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import mean, median, stdev
from typing import NamedTuple

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


class Check(NamedTuple):
    """A promise: the median of a figure is at most `limit`, or at least, where it is a floor."""

    promise: str
    values: list[float]
    limit: float
    at_least: bool = False
    digits: int = 2

    @property
    def kept(self) -> bool:
        found = median(self.values)  # nan, which was not measured, is not kept
        return found >= self.limit if self.at_least else found <= self.limit

    @property
    def bound(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit}"


def table(heads: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]


def check_table(checks: list[Check]) -> list[str]:
    """The lines of the table of promises."""
    rows = [[check.promise, spread(check.values, check.digits), check.bound, verdict(check.kept)] for check in checks]
    return table(["promise", "median (range)", "promised", ""], rows)


def spread(values: list[float], digits: int) -> str:
    """Median and range, or a dash where nothing was measured."""
    if any(map(math.isnan, values)):
        return "–"
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def mean_and_deviation(values: list[float], form: str = ".4f") -> str:
    """Mean ± standard deviation, the mean alone of a single value; `form` is the mean's format."""
    return f"{mean(values):{form}}" + (f" ± {stdev(values):{form.lstrip('+')}}" if len(values) > 1 else "")


def verdict(kept: bool) -> str:
    return "PASS" if kept else "FAIL"


def publish(section: str, *, write: bool) -> None:
    """Print a section and, if it is to be kept, append it to RESULTS.md."""
    print(section)
    if write:
        with RESULTS.open("a", encoding="utf-8") as results:
            results.write(f"\n{section}\n")
