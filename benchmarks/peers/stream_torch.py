"""PyTorch's `DataLoader` over the files that the shards were made of, one pass in random order, decoded by Pillow."""

from __future__ import annotations

import argparse
from pathlib import Path

import load_task
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset


class Pictures(Dataset):
    """A folder with a folder of pictures for each class."""

    def __init__(self, directory: Path) -> None:
        names = sorted(path.name for path in directory.iterdir())
        self._files = [
            (path, label) for label, name in enumerate(names) for path in sorted((directory / name).iterdir())
        ]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, number: int) -> tuple[torch.Tensor, int]:
        path, label = self._files[number]
        with Image.open(path) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))), label


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("directory", type=Path)
    flags.add_argument("--batch-size", type=int, required=True)
    flags.add_argument("--workers", type=int, required=True)
    arguments = flags.parse_args()

    torch.set_num_threads(1)  # as in its workers: more of them wait for each other while batches are put together

    def load() -> int:
        loader = DataLoader(
            Pictures(arguments.directory), arguments.batch_size, shuffle=True, num_workers=arguments.workers
        )
        return sum(len(labels) for _, labels in loader)

    load_task.report(load_task.timed(load) | {"PyTorch": torch.__version__})


if __name__ == "__main__":
    main()
