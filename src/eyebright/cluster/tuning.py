"""The trials of a search, trained by all machines of a Ray cluster.

Ray gives them machines, and nothing else: what is tried next, what ends early and what is written is decided by
`eyebright.tuning`, so that a search is the same one wherever its trials are trained, and can go on elsewhere.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, WorkerCrashedError

from eyebright.cluster.connection import enter
from eyebright.data.dataset import Dataset
from eyebright.data.passing import Mapped, packed, unpacked
from eyebright.errors import DataError, EyebrightError, SettingsError
from eyebright.tuning.task import Answer, Task
from eyebright.tuning.workers import Finished, Team, Workers

_LOOKS_EVERY = 0.2  # seconds, whether to stop
_STOPS_WITHIN = 90.0  # seconds: what a worker gives its process, and some


@dataclass(frozen=True)
class Cluster:
    """The cluster that this process is connected to; a `Place` for trials.

    Attributes:
        processors: of each of its machines, as Ray counts them.
    """

    processors: Sequence[int]

    def threads(self, jobs: int, asked: int | None) -> int:
        """As `Place` has it: jobs are spread evenly over the machines, the smallest of which says how many threads."""
        if jobs > sum(self.processors):
            raise SettingsError(f"--jobs {jobs}: give 1 to {sum(self.processors)}, the cluster's processors.")
        on_a_machine = -(-jobs // len(self.processors))
        return max(1, (asked or min(self.processors)) // on_a_machine)

    def team(self, jobs: int, threads: int, study: Path, dataset: Dataset) -> Team:
        """As `Place` has it."""
        return _Team(jobs, threads, study, dataset)


class _Team:
    """Actors that train, by the arguments of `Workers`."""

    def __init__(self, jobs: int, threads: int, study: Path, dataset: Dataset) -> None:
        self._jobs = jobs
        same = {"env_vars": {"KERAS_BACKEND": os.environ["KERAS_BACKEND"]}}  # what computes here computes there
        self._new: Any = ray.remote(_Trainer).options(
            num_cpus=threads, max_concurrency=2, scheduling_strategy="SPREAD", runtime_env=same
        )
        # The data once for all of them, in Ray's memory for objects.
        self._arguments = threads, study, Path.cwd(), ray.put(packed(dataset))
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Task]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for actor in [*self._idle, *(actor for actor, _ in self._busy.values())]:
            ray.kill(actor)  # and with it its process

    @property
    def busy(self) -> int:
        """See `Team`."""
        return len(self._busy)

    @property
    def idle(self) -> bool:
        """See `Team`."""
        return self.busy < self._jobs

    def start(self, task: Task) -> None:
        """See `Team`."""
        actor = self._idle.pop() if self._idle else self._new.remote(*self._arguments)
        self._busy[actor.train.remote(task)] = actor, task

    def wait(self, seconds: float) -> list[Finished]:
        """See `Team`."""
        ready, _ = ray.wait(list(self._busy), timeout=seconds)
        return [self._finished(one) for one in ready]

    def stop(self) -> list[Finished]:
        """See `Team`."""
        for actor, _ in self._busy.values():
            actor.stop.remote()
        finished: list[Finished] = []
        while self.busy and (found := self.wait(_STOPS_WITHIN)):
            finished += found
        return finished

    def _finished(self, one: Any) -> Finished:
        actor, task = self._busy.pop(one)
        try:
            finished: Finished = ray.get(one)
        except (OutOfMemoryError, RayActorError, WorkerCrashedError):
            return Finished(task, None)  # another takes its place when there is something to do
        self._idle.append(actor)
        return finished


class _Trainer:
    """An actor that has one process train, as a search on one machine has several.

    The process can be stopped and saves then, by a signal, which an actor itself does not get.

    Args:
        threads: that it computes with.
        study: the search's directory.
        where: the directory that paths are relative to.
        values: the data set, `packed`.
    """

    def __init__(self, threads: int, study: Path, where: Path, values: dict[str, Any]) -> None:
        self._threads, self._study, self._where, self._values = threads, study, where, values
        self._stop = threading.Event()
        self._workers: Workers | None = None

    def train(self, task: Task) -> Finished:
        """What came of a task."""
        if self._workers is None:
            try:
                self._workers = Workers(1, self._threads, self._study, self._dataset())
            except EyebrightError as error:
                return Finished(task, Answer(error=error))
        self._workers.start(task)
        while not (finished := self._workers.wait(_LOOKS_EVERY)):
            if self._stop.is_set():
                finished = self._workers.stop()
                break
        return finished[0] if finished else Finished(task, None)

    def stop(self) -> None:
        """Have the task saved and stopped."""
        self._stop.set()

    def _dataset(self) -> Dataset:
        """The data set, its images where all machines find them.

        Raises:
            DataError: something that all machines should share is not here.
        """
        enter(self._where, self._study)
        images = self._values["images"]
        if isinstance(images, Mapped) and not Path(images.file).is_file():
            raise DataError(
                f"{images.file}: these images are read from a file that is not on a machine of the cluster. Keep it "
                "where all its machines find it; EYEBRIGHT_CACHE says where decoded pictures are kept."
            )
        return unpacked(self._values)
