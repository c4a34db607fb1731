"""What a person sees of a search: a bar on a terminal, a line for each trial anywhere else, nothing when quiet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from eyebright.sources import as_text
from eyebright.training.progress import say
from eyebright.tuning.record import WHOLE, Record
from eyebright.tuning.study import TrialRow, best_of


class TrialProgress:
    """Shows how far a search is.

    Args:
        console: where to; None shows nothing.
        record: what was asked for.
    """

    def __init__(self, console: Console | None, record: Record) -> None:
        self._console = console
        self._record = record
        self._said: set[int] = set()  # trials that there is a line of
        self._bar = None
        if console is not None and console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.fields[figures]}"),
                BarColumn(),
                TextColumn("{task.fields[left]}"),
                console=console,
                transient=True,
            )
            self._task = self._bar.add_task("tune", total=1.0, figures="Trial 0 is being trained", left="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

    def begin(self, rows: Sequence[TrialRow]) -> None:
        """Take note of trials that were over before: there is no line of them."""
        self._said = {row.number for row in rows if row.state != "unfinished"}

    def update(self, rows: Sequence[TrialRow], seconds: float) -> None:
        """Show what is new.

        Args:
            rows: all trials.
            seconds: that the search has been at work.
        """
        over = [row for row in rows if row.state != "unfinished"]
        best = best_of(rows)
        if self._bar:
            found = f", best validation accuracy {_accuracy(best):.4f} (trial {best.number})" if best else ""
            of = f" of {self._record.trials}" if self._record.trials else ""
            share = self._share(len(over), seconds)
            left = f"{timedelta(seconds=round(seconds / share - seconds))} left" if share else ""
            figures = f"{len(over)}{of} trials{found}"
            self._bar.update(self._task, completed=share, figures=figures, left=left)
            return
        for row in over:
            if row.number not in self._said:
                self._said.add(row.number)
                say(self._console, _line(row, best))

    def _share(self, trials: int, seconds: float) -> float:
        """How much of the search is done: of two limits, of that which is nearer."""
        record = self._record
        of_trials = trials / record.trials if record.trials else 0.0
        return min(1.0, max(of_trials, seconds / 60 / record.minutes if record.minutes else 0.0))


def _accuracy(row: TrialRow) -> float:
    return float(row.last["validation_accuracy"])


def _line(row: TrialRow, best: TrialRow | None) -> str:
    """A line about a trial that is over.

    >>> part = {"validation_accuracy": 0.5, "seconds": 2.0}
    >>> _line(TrialRow(3, "pruned", "", {"l2": 0.1}, {1: part}), None)
    'Trial 3: ended after 1/9 of its length with 0.5000, 2 s: l2 = 0.1'
    """
    values = ", ".join(f"{name} = {_rounded(value)}" for name, value in row.values.items())
    if row.state == "failed":
        return f"Trial {row.number}: failed ({values}): {row.failure}"
    accuracy, seconds = _accuracy(row), sum(part["seconds"] for part in row.parts.values())
    if row.state == "pruned":
        said = f"ended after {max(row.parts)}/{WHOLE} of its length with {accuracy:.4f}"
    else:
        said = f"validation accuracy {accuracy:.4f}"
    top = f" (best {_accuracy(best):.4f}, trial {best.number})" if best else ""
    return f"Trial {row.number}: {said}{top}, {seconds:.0f} s: {values}"


def _rounded(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else as_text(value)
