"""torchvision's `ImageFolder` with a `DataLoader`, one pass: it decodes in each epoch anew. Bilinear, antialiased."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import load_task
import torch
from torch.utils.data import DataLoader

try:
    torch.ops.load_library(str(Path(importlib.util.find_spec("torchvision").origin).with_name("_C.so")))
except OSError:  # built for CUDA beside a PyTorch that is not: no operator that reads pictures is in it
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import torchvision
from torchvision.transforms import v2

BATCH_SIZE = 64


def main() -> None:
    flags = load_task.parser(__doc__)
    flags.add_argument("--workers", type=int, required=True)
    arguments = flags.parse_args()
    transform = v2.Compose([v2.Resize(arguments.side), v2.CenterCrop(arguments.side), v2.PILToTensor()])

    def load() -> int:
        dataset = torchvision.datasets.ImageFolder(arguments.directory, transform)
        return sum(len(labels) for _, labels in DataLoader(dataset, BATCH_SIZE, num_workers=arguments.workers))

    load_task.report(load_task.timed(load) | {"torchvision": torchvision.__version__})


if __name__ == "__main__":
    main()
