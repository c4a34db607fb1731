"""One seed, many independent streams: every random choice is a pure function of (seed, stream, step).

The generator is Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), which is counter
based: the stream is part of its key and the step the highest word of its counter, so that any step's numbers can
be had without the steps before it, and no two steps overlap.

Only the raw 64-bit words of Philox are used, never NumPy's distributions, whose algorithms may change between
NumPy's versions while the raw words may not.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Stream(IntEnum):
    """What the numbers are for. Never renumber: each value is part of every seed's meaning."""

    SPLIT = 1
    WEIGHTS = 2
    BATCHES = 3
    DROPOUT = 4
    AUGMENTATION = 5
    BOOTSTRAP = 6
    CORRUPTION = 8
    EXPLANATION = 9
    OUTLIERS = 10
    GOLDEN = 11
    SEARCH = 12
    SHARDS = 13
    IN_SHARDS = 14
    DEALING = 15


def random_words(seed: int, stream: Stream, step: int, count: int) -> NDArray[np.uint64]:
    """Raw random words.

    Args:
        seed: the run's seed, 0 … 2⁶⁴ - 1.
        stream: what the numbers are for.
        step: training step, epoch, draw or index of a weight, 0 … 2⁶⁴ - 1.
        count: how many words.

    Returns:
        uint64 [count], uniform over all 64-bit words.

    >>> bool((random_words(0, Stream.SPLIT, 3, 4) == random_words(0, Stream.SPLIT, 3, 4)).all())
    True
    """
    # As uint64 arrays: NumPy would turn a list with a number of 2⁶³ or more into floats.
    key = np.array([seed, stream], np.uint64)
    philox = np.random.Philox(key=key, counter=np.array([0, 0, 0, step], np.uint64))
    return philox.random_raw(count)


def uniforms(seed: int, stream: Stream, step: int, count: int) -> NDArray[np.float64]:
    """float64 [count] in the open interval (0, 1): the middles of 2⁵² equal parts of it."""
    return _fractions(random_words(seed, stream, step, count))


def permutation(seed: int, stream: Stream, step: int, n: int) -> NDArray[np.int64]:
    """int64 [n]: a uniformly drawn order of 0 … n - 1 (the order that sorts n random words)."""
    return np.argsort(random_words(seed, stream, step, n), kind="stable")


def _fractions(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    # 52 bits, as with the half they are the 53 that a float64 holds: nothing is rounded, to 1 for example.
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
