"""How processes end: with those that started them, in good order, and for what reason."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable


def when_parent_ends(act: Callable[[], object]) -> None:
    """Call a function when the process that started this one is gone, however it went; nobody else would end this one.

    It is called in a thread of its own. In a process that multiprocessing did not start it never is.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        act()

    threading.Thread(target=follow, daemon=True).start()


def end_in_order(number: int, _: object) -> None:
    """End at a signal, as its handler, in good order: what is temporary is removed."""
    sys.exit(128 + number)  # as shells give it for a process that a signal ended


def why_it_died(exit_code: int | None) -> str:
    """In words.

    >>> why_it_died(-9), why_it_died(3)
    ('its process was ended by SIGKILL; there may be too little memory for it', 'its process ended with 3')
    """
    if exit_code is None:
        return "its process, or the machine that it was on, is gone"
    if exit_code >= 0:
        return f"its process ended with {exit_code}"
    name = signal.Signals(-exit_code).name
    memory = "; there may be too little memory for it" if name == "SIGKILL" else ""
    return f"its process was ended by {name}{memory}"
