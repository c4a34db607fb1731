"""A progress bar over work that comes in parts, and what is said beside it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Part = TypeVar("Part")


def shown(
    parts: Iterable[Part], title: str, total: int, size: Callable[[Part], int], *, progress: bool
) -> Iterator[Part]:
    """The parts as they come, with a bar on standard error that is gone at the end; where that is no terminal, none.

    Args:
        parts: of the work.
        title: what is done, before the bar.
        total: how much there is to do.
        size: how much of it a part is.
        progress: whether to show the bar.
    """
    if not progress:
        yield from parts
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield from parts
        return
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        for part in parts:
            yield part
            bar.advance(task, size(part))


def say(message: str, *, progress: bool) -> None:
    """Print a line where a bar would be shown."""
    if progress:
        print(message, file=sys.stderr)  # noqa: T201 - as the bar does
