"""torchvision's `ImageFolder` with a `DataLoader`, one pass: it decodes in each epoch anew. Bilinear, antialiased."""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import time
from pathlib import Path

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
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("directory", type=Path)
    flags.add_argument("--side", type=int, required=True)
    flags.add_argument("--workers", type=int, required=True)
    arguments = flags.parse_args()
    transform = v2.Compose([v2.Resize(arguments.side), v2.CenterCrop(arguments.side), v2.PILToTensor()])
    imported, started = time.process_time(), time.perf_counter()
    dataset = torchvision.datasets.ImageFolder(arguments.directory, transform)
    loader = DataLoader(dataset, BATCH_SIZE, num_workers=arguments.workers)
    images = sum(len(labels) for _, labels in loader)
    seconds, processor_seconds = time.perf_counter() - started, time.process_time() - imported
    of_workers = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor_seconds += of_workers.ru_utime + of_workers.ru_stime
    version = torchvision.__version__
    print(
        json.dumps(
            {"seconds": seconds, "processor_seconds": processor_seconds, "images": images, "torchvision": version}
        )
    )


if __name__ == "__main__":
    main()
