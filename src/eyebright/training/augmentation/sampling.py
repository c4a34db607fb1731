"""Random numbers of the augmentation: for each step and operation its own, whatever else is switched on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eyebright.randomness import Stream, permutation, random_words, uniforms

_SLOTS_PER_STEP = 64
_STARTS = 2**64 - 1  # not a step: a slot of the stream that no training step reaches


class Slot(IntEnum):
    """What a step's numbers are for. Never renumber: each value is part of every seed's meaning."""

    FLIP = 0
    SHIFT = 1
    WARP = 2
    CROP = 3
    COLOUR = 4
    TRIVIAL = 5
    CUTOUT = 6
    ERASING = 7
    MIX_PARTNER = 8
    MIX_KIND = 9
    MIXUP = 10
    CUTMIX = 11


@dataclass(frozen=True, eq=False)
class Numbers:
    """The random numbers of the batches of some steps.

    Args:
        seed: the run's seed.
        steps: int64 [k], step numbers from 0.
        batch_size: B.
    """

    seed: int
    steps: NDArray[np.int64]
    batch_size: int

    def uniform(self, slot: Slot, per_image: int = 1) -> NDArray[np.float64]:
        """float64 [per_image, k, B] in (0, 1)."""
        count = per_image * self.batch_size
        drawn = [uniforms(self.seed, Stream.AUGMENTATION, place, count) for place in self._places(slot)]
        return np.array(drawn).reshape(len(self.steps), per_image, self.batch_size).swapaxes(0, 1)

    def orders(self, slot: Slot) -> NDArray[np.int32]:
        """int32 [k, B]: for each step an order of its images."""
        drawn = [permutation(self.seed, Stream.AUGMENTATION, place, self.batch_size) for place in self._places(slot)]
        return np.array(drawn, np.int32).reshape(len(self.steps), self.batch_size)

    def _places(self, slot: Slot) -> list[int]:
        return [step * _SLOTS_PER_STEP + slot for step in self.steps.tolist()]


def between(u: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Numbers in (0, 1) spread over (low, high)."""
    return low + (high - low) * u


def whole_between(u: NDArray[np.float64], low: int, high: int | NDArray[np.int32]) -> NDArray[np.int32]:
    """Numbers in (0, 1) turned into whole ones of low … high, both included, each as often."""
    # Rounding may carry the very largest to high + 1.
    whole: NDArray[np.int32] = np.minimum(low + np.floor((high - low + 1) * u), high).astype(np.int32)
    return whole


def starting_sides(seed: int, rows: NDArray[np.int32]) -> NDArray[np.int64]:
    """int64, shaped as `rows`, each 0 or 1: which way each image of the data set faces in the first epoch."""
    if not rows.size:
        return np.zeros(rows.shape, np.int64)
    return _sides(seed, 1 << int(rows.max()).bit_length())[rows]


@lru_cache(maxsize=2)
def _sides(seed: int, count: int) -> NDArray[np.int64]:
    # Image i has the stream's i-th word, however many are drawn; powers of two so that the cache holds.
    return (random_words(seed, Stream.AUGMENTATION, _STARTS, count) >> np.uint64(63)).astype(np.int64)


def rectangle_sides(
    u_area: NDArray[np.float64], u_aspect: NDArray[np.float64], areas: tuple[float, float], widest: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Heights and widths of random rectangles, as parts of the image's, each 0 … 1.

    Args:
        u_area: in (0, 1); the area is spread evenly over `areas`.
        u_aspect: in (0, 1); the aspect ratio's logarithm is spread evenly between 1 / widest and widest, as far as
            the rectangle fits into the image: no draw is thrown away.
        areas: smallest and largest area, as parts of the image's.
        widest: largest ratio of width to height, relative to the image's own.
    """
    area = between(u_area, *areas)
    bound = np.minimum(np.log(widest), -np.log(area))  # sides of √(area · aspect) and √(area / aspect) must be ≤ 1
    aspect = np.exp(bound * between(u_aspect, -1, 1))
    return np.minimum(np.sqrt(area / aspect), 1.0), np.minimum(np.sqrt(area * aspect), 1.0)
