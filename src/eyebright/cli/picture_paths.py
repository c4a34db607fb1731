"""Which pictures a command's arguments name: files, globs, folders, and a list on standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

STANDARD_INPUT = "-"


def expanded(patterns: Iterable[str]) -> list[str]:
    """Files as they are, what globs match, what lies in and below folders, and for - what standard input lists.

    What matches nothing stays, to be reported as not there.

    Raises:
        DataError: no pictures are in a folder, or none are listed on standard input.
    """
    paths: list[str] = []
    for pattern in patterns:
        if pattern == STANDARD_INPUT:
            paths += _listed()
            continue
        matches: list[str] = []
        if any(character in pattern for character in "*?[") and not os.path.lexists(pattern):
            matches = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        for path in matches or [pattern]:
            paths += _below(path) if os.path.isdir(path) else [path]  # noqa: PTH112 - which takes a name of any length
    return paths


def _below(folder: str) -> list[str]:
    """The pictures in and below a folder, by their names' endings, in natural order."""
    from eyebright.data.picture_names import natural_key, walk
    from eyebright.errors import DataError

    ignored: Counter[str] = Counter()
    pictures = sorted(walk(Path(folder), ignored), key=natural_key)
    if not pictures:
        others = f" ({sum(ignored.values()):,} files of other kinds)" if ignored else ""
        raise DataError(f"{folder}: no pictures are in this folder{others}.")
    return pictures


def _listed() -> list[str]:
    """One path a line, of any characters but line breaks; empty lines are passed over."""
    from eyebright.errors import DataError

    paths = [os.fsdecode(line) for line in sys.stdin.buffer.read().splitlines() if line.strip()]
    if not paths:
        raise DataError("-: standard input lists no pictures. Give one path a line.")
    return paths
