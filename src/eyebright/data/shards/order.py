"""Which pictures of which shards make step t: a pure function of (seed, t), whatever the number of workers.

The shards of an epoch come in a drawn order, and the pictures of each in a drawn order of their own: one long row of
all pictures. It is cut into as many equal pieces as there are lanes, and what is learnt from takes one picture of each
lane in turn. So the pictures of a batch come from as many shards as there are lanes, and with the shards' pictures
having been drawn at random when they were written, it is near to a random batch; but each shard is read once, whole,
and only a few of them are in memory.

Worker r of n takes the pictures r, r + n, r + 2n … of each batch. Where n divides the number of lanes and the batch
size, these are of the lanes r, r + n …: no two workers read the same shards (but where two lanes meet in one).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.errors import SettingsError
from eyebright.randomness import Stream, permutation

MOST_LANES = 16
_SHARDS_BITS = 32  # of the 64 of a step of `Stream.IN_SHARDS`; the others are the epoch's
MOST_EPOCHS = 2 ** (64 - _SHARDS_BITS)


def lanes_for(largest_bytes: int, memory_bytes: int) -> int:
    """How many lanes there are: a power of two, so many that two shards a lane have room in memory.

    >>> lanes_for(32 * 10**6, 1024 * 10**6), lanes_for(10**9, 1024 * 10**6)
    (16, 1)
    """
    room = max(1, memory_bytes // (2 * largest_bytes))
    return min(MOST_LANES, 1 << (room.bit_length() - 1))


class Rows(NamedTuple):
    """Pictures by where they are.

    Attributes:
        shards: int64 [k], numbers of shards.
        members: int64 [k], places in them, from 0.
    """

    shards: NDArray[np.int64]
    members: NDArray[np.int64]


class ShardOrder:
    """The order of the pictures of some shards.

    Args:
        counts: of each shard's pictures, at least one.
        batch_size: of all workers together.
        seed: 0 … 2⁶⁴ - 1.
        lanes: in how many pieces the row of an epoch's pictures is cut.

    Raises:
        SettingsError: a batch that is larger than all of them.
    """

    def __init__(self, counts: Sequence[int], batch_size: int, seed: int, lanes: int) -> None:
        self._counts, self._seed = np.asarray(counts, np.int64), seed
        self._batch_size, self._lanes = batch_size, lanes
        self.images = int(self._counts.sum())
        if not 1 <= batch_size <= self.images:
            raise SettingsError(f"--batch-size {batch_size}: give 1 … {self.images:,}, which is all there are.")
        self.steps_per_epoch = self.images // batch_size
        # Of one epoch, used for all its steps; and of another where a batch of the next one is read ahead.
        self._drawn = lru_cache(maxsize=2)(self._draw)
        self._within = lru_cache(maxsize=4 * MOST_LANES)(self._draw_within)

    def rows(self, step: int, rank: int = 0, world: int = 1) -> Rows:
        """The pictures that a worker takes of a step's batch.

        Args:
            step: from 0.
            rank: the worker, from 0.
            world: how many workers there are; it must divide the batch size.
        """
        epoch = step // self.steps_per_epoch
        shards, places = self._found(step, rank, world)
        members = np.empty_like(places)
        for shard in np.unique(shards).tolist():
            of_shard = shards == shard
            members[of_shard] = self._within(epoch, shard)[places[of_shard]]
        return Rows(shards, members)

    def shards(self, step: int, rank: int = 0, world: int = 1) -> list[int]:
        """The shards that a worker needs for a step."""
        shards, _ = self._found(step, rank, world)
        return list(dict.fromkeys(shards.tolist()))

    def _found(self, step: int, rank: int, world: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(shards, places in their drawn order) of a worker's part of a batch, int64 [B / world] both."""
        epoch, batch = divmod(step, self.steps_per_epoch)
        turns = batch * self._batch_size + np.arange(rank, self._batch_size, world)
        lanes, places = turns % self._lanes, turns // self._lanes
        length, longer = divmod(self.images, self._lanes)  # the first lanes are longer by one
        row = lanes * length + np.minimum(lanes, longer) + places
        shards, ends = self._drawn(epoch)
        which = np.searchsorted(ends, row, side="right")
        return shards[which], row - (ends[which] - self._counts[shards[which]])

    def _draw(self, epoch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(shards in their order, where in the row each ends)."""
        shards = permutation(self._seed, Stream.SHARDS, epoch, len(self._counts))
        return shards, np.cumsum(self._counts[shards])

    def _draw_within(self, epoch: int, shard: int) -> NDArray[np.int64]:
        return permutation(self._seed, Stream.IN_SHARDS, (epoch << _SHARDS_BITS) + shard, int(self._counts[shard]))
