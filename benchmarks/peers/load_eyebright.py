"""Eyebright's start on a folder of pictures: decoded into the cache the first time, verified and mapped after that."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from eyebright import load_dataset
from eyebright.picture_options import PictureOptions


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("directory", type=Path)
    flags.add_argument("--side", type=int, required=True)
    arguments = flags.parse_args()
    imported, started = time.process_time(), time.perf_counter()
    dataset = load_dataset(arguments.directory, options=PictureOptions(image_size=arguments.side))
    seconds, processor_seconds = time.perf_counter() - started, time.process_time() - imported
    print(json.dumps({"seconds": seconds, "processor_seconds": processor_seconds, "images": len(dataset)}))


if __name__ == "__main__":
    main()
