"""What processes do that others start: they end with them."""

from __future__ import annotations

import multiprocessing
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
