"""The processes of a search: started as they are needed, waited for all together, stopped or replaced."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from eyebright.data.dataset import Dataset
from eyebright.data.passing import packed
from eyebright.errors import SettingsError
from eyebright.parent import when_parent_ends
from eyebright.tuning.task import Answer, Task

_GRACE = 60.0  # seconds that a run which is to stop may take for its step and its checkpoint


class Finished(NamedTuple):
    """A task that is over.

    Attributes:
        task: what it was.
        answer: what came of it, or None where its process died.
        exit_code: of a process that died, as `multiprocessing` has it: -9 after SIGKILL.
    """

    task: Task
    answer: Answer | None
    exit_code: int | None = None


class Team(Protocol):
    """Those who train: tasks are given to them, waited for all together, and stopped."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    @property
    def busy(self) -> int:
        """How many are at work."""

    @property
    def idle(self) -> bool:
        """Whether one more task can be started."""

    def start(self, task: Task) -> None:
        """Give a task to one that has none."""

    def wait(self, seconds: float) -> list[Finished]:
        """The tasks that are over, at the latest after so many seconds."""

    def stop(self) -> list[Finished]:
        """Have what is being trained saved and stopped. Returns all tasks, also those that were over by then."""


class Place(Protocol):
    """Where trials are trained."""

    def threads(self, jobs: int, asked: int | None) -> int:
        """How many threads each of some trials at once computes with.

        Args:
            jobs: how many trials at once.
            asked: threads that a training may have; None for as many as there are processors.

        Raises:
            SettingsError: there are more jobs than processors.
        """

    def team(self, jobs: int, threads: int, study: Path, dataset: Dataset) -> Team:
        """Those who train, by the arguments of `Workers`."""


class ThisMachine:
    """Trials are trained by processes of this machine."""

    def threads(self, jobs: int, asked: int | None) -> int:
        """As `Place` has it."""
        from eyebright.backend import available_threads

        there = available_threads()
        if jobs > there:
            raise SettingsError(f"--jobs {jobs}: give 1 to {there}, as many as there are processors.")
        return max(1, (asked or there) // jobs)

    def team(self, jobs: int, threads: int, study: Path, dataset: Dataset) -> Team:
        """As `Place` has it."""
        return Workers(jobs, threads, study, dataset)


@dataclass
class _Worker:
    process: BaseProcess
    tasks: Connection
    task: Task | None = field(default=None)


class Workers:
    """Processes that train. TensorFlow cannot be forked, so each is started anew and imports what it needs.

    Args:
        jobs: how many.
        threads: that each of them computes with.
        study: the search's directory.
        dataset: what they learn from.
    """

    def __init__(self, jobs: int, threads: int, study: Path, dataset: Dataset) -> None:
        self._jobs = jobs
        self._arguments: tuple[Path, int, dict[str, Any]] = study, threads, packed(dataset)
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.tasks.close()
            if worker.task is not None:  # something failed: nothing waits for it any more
                worker.process.kill()
        for worker in self._workers:
            worker.process.join()

    @property
    def busy(self) -> int:
        """How many are at work."""
        return sum(worker.task is not None for worker in self._workers)

    @property
    def idle(self) -> bool:
        """Whether one more task can be started."""
        return self.busy < self._jobs

    def start(self, task: Task) -> None:
        """Give a task to a process that has none."""
        worker = next((one for one in self._workers if one.task is None), None) or self._new()
        worker.task = task
        worker.tasks.send(task)

    def wait(self, seconds: float) -> list[Finished]:
        """The tasks that are over, at the latest after so many seconds."""
        busy = {worker.tasks: worker for worker in self._workers if worker.task is not None}
        return [self._finished(busy[ready]) for ready in wait(list(busy), seconds) if isinstance(ready, Connection)]

    def stop(self) -> list[Finished]:
        """Have what is being trained saved and stopped. Returns all tasks, also those that were over by then."""
        for worker in self._workers:
            if worker.task is not None and worker.process.pid is not None:
                worker.process.terminate()
        finished: list[Finished] = []
        while self.busy and (found := self.wait(_GRACE)):
            finished += found
        return finished

    def _new(self) -> _Worker:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, *self._arguments), daemon=True)
        process.start()
        theirs.close()  # so that the end of the process is the end of what can be read
        self._workers.append(_Worker(process, ours))
        return self._workers[-1]

    def _finished(self, worker: _Worker) -> Finished:
        task, worker.task = worker.task, None
        if task is None:
            raise ValueError("this process was given nothing to do")
        try:
            answer: Answer = worker.tasks.recv()
        except (EOFError, ConnectionError):  # it died: another takes its place when there is something to do
            worker.process.join()
            self._workers.remove(worker)
            return Finished(task, None, worker.process.exitcode)
        return Finished(task, answer)


def _work(tasks: Connection, study: Path, threads: int, values: dict[str, Any]) -> None:
    """What a process does: `worker.work`. It alone imports what trains.

    Ctrl-C reaches all processes of a terminal; the one above says by SIGTERM when a run is to be saved and to stop.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # At once: what is not in a checkpoint by now is trained again. And before the imports, which take seconds.
    when_parent_ends(lambda: os._exit(1))
    from eyebright.tuning.worker import work

    work(tasks, study, threads, values)
