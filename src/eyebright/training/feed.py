"""The images of a run's steps, on their way into the compiled call that trains on them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eyebright.backend import BACKEND, device_array, device_bytes
from eyebright.data.dataset import Dataset
from eyebright.training.plan import Plan, Steps

_RESIDENT_SHARE = 0.5  # of a GPU's memory that pixels may take; what a step needs is to fit beside them
_BYTES_AT_ONCE = 64 * 2**20  # of pixels that are streamed; twice that is in memory


class Part(NamedTuple):
    """Some steps in a row, and what they are made of.

    Attributes:
        steps: k of them.
        images: a tensor, uint8 [M, H, W, C].
        labels: a tensor, int32 [M].
        rows: int32 [k, B], which of these images make each step.
    """

    steps: Steps
    images: Any
    labels: Any
    rows: NDArray[np.int32]


class Feed(Protocol):
    """Where the images of steps come from. Which of the two it is changes nothing that is computed."""

    def parts(self, steps: Steps) -> Iterator[Part]:
        """Cut steps into parts, in their order, each with its images."""


def build_feed(dataset: Dataset, plan: Plan) -> Feed:
    """The feed that fits a data set: images mapped from a file, or too many for the GPU, are streamed."""
    device = device_bytes()
    if _lies_in_file(dataset.images) or (device is not None and dataset.images.nbytes > _RESIDENT_SHARE * device):
        return StreamingFeed(dataset, plan, _BYTES_AT_ONCE)
    return ResidentFeed(dataset)


def _lies_in_file(images: NDArray[np.uint8]) -> bool:
    """Whether images are mapped from a file in which the bytes of each stand together."""
    base: Any = images
    while isinstance(base, np.ndarray | memoryview) and not isinstance(base, np.memmap):
        base = base.obj if isinstance(base, memoryview) else base.base
    return isinstance(base, np.memmap) and images.flags.c_contiguous


class ResidentFeed:
    """All images in memory, in the backend's own copy of them: no batch is ever built by Python.

    Args:
        dataset: where the images come from.
    """

    def __init__(self, dataset: Dataset) -> None:
        self._images = device_array(dataset.images)  # uint8 [N, H, W, C]
        self._labels = device_array(dataset.labels)  # int32 [N]

    def parts(self, steps: Steps) -> Iterator[Part]:
        """All steps are one part, of all images."""
        yield Part(steps, self._images, self._labels, steps.rows)


class StreamingFeed:
    """Images read from a memory map while earlier ones are trained on, in memory that the data's size doesn't change.

    Steps are taken in chunks of so many as `bytes_at_once` allows, the first chunk from step 0 on. Which images make a
    chunk follows from its steps' numbers alone; so a thread reads the next one ahead, and a run that is resumed needs
    to know nothing but its step.

    Args:
        dataset: where the images come from.
        plan: which of them make which step.
        bytes_at_once: of a chunk's pixels, at most, but that a chunk is at least one step.
    """

    def __init__(self, dataset: Dataset, plan: Plan, bytes_at_once: int) -> None:
        self._images = dataset.images.view(np.ndarray)
        self._labels = dataset.labels
        self._plan = plan
        step_bytes = plan.rows(np.arange(1)).size * int(np.prod(dataset.image_shape))
        self._length = max(1, bytes_at_once // step_bytes)
        self._reader = ThreadPoolExecutor(1, "images")
        self._chunks: dict[int, Future[tuple[Any, Any, NDArray[np.int32]]]] = {}  # by number: this one and the next

    def parts(self, steps: Steps) -> Iterator[Part]:
        """A part for each chunk, of the chunk's images."""
        chunks = steps.numbers // self._length
        cuts = [0, *(np.flatnonzero(np.diff(chunks)) + 1).tolist(), len(steps)]
        for start, end in itertools.pairwise(cuts):
            part = steps.part(start, end)
            images, labels, rows = self._chunk(int(chunks[start]))
            yield Part(part, images, labels, rows[part.numbers % self._length])

    def _chunk(self, number: int) -> tuple[Any, Any, NDArray[np.int32]]:
        """Images, labels and rows of a chunk; the next one is begun to be read."""
        wanted = [number]
        if (number + 1) * self._length < self._plan.total_steps:
            wanted.append(number + 1)
        self._chunks = {n: self._chunks.get(n) or self._reader.submit(self._read, n) for n in wanted}
        return self._chunks[number].result()

    def _read(self, number: int) -> tuple[Any, Any, NDArray[np.int32]]:
        rows = self._plan.rows(np.arange(number * self._length, (number + 1) * self._length))  # [k, B]
        chosen, places = np.unique(rows, return_inverse=True)  # ascending, as the disk likes it
        images, labels = np.take(self._images, chosen, axis=0), self._labels[chosen]  # [M, H, W, C], [M]
        if BACKEND == "jax":  # which compiles for a shape, so that all chunks have one
            missing = rows.size - len(chosen)
            images = np.concatenate([images, np.zeros((missing, *images.shape[1:]), np.uint8)])
            labels = np.concatenate([labels, np.zeros(missing, np.int32)])
        return device_array(images), device_array(labels), places.reshape(rows.shape).astype(np.int32)
