"""Work on many things at once, in threads or in processes."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from eyebright.errors import DataError
from eyebright.parent import when_parent_ends

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
    pool = ThreadPoolExecutor(processors(), "work")
    try:
        yield from pool.map(work, tasks)
    finally:
        pool.shutdown(cancel_futures=True)


def in_processes(work: Callable[[Task], Result], tasks: Iterable[Task]) -> Generator[Result, None, None]:
    """As `in_threads`, by the processes of a `process_pool`.

    What is worked on goes through pipes, so it must be small, and `work` a function that has a name.

    Raises:
        DataError: a process was killed.
    """
    with process_pool() as pool:
        yield from pool.map(work, tasks)


@contextlib.contextmanager
def process_pool() -> Iterator[Executor]:
    """A process for each processor on Linux, where one starts at once as a copy of this one; threads elsewhere.

    For work that holds the interpreter's lock now and then, as decoding pictures does, which takes a third more in
    threads, or, of small pictures, as long as in one. They have started when this returns: what was in memory before is
    there in theirs, and what is shared is shared.

    Raises:
        DataError: a process was killed.
    """
    pool: Executor
    if sys.platform != "linux":  # a copy is unsafe elsewhere, or cannot be had
        pool = ThreadPoolExecutor(processors(), "work")
    else:
        pool = ProcessPoolExecutor(processors(), multiprocessing.get_context("fork"), _begin_process)
    try:
        with warnings.catch_warnings():
            # Of other threads, whose locks stay locked in the copy. It takes none of theirs: it only decodes.
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.filterwarnings("ignore", message=r".*os\.fork\(\) was called", category=RuntimeWarning)  # JAX's
            pool.submit(int).result()
        yield pool
    except BrokenProcessPool as error:
        raise DataError(
            "A process that decoded pictures was killed, as systems do where memory runs out. Close other programs, or "
            "lower --max-pixels to have the largest pictures refused by name."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin_process() -> None:
    """Leave signals to the process that this one works for, and end when it ends, however it does."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN if number == signal.SIGINT else signal.SIG_DFL)
    when_parent_ends(lambda: os._exit(1))
