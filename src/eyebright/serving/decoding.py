"""Pictures of requests become images, in threads of their own and within a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.data.decode import decode_image
from eyebright.errors import ImageError
from eyebright.serving.model import ServedModel
from eyebright.serving.options import Limits, processors


class Decoder:
    """Decodes pictures in as many threads as there are processors; Pillow lets go of the interpreter's lock.

    Args:
        limits: of pixels and of time. A thread cannot be stopped: a picture that takes too long is given up, and its
            thread is free once the decoder comes to an end, which the limit of pixels bounds.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(processors(), thread_name_prefix="decode")
        self._free = asyncio.Semaphore(processors())  # threads; so the time for decoding begins when it begins

    async def decode(self, content: bytes, model: ServedModel) -> NDArray[np.uint8] | ImageError:
        """Decode one picture.

        Args:
            content: of its file.
            model: that is to see it.

        Returns:
            uint8 [H, W, C], or what is wrong with the picture.
        """
        loop = asyncio.get_running_loop()

        def release(_: Future[Any]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._free.release)

        await self._free.acquire()
        work = self._threads.submit(self._decoded, content, model)
        work.add_done_callback(release)  # when the thread is free, however long the picture was waited for
        try:
            return await asyncio.wait_for(asyncio.wrap_future(work), self._limits.decode_seconds)
        except TimeoutError:
            return ImageError(f"the picture: not decoded within {self._limits.decode_seconds:g} s. Make it smaller.")

    def _decoded(self, content: bytes, model: ServedModel) -> NDArray[np.uint8] | ImageError:
        try:
            return decode_image(content, model.image_shape, model.classifier.fit, self._limits.pixels)
        except ImageError as error:
            return error

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)
