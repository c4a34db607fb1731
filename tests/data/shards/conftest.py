"""Data to shard, and little patience."""

from __future__ import annotations

import numpy as np

from eyebright import Dataset
from eyebright.data.places import Patience
from eyebright.data.shards import ShardBatch

QUICK = Patience(attempts=2, pause_seconds=0.01, connect_seconds=2.0, read_seconds=0.3)


def numbered(count: int, shape: tuple[int, int, int] = (5, 4, 3), splits: bool = True) -> Dataset:
    """Images of which each says by its first pixels which it is, in three classes."""
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    images.reshape(count, -1)[:, :2] = np.stack([np.arange(count) // 256, np.arange(count) % 256], axis=1)
    labels = (np.arange(count) % 3).astype(np.int32)
    cut = count * 3 // 4
    parts = {"train": np.arange(cut), "test": np.arange(cut, count)} if splits else {}
    return Dataset(images, labels, ("a", "b", "c"), "numbered", parts)


def numbers(images: np.ndarray) -> list[int]:
    """Which of the `numbered` images these are."""
    first = images.reshape(len(images), -1)[:, :2].astype(int)
    return (first[:, 0] * 256 + first[:, 1]).tolist()


def numbers_of(batches: list[ShardBatch]) -> list[int]:
    """Which of them are in some batches, in their order."""
    return [number for batch in batches for number in numbers(batch.images)]
