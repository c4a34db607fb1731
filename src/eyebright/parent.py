"""Processes that others start: they end with them, and it is known how they ended."""

from __future__ import annotations

import multiprocessing
import signal
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
