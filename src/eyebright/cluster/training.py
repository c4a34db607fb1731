"""One run, trained by several workers of a Ray cluster together: started, watched, and started anew where one dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import ray
from ray.exceptions import GetTimeoutError, OutOfMemoryError, RayActorError, WorkerCrashedError
from rich.console import Console

from eyebright.cluster.connection import processors
from eyebright.cluster.worker import Finished, Lost, News, Place, Task, Terminal, Worker
from eyebright.data.dataset import Dataset
from eyebright.data.passing import packed
from eyebright.errors import ClusterError, EyebrightError, SettingsError, TrainingInterrupted
from eyebright.parent import why_it_died
from eyebright.run_paths import is_run
from eyebright.settings import Settings
from eyebright.training.interrupts import Interrupts
from eyebright.training.progress import say

_AGAIN = 3  # times, if no further checkpoint comes of it
_ROOM_WITHIN = 60.0  # seconds for the cluster to find machines for all workers
_CAUSE_WITHIN = 3.0  # seconds: where one worker dies the others fail too, and may be heard of first
_LOOKS_EVERY = 0.2  # seconds, whether to stop
_PASSED_ON = ("EYEBRIGHT_", "XLA_", "JAX_", "TERM", "COLORTERM", "NO_COLOR")
_DEAD = (OutOfMemoryError, RayActorError, WorkerCrashedError)


class TrainedRun(NamedTuple):
    """A finished run: its directory, and what its results.json holds."""

    path: Path
    results: dict[str, Any]


class Share(NamedTuple):
    """What each worker gets of its machine."""

    threads: int
    gpus: int


def train_together(
    settings: Settings | None,
    dataset: Dataset,
    run_dir: Path,
    *,
    workers: int,
    threads: int | None = None,
    flags: Mapping[str, Any] | None = None,
    console: Console | None = None,
    started: float | None = None,
) -> TrainedRun:
    """Train a run by several workers of the cluster that this process is connected to.

    It is the run that one process would train, but for the order of sums: the same batches, of which each worker
    computes its part, with the same learning rates. Where a worker dies, all of them go on from the newest checkpoint.

    Args:
        settings: of a new run; None to go on with one.
        dataset: what to learn from.
        run_dir: the run's directory, on a file system that all machines share.
        workers: how many, a number that divides the batch, see `cluster.batches`.
        threads: of a machine, for the workers on it; all of them if not given.
        flags: see `trainer.resume`.
        console: where to show progress; None shows nothing.
        started: `time.perf_counter()` when the work began; now if not given.

    Raises:
        SettingsError: more workers than the cluster has room for.
        ClusterError: a worker died again and again, or the cluster gave no machines.
        TrainingInterrupted: Ctrl-C or SIGTERM; what was done is saved.
        EyebrightError: what `trainer.train` and `trainer.resume` raise.
    """
    share = _share(workers, threads)
    began = time.perf_counter() if started is None else started
    values = ray.put(packed(dataset))
    attempts = _Attempts(run_dir)
    with Interrupts() as interrupts:
        while True:
            task = Task(
                path=run_dir,
                settings=None if attempts.failed and is_run(run_dir) else settings,
                flags=flags or {},
                seconds=time.perf_counter() - began,
                where=Path.cwd(),
                arguments=list(sys.argv),
                variables={name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)},
                terminal=Terminal(console.is_terminal, console.width) if console is not None else None,
            )
            with _Group(workers, share, values, task) as group:
                outcome = group.train(console, interrupts)
            if isinstance(outcome, Finished):
                return TrainedRun(run_dir, outcome.results)
            say(console, outcome.why)
            step = attempts.count_failure(outcome, interrupts)
            say(console, f"All {workers} workers start again" + (f", from step {step}" if step else ""))


class _Attempts:
    """How often workers failed without a further checkpoint."""

    def __init__(self, run_dir: Path) -> None:
        self.failed = 0
        self._run_dir = run_dir
        self._reached = 0

    def count_failure(self, lost: Lost, interrupts: Interrupts) -> int:
        """Count one. Returns the step from which another attempt goes on.

        Raises:
            TrainingInterrupted: no further one is wanted.
            ClusterError: there were too many.
        """
        step = _newest_step(self._run_dir)
        if interrupts.received is not None:
            message = f"{self._run_dir}: stopped; nothing after step {step} is saved."
            raise TrainingInterrupted(message, interrupts.received)
        self.failed = self.failed + 1 if step == self._reached else 1
        self._reached = step
        if self.failed > _AGAIN:
            raise ClusterError(
                f"{self._run_dir}: workers failed {self.failed} times without a further checkpoint; the last time: "
                f"{lost.why} What was saved is kept; go on with --resume."
            )
        return step


class _Group:
    """The workers of one attempt; when it ends, so do they.

    Args:
        workers: how many.
        share: of each.
        values: the data set, `packed`, in Ray's memory for objects.
        task: what they train.
    """

    def __init__(self, workers: int, share: Share, values: Any, task: Task) -> None:
        new: Any = ray.remote(Worker).options(
            num_cpus=share.threads, num_gpus=share.gpus, max_concurrency=3, scheduling_strategy="SPREAD"
        )
        self._actors = [new.remote(values) for _ in range(workers)]
        self._share, self._task = share, task
        self._asked: dict[Any, int] = {}  # the answers that are waited for, and the worker that each is of
        self._machines: list[str] = []

    def __enter__(self) -> Self:
        try:
            addresses = ray.get([actor.address.remote() for actor in self._actors], timeout=_ROOM_WITHIN)
        except GetTimeoutError as error:
            self._end()
            raise ClusterError(
                f"The cluster found no room for {len(self._actors)} workers within {_ROOM_WITHIN:g} s: other work may "
                "have its processors. Wait for it, or give fewer --workers."
            ) from error
        places = [Place(addresses[0], len(self._actors), number, self._share.threads) for number in self._numbers]
        starts = [actor.start.remote(place, self._task) for actor, place in zip(self._actors, places, strict=True)]
        self._machines = ray.get(starts)
        for number in self._numbers:
            self._ask(number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def train(self, console: Console | None, interrupts: Interrupts) -> Finished | Lost:
        """Show what the first worker prints, until the run is finished or a worker is lost.

        Raises:
            EyebrightError: what a worker raised.
        """
        stopping = False
        while True:
            if interrupts.received is not None and not stopping:
                self._actors[0].stop.remote()
                stopping = True
            for number, news in self._news(_LOOKS_EVERY):
                if isinstance(news, str):
                    _write(console, news)
                elif isinstance(news, Lost):
                    return self._cause(number, news)
                elif isinstance(news, TrainingInterrupted):
                    raise TrainingInterrupted(str(news), interrupts.received or 15)
                elif isinstance(news, EyebrightError):
                    raise news
                else:
                    return news

    @property
    def _numbers(self) -> range:
        return range(len(self._actors))

    def _ask(self, number: int) -> None:
        self._asked[self._actors[number].news.remote()] = number

    def _news(self, seconds: float) -> list[tuple[int, News]]:
        """What workers have to say, at the latest after so many seconds."""
        ready, _ = ray.wait(list(self._asked), num_returns=1, timeout=seconds)
        found: list[tuple[int, News]] = []
        for one in ready:
            number = self._asked.pop(one)
            try:
                found += [(number, news) for news in ray.get(one)]
            except _DEAD as error:
                found.append((number, Lost(f"its machine or its process is gone ({type(error).__name__})")))
            else:
                self._ask(number)
        return found

    def _cause(self, number: int, lost: Lost) -> Lost:
        """The worker that was lost first, in words: one that died rather than one that missed it."""
        end = time.monotonic() + _CAUSE_WITHIN
        while lost.exit_code is None and self._asked and (left := end - time.monotonic()) > 0:
            for other, news in self._news(left):
                if isinstance(news, Lost) and news.exit_code is not None:
                    number, lost = other, news
        why = lost.why if lost.exit_code is None else why_it_died(lost.exit_code)
        return Lost(f"Worker {number} on {self._machines[number]} is lost: {why}.")

    def _end(self) -> None:
        """End all processes, the machine of one of which may be gone: nobody else may write when others begin."""
        ray.wait([actor.end.remote() for actor in self._actors], num_returns=len(self._actors), timeout=_CAUSE_WITHIN)
        for actor in self._actors:
            ray.kill(actor)


def _share(workers: int, threads: int | None) -> Share:
    """What each worker gets: a GPU where the cluster has any, else its part of a machine's processors.

    Raises:
        SettingsError: there are too few.
    """
    gpus = int(ray.cluster_resources().get("GPU", 0))
    machines = processors()
    room, of_what = (gpus, "GPUs") if gpus else (sum(machines), "processors")
    if workers > room:
        raise SettingsError(f"--workers {workers}: the cluster has {room} {of_what}. Give 1 to {room}.")
    if gpus:
        return Share(1, 1)
    return Share(max(1, (threads or min(machines)) // -(-workers // len(machines))), 0)


def _newest_step(run_dir: Path) -> int:
    """The step of a run's newest checkpoint; 0 while it has none."""
    from eyebright.training.checkpoint import Checkpoints

    return max(Checkpoints(run_dir / "checkpoints", 1).steps(), default=0)


def _write(console: Console | None, text: str) -> None:
    """Pass on what a worker's console wrote, as it is."""
    if console is not None:
        console.file.write(text)
        console.file.flush()
