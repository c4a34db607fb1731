"""What all peers share: the tutorial's two-layer network in figures, its data, and the line of JSON at the end."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

PIXELS = 3072
HIDDEN_UNITS = 120
CLASSES = 10
BATCH_SIZE = 400
LEARNING_RATE = 0.001
L2 = 0.1  # times Σ ½‖W‖² over the two weight matrices
STEPS_PER_EPOCH = 125

# The two products of a step that count: x·W1 and its gradient xᵀ·dH, a multiplication and an addition each.
STEP_FLOPS = 2 * 2 * BATCH_SIZE * PIXELS * HIDDEN_UNITS


class Data(NamedTuple):
    """CIFAR-10 less the mean image of its training set: images float32 [N, 3072], labels int32 [N]."""

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int32]
    test_images: NDArray[np.float32]
    test_labels: NDArray[np.int32]


def parser(description: str | None) -> argparse.ArgumentParser:
    """The flags that every peer has."""
    flags = argparse.ArgumentParser(description=description)
    flags.add_argument("data", type=Path, help="a cifar-10-batches-bin directory")
    flags.add_argument("--steps", type=int, default=2000, help="a multiple of 125 (default 2000)")
    flags.add_argument("--seed", type=int, default=0)
    return flags


def read_data(directory: Path) -> Data:
    """Read CIFAR-10's binary files: one byte of label and 3,072 of pixels an image."""
    images, labels = _read([directory / f"data_batch_{number}.bin" for number in range(1, 6)])
    test_images, test_labels = _read([directory / "test_batch.bin"])
    mean_image = images.mean(axis=0, dtype=np.float64).astype(np.float32)
    images -= mean_image
    test_images -= mean_image
    return Data(images, labels, test_images, test_labels)


def report(train_seconds: float, **figures: Any) -> None:
    """Print the line of JSON that the benchmark reads."""
    print(json.dumps({"train_seconds": train_seconds, **figures}))


def _read(paths: list[Path]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    records = np.concatenate([np.fromfile(path, np.uint8) for path in paths]).reshape(-1, 1 + PIXELS)
    return records[:, 1:].astype(np.float32), records[:, 0].astype(np.int32)
