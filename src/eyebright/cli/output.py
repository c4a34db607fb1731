"""How the commands print: for people, and for machines."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def console_for(*, quiet: bool, json: bool) -> Console | None:
    """Where to print what is for people: nowhere when quiet, on standard error beside JSON."""
    from rich.console import Console

    return None if quiet else Console(stderr=json)


def print_json(value: Any) -> None:
    """Print JSON, indented."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_json_line(value: Any) -> None:
    """Print JSON in one line."""
    print(json.dumps(value, ensure_ascii=False, allow_nan=False), file=sys.stdout, flush=True)
