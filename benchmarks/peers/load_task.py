"""What the peers of loader.py share: their flags, and the line of JSON that the benchmark reads. Needs no library."""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def parser(description: str | None) -> argparse.ArgumentParser:
    """The flags that every peer has."""
    flags = argparse.ArgumentParser(description=description)
    flags.add_argument("directory", type=Path)
    flags.add_argument("--side", type=int, required=True)
    return flags


def timed(load: Callable[[], int]) -> dict[str, Any]:
    """What a load took, in seconds and in processor seconds, those of processes that it started and ended included.

    It returns how many images it read.
    """
    processor, started = time.process_time(), time.perf_counter()
    images = load()
    seconds, own = time.perf_counter() - started, time.process_time() - processor
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"seconds": seconds, "processor_seconds": own + children.ru_utime + children.ru_stime, "images": images}


def report(figures: dict[str, Any]) -> None:
    """Print the line."""
    print(json.dumps(figures))
