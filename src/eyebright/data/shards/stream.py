"""Batches of pictures straight from shards, in memory that the size of the data doesn't change."""

from __future__ import annotations

import contextlib
import itertools
import math
import mmap
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.data.parallel import process_pool, processors
from eyebright.data.places import Patience, Place, place_of
from eyebright.data.shards.index import Shard, ShardIndex, read_index
from eyebright.data.shards.members import Sample
from eyebright.data.shards.order import MOST_EPOCHS, Rows, ShardOrder, lanes_for
from eyebright.data.shards.reading import decode_sample, read_shard, with_bytes
from eyebright.errors import SettingsError

# Of shards, in one worker that reads all of them. Those that are freed leave gaps, which take nearly as much again.
_MEMORY_BYTES = 800 * 10**6
_READERS = 4  # shards that are read at the same time
_BATCHES_AHEAD = 2  # that are decoded while one is learnt from
_MOST_AT_ONCE = 64  # pictures in one task: more of them wait less often for the interpreter's lock of this process


class ShardBatch(NamedTuple):
    """What a worker takes of a batch.

    Attributes:
        images: uint8 [b, H, W, C], values 0 … 255.
        labels: int32 [b].
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]


class ShardStream:
    """Batches of one split of some shards, in an order that is a pure function of (seed, step).

    In an epoch each picture comes once, but that the last `images % batch_size` of its order sit it out, as other ones
    in each epoch. How the order is made, and what it costs, is in `eyebright.data.shards.order`. Shards are read whole
    and verified, a few at a time: of a set of shards as `write_shards` makes them, no more than 0.8 GB is held.

    Args:
        location: a directory of shards, or the URL of one.
        batch_size: images of a step, those of all workers together.
        seed: 0 … 2⁶⁴ - 1.
        split: train, validation, test, or "" for images that came in no split. If not given: train, or else "".
        lanes: from how many shards a batch comes, which is part of the order; if not given, up to 16, as have room.
        patience: with object storage.

    Raises:
        DataError: there are no shards, or not of that split.
        SettingsError: a batch that is larger than the split, a seed or a number of lanes that cannot be.
        MissingExtraError: a URL, and what it needs is not installed.
    """

    def __init__(
        self,
        location: str | Path,
        batch_size: int,
        *,
        seed: int = 0,
        split: str | None = None,
        lanes: int | None = None,
        patience: Patience | None = None,
    ) -> None:
        if not 0 <= seed < 2**64:
            raise SettingsError(f"seed {seed}: give 0 … 2⁶⁴ - 1.")
        self._place = place_of(location, patience)
        self.index: ShardIndex = read_index(self._place)
        self._shards = _of_split(self.index, str(location), split)
        largest = max(shard.bytes for shard in self._shards)
        self.lanes = lanes_for(largest, _MEMORY_BYTES) if lanes is None else lanes
        if self.lanes < 1:
            raise SettingsError(f"lanes {lanes}: give a number above 0.")
        self.order = ShardOrder([shard.images for shard in self._shards], batch_size, seed, self.lanes)
        self.batch_size = batch_size

    @property
    def images(self) -> int:
        """How many the split has."""
        return self.order.images

    @property
    def steps_per_epoch(self) -> int:
        """How many whole batches an epoch has."""
        return self.order.steps_per_epoch

    def batches(self, first_step: int = 0, rank: int = 0, world: int = 1) -> Iterator[ShardBatch]:
        """The batches from a step on, without end; none depends on those before it.

        Args:
            first_step: from 0; not the first where training goes on.
            rank: which worker this is, from 0.
            world: how many workers there are. Worker r takes the images r, r + world … of each batch.

        Yields:
            Of `batch_size / world` images each.

        Raises:
            SettingsError: no such step or worker, or a batch that is not divided by their number.
            DataError: a shard is missing, cut, damaged or from another set, or cannot be read.
        """
        if not 0 <= first_step < self.steps_per_epoch * MOST_EPOCHS:
            raise SettingsError(f"step {first_step}: give one from 0 on, within 2³² epochs.")
        if world < 1:
            raise SettingsError(f"{world} workers: give at least 1.")
        if not 0 <= rank < world:
            raise SettingsError(f"worker {rank} of {world}: workers are numbered 0 … {world - 1}.")
        if self.batch_size % world:
            raise SettingsError(
                f"--batch-size {self.batch_size}: {world} workers cannot share it equally. Give a multiple of {world}."
            )
        return self._batches(first_step, rank, world)

    def _batches(self, first_step: int, rank: int, world: int) -> Iterator[ShardBatch]:
        # A shard is begun to be read when half of the one before it, in its lane, is still to come.
        ahead = max(1, self.images * self.lanes // (2 * len(self._shards) * self.batch_size))
        needed, begun = deque[list[int]](), deque[_Begun]()
        shape = (self.batch_size // world, *self.index.image_shape)
        with ExitStack() as stack:
            buffers = stack.enter_context(_shared(_BATCHES_AHEAD + 1, shape))  # before there are processes
            pool = stack.enter_context(process_pool())
            window = stack.enter_context(closing(_Window(self._place, self.index, self._shards)))
            for step in itertools.count(first_step):
                while len(needed) <= ahead + _BATCHES_AHEAD:
                    needed.append(self.order.shards(step + len(needed), rank, world))
                    window.need(needed[-1])
                while len(begun) <= _BATCHES_AHEAD:
                    wanted = step + len(begun)
                    samples = window.samples(self.order.rows(wanted, rank, world))
                    begun.append(_begin(pool, buffers, wanted % (_BATCHES_AHEAD + 1), samples, self.index))
                batch = begun.popleft()
                for part in batch.parts:
                    part.result()
                window.release(needed.popleft())
                yield ShardBatch(batch.images.copy(), batch.labels)


class _Begun(NamedTuple):
    """A batch that is being decoded: where its images come to lie, its labels, and what is still at work on it."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]
    parts: list[Future[None]]


# Memory that decoding processes write to, by number: they are copies of this one, and find it here, too.
_BUFFERS: dict[int, NDArray[np.uint8]] = {}
_numbers = itertools.count()


@contextlib.contextmanager
def _shared(count: int, shape: tuple[int, ...]) -> Iterator[int]:
    """Memory for so many arrays of a shape, which processes that are begun later share; its number."""
    number = next(_numbers)
    memory = mmap.mmap(-1, count * math.prod(shape))
    _BUFFERS[number] = np.frombuffer(memory, np.uint8).reshape(count, *shape)
    try:
        yield number
    finally:
        del _BUFFERS[number]


def _begin(
    pool: Executor, buffers: int, place: int, samples: Sequence[tuple[str, Sample]], index: ShardIndex
) -> _Begun:
    """Begin to decode a batch into one of some buffers."""
    labels = np.array([sample.label for _, sample in samples], np.int32)
    # Each processor has some tasks to come.
    at_once = max(1, min(_MOST_AT_ONCE, len(samples) * (_BATCHES_AHEAD + 1) // (4 * processors())))
    parts = [
        pool.submit(
            _decode,
            (buffers, place, start),
            [where for where, _ in samples[start : start + at_once]],
            with_bytes([sample for _, sample in samples[start : start + at_once]]),
            index,
        )
        for start in range(0, len(samples), at_once)
    ]
    return _Begun(_BUFFERS[buffers][place], labels, parts)


def _decode(target: tuple[int, int, int], where: Sequence[str], samples: Sequence[Sample], index: ShardIndex) -> None:
    buffers, place, start = target
    for row, (shard, sample) in enumerate(zip(where, samples, strict=True), start):
        _BUFFERS[buffers][place, row] = decode_sample(shard, sample, index)


class _Window:
    """The shards that some steps in a row need, each read once for all of them.

    Args:
        place: where they lie.
        index: of their set.
        shards: those of the split.
    """

    def __init__(self, place: Place, index: ShardIndex, shards: Sequence[Shard]) -> None:
        self._place, self._index, self._shards = place, index, shards
        self._readers = ThreadPoolExecutor(_READERS, "shards")
        self._read: dict[int, Future[list[Sample]]] = {}
        self._uses = Counter[int]()

    def need(self, shards: Sequence[int]) -> None:
        """Begin to read what a step needs, unless it is here already."""
        for number in shards:
            self._uses[number] += 1
            if number not in self._read:
                self._read[number] = self._readers.submit(read_shard, self._place, self._index, self._shards[number])

    def release(self, shards: Sequence[int]) -> None:
        """A step is done: what no other needs is forgotten."""
        for number in shards:
            self._uses[number] -= 1
            if not self._uses[number]:
                del self._uses[number], self._read[number]

    def samples(self, rows: Rows) -> list[tuple[str, Sample]]:
        """Pictures of shards that are needed, each with how messages call its shard; waits until they are here."""
        numbers = rows.shards.tolist()
        read = {
            number: (self._place.where(self._shards[number].name), self._read[number].result())
            for number in set(numbers)
        }
        pairs = ((read[number], member) for number, member in zip(numbers, rows.members.tolist(), strict=True))
        return [(where, samples[member]) for (where, samples), member in pairs]

    def close(self) -> None:
        """Read nothing more."""
        self._readers.shutdown(cancel_futures=True)


def _of_split(index: ShardIndex, location: str, split: str | None) -> tuple[Shard, ...]:
    chosen = split if split is not None else "train" if "train" in index.splits else ""
    shards = index.of_split(chosen)
    if not shards:
        there = ", ".join(name or "images of no split" for name in index.splits)
        raise SettingsError(f"{location}: it has no split {chosen!r}. There are: {there}.")
    return shards
