"""The classifiers that a server has, by name, and how one takes another's place without a request failing."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from eyebright.errors import EyebrightError
from eyebright.serving.batching import Batcher
from eyebright.serving.metrics import Metrics
from eyebright.serving.model import ServedModel
from eyebright.serving.options import ServerOptions
from eyebright.serving.refusals import Refusal

logger = logging.getLogger("eyebright.serving")

_Stamp = tuple[int, int, int]


class Entry(NamedTuple):
    """A classifier and its queue. A request keeps to the entry that it began with."""

    model: ServedModel
    batcher: Batcher


class Models:
    """All classifiers of a server.

    Args:
        options: which, and how.
        metrics: what is counted.

    Raises:
        EyebrightError: one of them cannot be loaded.
    """

    def __init__(self, options: ServerOptions, metrics: Metrics) -> None:
        self._options = options
        self._metrics = metrics
        # One thread for all: a session of ONNX Runtime has threads of its own.
        self._compute = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._loading = asyncio.Lock()
        self._stamps = {name: _stamp(path) for name, path in options.models}
        self._entries = {name: self._entry(self._load(name, path)) for name, path in options.models}

    def _load(self, name: str, path: Path) -> ServedModel:
        options = self._options
        return ServedModel.load(name, path, options.answers, skip_golden=options.skip_golden, threads=options.threads)

    def _entry(self, model: ServedModel) -> Entry:
        measure = self._metrics.batch_measure(model.name)
        return Entry(model, Batcher(model.answer, self._compute, self._options.batching, measure))

    def __iter__(self) -> Iterator[ServedModel]:
        return (entry.model for entry in self._entries.values())

    def get(self, name: str | None = None) -> Entry:
        """The classifier of a name, or the first.

        Raises:
            Refusal: 404, there is none of that name.
        """
        if name is None:
            return next(iter(self._entries.values()))
        if name not in self._entries:
            raise Refusal(404, f"No model of the name {name!r} is here. Known: {', '.join(self._entries)}.")
        return self._entries[name]

    @property
    def admitted(self) -> int:
        """How many images are at work or wait."""
        return sum(entry.batcher.admitted for entry in self._entries.values())

    async def watch(self) -> None:
        """Load a file anew whenever it has changed, and then stayed as it is for a while."""
        seen = dict(self._stamps)
        while True:
            await asyncio.sleep(self._options.watch_seconds)
            for name, path in self._options.models:
                stamp = _stamp(path)
                if stamp is not None and stamp == seen[name] != self._stamps[name]:
                    await self.reload(name, path)
                seen[name] = stamp

    async def reload_all(self) -> None:
        """Load all files anew."""
        for name, path in self._options.models:
            await self.reload(name, path)

    async def reload(self, name: str, path: Path) -> None:
        """Load a file anew and let it answer from now on; where it cannot be loaded, what there was goes on.

        Requests that have begun are answered by what there was when they began.
        """
        async with self._loading:
            stamp = _stamp(path)
            try:
                entry = self._entry(await asyncio.to_thread(self._load, name, path))
                self._metrics.prepare(entry.model)
            except Exception as error:  # whatever it is, what there was goes on, and files are watched
                known = isinstance(error, (EyebrightError, OSError))
                logger.warning("reload_failed", extra={"model": name, "error": str(error)}, exc_info=not known)
                self._metrics.reloads.labels(name, "failed").inc()
            else:
                self._entries[name] = entry
                logger.info("reloaded", extra={"model": name})
                self._metrics.reloads.labels(name, "done").inc()
            self._stamps[name] = stamp

    def close(self) -> None:
        """Let the thread end."""
        self._compute.shutdown(wait=False, cancel_futures=True)


def _stamp(path: Path) -> _Stamp | None:
    """What changes when a file does; None where it cannot be seen."""
    try:
        status = os.stat(path)  # noqa: PTH116 - beside the other functions of os
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
