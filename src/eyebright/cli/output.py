"""How the commands print: for people, and for machines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_BETWEEN = 3  # columns that a table takes beside its texts, for each
_WIDE = 10_000  # columns: wide enough that nothing is wrapped or cut


def console_for(*, quiet: bool, json: bool) -> Console | None:
    """Where to print what is for people: nowhere when quiet, on standard error beside JSON."""
    from rich.console import Console

    return None if quiet else Console(stderr=json, emoji=False)


def print_table(table: Table) -> None:
    """Print a table: on a terminal as wide as that is, anywhere else with nothing wrapped or cut."""
    from rich.console import Console

    # The name of a file or class may have brackets and colons, which are no markup.
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDE
    console.print(table)


def print_rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Print a table whose last columns may be left out where a terminal is too narrow for them.

    Returns:
        The heads of those that were left out.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table

    console = Console()
    fits = len(heads)
    if console.is_terminal:
        widths = [max(map(cell_len, column)) + _BETWEEN for column in zip(heads, *rows, strict=True)]
        fits = max(1, sum(width <= console.width - 1 for width in accumulate(widths)))
    table = Table(*heads[:fits])
    for row in rows:
        table.add_row(*row[:fits])
    print_table(table)
    return list(heads[fits:])


def print_json(value: Any) -> None:
    """Print JSON, indented. It is ASCII, so that it is JSON whatever the encoding of standard output."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_json_line(value: Any) -> None:
    """Print JSON in one line."""
    print(json.dumps(value, allow_nan=False), flush=True)


def check_png(path: Path, what: str) -> None:
    """Refuse a name for a chart or a picture that does not end in .png.

    Raises:
        SettingsError: it does not.
    """
    from eyebright.errors import SettingsError

    if path.suffix.lower() != ".png":
        raise SettingsError(f"--output {path}: the {what} is a PNG; give a name that ends in .png.")
