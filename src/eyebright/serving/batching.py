"""Images of several requests are computed together.

While one batch is computed the next one gathers: so a server that is asked little answers at once, and one that is
asked much computes large batches, which cost less an image.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.prediction import ImageAnswers
from eyebright.serving.options import Batching

Compute = Callable[[NDArray[np.uint8]], ImageAnswers]
Measure = Callable[[int], None]


class QueueFullError(Exception):
    """There are as many images as may wait."""


class Answer(NamedTuple):
    """What was said of one image: its row of what was said of a batch."""

    answers: ImageAnswers
    number: int

    @property
    def probabilities(self) -> NDArray[np.floating]:
        """Of the classes, float64 [classes]."""
        row: NDArray[np.floating] = self.answers.probabilities[self.number]
        return row


class _Waiting(NamedTuple):
    image: NDArray[np.uint8]
    answer: asyncio.Future[Answer]
    since: float  # of the loop's clock


class Batcher:
    """A bounded queue of images in front of a function that takes many at once.

    All its methods belong to one event loop. What it works at ends by itself when the queue is empty: a batcher that
    nobody refers to any more needs no closing.

    Args:
        compute: takes uint8 [N, H, W, C]; runs in the executor.
        executor: of a single thread, perhaps shared with other batchers.
        options: see there.
        measure: called with the size of each batch that is computed.
    """

    def __init__(self, compute: Compute, executor: Executor, options: Batching, measure: Measure) -> None:
        self._compute = compute
        self._executor = executor
        self._options = options
        self._measure = measure
        self._queue: deque[_Waiting] = deque()
        self._enough = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self.admitted = 0
        """Images that have a place: those that are still decoded, wait, or are computed."""

    @contextmanager
    def places(self, images: int) -> Iterator[None]:
        """Hold a place for each of so many images.

        Raises:
            QueueFullError: there are not so many.
        """
        if self.admitted + images > self._options.max_queue:
            raise QueueFullError
        self.admitted += images
        try:
            yield
        finally:
            self.admitted -= images

    async def answer(self, image: NDArray[np.uint8]) -> Answer:
        """What is said of one image [H, W, C]; whoever stops waiting takes it out of the queue.

        Raises:
            Exception: whatever `compute` raised for the batch that it was in.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(image, loop.create_future(), loop.time())
        self._queue.append(waiting)
        if len(self._queue) >= self._options.max_batch:
            self._enough.set()
        if self._worker is None or self._worker.done():
            self._worker = loop.create_task(self._work())
        return await waiting.answer

    async def _work(self) -> None:
        """Compute until nothing waits."""
        loop = asyncio.get_running_loop()
        while self._queue:
            await self._others_may_join(loop)
            batch = self._next_batch()
            if not batch:
                continue
            images = np.stack([waiting.image for waiting in batch])
            try:
                answers = await loop.run_in_executor(self._executor, self._compute, images)
            except Exception as error:  # each of them is told
                for waiting in batch:
                    if not waiting.answer.done():
                        waiting.answer.set_exception(error)
                continue
            self._measure(len(batch))
            for number, waiting in enumerate(batch):
                if not waiting.answer.done():
                    waiting.answer.set_result(Answer(answers, number))

    async def _others_may_join(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait until a batch is full, or its first image has waited long enough."""
        seconds = self._queue[0].since + self._options.max_wait_seconds - loop.time()
        self._enough.clear()
        if len(self._queue) < self._options.max_batch and seconds > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), seconds)

    def _next_batch(self) -> list[_Waiting]:
        """The images that have waited longest, without those that nobody waits for any more."""
        batch: list[_Waiting] = []
        while self._queue and len(batch) < self._options.max_batch:
            waiting = self._queue.popleft()
            if not waiting.answer.done():
                batch.append(waiting)
        return batch
