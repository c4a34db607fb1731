"""Which images make step t: a pure function of (seed, t, number of images, batch size)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eyebright.randomness import Stream, permutation


def steps_per_epoch(images: int, batch_size: int) -> int:
    """How many whole batches an epoch has.

    >>> steps_per_epoch(1000, 300)
    3
    """
    return images // batch_size


def batch_positions(seed: int, steps: NDArray[np.int64], images: int, batch_size: int) -> NDArray[np.int32]:
    """Which of the training images make each of some steps.

    Each epoch is a fresh permutation of all the images, walked front to back, so that no image comes twice in an
    epoch. Where the batch size does not divide the number of images, the last `images % batch_size` of the
    permutation sit this epoch out: batches keep one size (one compiled step, one level of gradient noise), and as it
    is other images in each epoch, over a run all are seen equally often in expectation.

    Args:
        seed: the run's seed.
        steps: int64 [k], step numbers from 0.
        images: number of training images.
        batch_size: 1 … images.

    Returns:
        int32 [k, batch_size], each in 0 … images - 1.

    >>> batch_positions(0, np.arange(2), 6, 3).shape
    (2, 3)
    """
    per_epoch = steps_per_epoch(images, batch_size)
    rows = np.empty((len(steps), batch_size), np.int32)
    for row, step in zip(rows, steps.tolist(), strict=True):
        epoch, batch = divmod(step, per_epoch)
        row[:] = _epoch_order(seed, epoch, images)[batch * batch_size : (batch + 1) * batch_size]
    return rows


@lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, images: int) -> NDArray[np.int32]:
    return permutation(seed, Stream.BATCHES, epoch, images).astype(np.int32)
