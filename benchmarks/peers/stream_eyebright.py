"""Eyebright's `ShardStream`: some steps of batches straight from shards, verified; on request a hash of each image."""

from __future__ import annotations

import argparse
import hashlib
from itertools import islice
from pathlib import Path

import load_task
import numpy as np

from eyebright.data.shards import ShardStream


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("directory", type=Path)
    flags.add_argument("--batch-size", type=int, required=True)
    flags.add_argument("--first", type=int, default=0, help="step")
    flags.add_argument("--steps", type=int, help="how many; if not given, an epoch")
    flags.add_argument("--rank", type=int, default=0)
    flags.add_argument("--world", type=int, default=1)
    flags.add_argument("--hashes", type=Path, help="where to write them, uint64 [steps, images]")
    arguments = flags.parse_args()
    hashes: list[list[int]] = []

    def stream() -> int:
        shards = ShardStream(arguments.directory, arguments.batch_size)
        batches = shards.batches(arguments.first, arguments.rank, arguments.world)
        count = 0
        for images, labels in islice(batches, arguments.steps or shards.steps_per_epoch):
            count += len(labels)
            if arguments.hashes:
                hashes.append([of(image, label) for image, label in zip(images, labels.tolist(), strict=True)])
        return count

    figures = load_task.timed(stream)
    if arguments.hashes:
        np.save(arguments.hashes, np.array(hashes, np.uint64))
    load_task.report(figures)


def of(image: np.ndarray, label: int) -> int:
    return int.from_bytes(hashlib.sha256(image.tobytes() + bytes([label])).digest()[:8], "little")


if __name__ == "__main__":
    main()
