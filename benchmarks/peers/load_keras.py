"""Keras's `image_dataset_from_directory`, one pass: it decodes in each epoch anew. Bilinear, without antialiasing."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import keras

BATCH_SIZE = 64


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("directory", type=Path)
    flags.add_argument("--side", type=int, required=True)
    arguments = flags.parse_args()
    imported, started = time.process_time(), time.perf_counter()
    dataset = keras.utils.image_dataset_from_directory(
        arguments.directory,
        image_size=(arguments.side, arguments.side),
        batch_size=BATCH_SIZE,
        shuffle=False,
        crop_to_aspect_ratio=True,
        verbose=False,
    )
    images = sum(len(labels) for _, labels in dataset)
    seconds, processor_seconds = time.perf_counter() - started, time.process_time() - imported
    print(json.dumps({"seconds": seconds, "processor_seconds": processor_seconds, "images": images}))


if __name__ == "__main__":
    main()
