"""WebDataset over the same shards, one pass: shards in random order, then a buffer; decoded as its "rgb8"."""

from __future__ import annotations

import argparse
from pathlib import Path

import load_task
import torch
import webdataset

BUFFER = 2_000  # pictures


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("directory", type=Path)
    flags.add_argument("--batch-size", type=int, required=True)
    flags.add_argument("--workers", type=int, required=True)
    arguments = flags.parse_args()

    torch.set_num_threads(1)  # as in its workers

    def stream() -> int:
        shards = sorted(map(str, arguments.directory.glob("*.tar")))
        pictures = webdataset.WebDataset(shards, shardshuffle=len(shards), empty_check=False).shuffle(BUFFER)
        # As tensors, which its workers hand over in shared memory: arrays would go through pipes, at half the speed.
        tuples = pictures.decode("rgb8").to_tuple("jpg", "cls").map_tuple(torch.from_numpy)
        batches = tuples.batched(arguments.batch_size)
        loader = webdataset.WebLoader(batches, batch_size=None, num_workers=arguments.workers)
        return sum(len(labels) for _, labels in loader)

    load_task.report(load_task.timed(stream) | {"WebDataset": webdataset.__version__})


if __name__ == "__main__":
    main()
