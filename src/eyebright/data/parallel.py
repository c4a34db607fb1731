"""Work on many things at once, in threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_threads(work: Callable[[Task], Result], tasks: Iterable[Task]) -> Generator[Result, None, None]:
    """The results of some work on each of many tasks, in their order, by a thread for each processor.

    Threads are for work that gives up the interpreter's lock: decoding and resizing pictures, hashing, files. They
    start at once, where a process takes most of a second, and share their memory.

    Closed before its end, or ended by an error, it waits for what has been begun and begins nothing more.

    >>> list(in_threads(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    pool = ThreadPoolExecutor(threads, "work")
    try:
        yield from pool.map(work, tasks)
    finally:
        pool.shutdown(cancel_futures=True)
