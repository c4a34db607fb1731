"""The workers of a run, started, listened to and ended all together."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, NamedTuple, Self

import ray
from ray.exceptions import GetTimeoutError, OutOfMemoryError, RayActorError, WorkerCrashedError
from rich.console import Console

from eyebright.cluster.worker import Finished, Lost, News, Place, Task, Worker
from eyebright.errors import ClusterError, EyebrightError, TrainingInterrupted
from eyebright.parent import why_it_died
from eyebright.training.interrupts import Interrupts

_ROOM_WITHIN = 60.0  # seconds for the cluster to find machines for all workers
_CAUSE_WITHIN = 3.0  # seconds: where one worker dies the others fail too, and may be heard of first
_LOOKS_EVERY = 0.2  # seconds, whether to stop
_DEAD = (OutOfMemoryError, RayActorError, WorkerCrashedError)


class Share(NamedTuple):
    """What each worker gets of its machine."""

    threads: int
    gpus: int


class Group:
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


def _write(console: Console | None, text: str) -> None:
    """Pass on what a worker's console wrote, as it is."""
    if console is not None:
        console.file.write(text)
        console.file.flush()
