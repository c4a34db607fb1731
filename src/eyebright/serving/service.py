"""What all protocols share: from pictures or images of a request to answers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from fastapi import Request
from numpy.typing import NDArray
from starlette.requests import ClientDisconnect

from eyebright.errors import ImageError, SettingsError
from eyebright.prediction import Prediction, named
from eyebright.serving.batching import Answer
from eyebright.serving.bodies import Upload
from eyebright.serving.decoding import Decoder
from eyebright.serving.drift import Drift
from eyebright.serving.explaining import overlay
from eyebright.serving.json_bodies import JsonReader
from eyebright.serving.keys import Keys
from eyebright.serving.metrics import Metrics
from eyebright.serving.model import ServedModel
from eyebright.serving.models import Entry, Models
from eyebright.serving.options import ServerOptions
from eyebright.serving.refusals import Refusal, too_busy

logger = logging.getLogger("eyebright.serving")

T = TypeVar("T")

_LEAST_PROBABILITY = 1e-12  # its logarithm is finite


class Service:
    """All that requests are answered with.

    Args:
        options: how a server serves.

    Raises:
        EyebrightError: a model cannot be loaded.
    """

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self.limits = options.limits
        self.metrics = Metrics()
        self.models = Models(options, self.metrics)
        self.decoder = Decoder(options.limits)
        self.json = JsonReader(options.limits)
        self.draining = False
        self._drift = Drift(self.metrics)
        for model in self.models:
            self.metrics.prepare(model)

    async def predictions(
        self, request: Request, entry: Entry, uploads: Sequence[Upload], top: int
    ) -> list[Prediction]:
        """What a classifier says of pictures, in their order; a picture that cannot be read has its error.

        Raises:
            QueueFullError: there is no place for so many images.
            Refusal: 429, they were not answered in time.
            ClientDisconnect: nobody waits for the answer any more.
        """
        with self._places(entry, len(uploads)):
            found = await self._within(request, [self._of_upload(entry, upload) for upload in uploads])
        model = entry.model
        predictions = []
        for upload, answer in zip(uploads, found, strict=True):
            if isinstance(answer, ImageError):
                predictions.append(Prediction(upload.image, error=str(answer)))
            else:
                predictions.append(
                    named(*answer, upload.image, model.class_names, top=top, min_confidence=model.min_confidence)
                )
        self._count(model, found)
        return predictions

    async def answers(
        self, request: Request, entry: Entry, images: Sequence[NDArray[np.uint8] | bytes]
    ) -> list[Answer | ImageError]:
        """What a classifier says of images [H, W, C] of its shape, or of the bytes of pictures; raises likewise."""
        with self._places(entry, len(images)):
            found = await self._within(request, [self._of_image(entry, image) for image in images])
        self._count(entry.model, found)
        return found

    async def explanation(self, request: Request, entry: Entry, upload: Upload) -> bytes:
        """Where in a picture the evidence lies, as a PNG; raises likewise, and 422 where it cannot be read.

        The classifier is asked for no more images at once than it computes, and others have their turns between. They
        are no request's own, and count in no figure.
        """
        at_once = min(self.options.batching.max_batch, self.options.batching.max_queue)

        async def ask(images: NDArray[np.uint8]) -> NDArray[np.floating]:
            rows: list[NDArray[np.floating]] = []
            for start in range(0, len(images), at_once):
                part = images[start : start + at_once]
                with self._places(entry, len(part)):
                    answers = await asyncio.gather(*(entry.batcher.answer(image) for image in part))
                rows += [answer.probabilities for answer in answers]
            return np.log(np.maximum(rows, _LEAST_PROBABILITY))

        async def drawn() -> bytes:
            with self._places(entry, 1):
                content = upload.content
                image = await self.decoder.decode(content, entry.model) if isinstance(content, bytes) else content
            if isinstance(image, ImageError):
                raise Refusal(422, str(image))
            return await overlay(image, ask)

        return (await self._within(request, [drawn()]))[0]

    @contextmanager
    def _places(self, entry: Entry, images: int) -> Iterator[None]:
        try:
            with entry.batcher.places(images):
                self.metrics.queue.set(self.models.admitted)
                yield
        finally:
            self.metrics.queue.set(self.models.admitted)

    async def _of_upload(self, entry: Entry, upload: Upload) -> Answer | ImageError:
        if isinstance(upload.content, ImageError):
            return upload.content
        return await self._of_image(entry, upload.content)

    async def _of_image(self, entry: Entry, image: NDArray[np.uint8] | bytes) -> Answer | ImageError:
        decoded = await self.decoder.decode(image, entry.model) if isinstance(image, bytes) else image
        return decoded if isinstance(decoded, ImageError) else await entry.batcher.answer(decoded)

    async def _within(self, request: Request, work: list[Coroutine[Any, Any, T]]) -> list[T]:
        """Do all of it, but only in the time that there is, and while somebody waits."""
        tasks = [asyncio.ensure_future(one) for one in work]
        doing = asyncio.gather(*tasks)
        doing.add_done_callback(lambda done: done.cancelled() or done.exception())  # else asyncio says nobody looked
        watching = asyncio.ensure_future(_disconnected(request))
        try:
            async with asyncio.timeout(self.limits.answer_seconds):
                either: set[asyncio.Future[Any]] = {doing, watching}
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
                if not doing.done():
                    raise ClientDisconnect
                return await doing
        except TimeoutError:
            raise too_busy(f"Not answered within {self.limits.answer_seconds:g} s.") from None
        finally:
            watching.cancel()
            for task in tasks:  # where one has failed the others are at work still
                task.cancel()

    def _count(self, model: ServedModel, found: Sequence[Answer | ImageError]) -> None:
        answers = [answer for answer in found if not isinstance(answer, ImageError)]
        metrics, name = self.metrics, model.name
        metrics.unreadable.labels(name).inc(len(found) - len(answers))
        for answer in answers:
            row = answer.probabilities
            likeliest = int(row.argmax())
            metrics.predictions.labels(name, model.class_names[likeliest]).inc()
            metrics.confidence.labels(name).observe(row[likeliest])
            if answer.answers.unlike is not None and answer.answers.unlike[answer.number]:
                metrics.unlike.labels(name).inc()
            if model.min_confidence is not None and row[likeliest] < model.min_confidence:
                metrics.abstained.labels(name).inc()
        self._drift.add(model, answers)

    async def reload(self, keys: Keys | None) -> None:
        """Read all files anew, models and keys; where that fails, what there was goes on."""
        if keys is not None:
            try:
                keys.reload()
            except SettingsError as error:
                logger.warning("reload_failed", extra={"error": str(error)})
        await self.models.reload_all()

    def close(self) -> None:
        """Let all threads end."""
        self.models.close()
        self.decoder.close()


async def _disconnected(request: Request) -> None:
    """Return when the client has hung up; the body has been read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
