"""What a search and those who train for it tell each other; who hands it on needs no library that trains."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from eyebright.errors import EyebrightError
from eyebright.settings import Settings


class Task(NamedTuple):
    """A run to train: the directory that it has or is to have, its settings, which part of which trial it is."""

    path: Path
    settings: Settings
    trial: int
    part: int


class Answer(NamedTuple):
    """What came of a run.

    Attributes:
        results: of its results.json, where it was trained to its end; else None.
        failure: why these settings cannot be trained; else "".
        error: what ends the search; else None.
        fault: of ours, as a traceback; else "".
    """

    results: dict[str, Any] | None = None
    failure: str = ""
    error: EyebrightError | None = None
    fault: str = ""
