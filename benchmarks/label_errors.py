"""`eyebright check --label-errors` on CIFAR-10 with labels that were flipped at random.

Of the training images, one in fifty gets another label, drawn evenly from the nine others. The command sees the images
with these labels, in a process of its own, and looks for twins and all else besides. What counts is how many of the
flipped images are among as many of the first of its ranked list.

    python benchmarks/label_errors.py --data PATH --write
    python benchmarks/label_errors.py --data PATH --images 5000   # a trial
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright import Dataset, load_dataset
from machine import describe_machine
from report import Check, check_table, publish, table

WHOLE = 50_000  # images
ONE_IN = 50
LEAST_FOUND = 0.6  # share of the flipped images among as many of the first of the list
MOST_MINUTES = 45.0
FOUND = 3  # the exit code of `check` where it found something


class Result(NamedTuple):
    """What the command found.

    Attributes:
        seed: of the flips.
        flipped: how many labels were.
        reported: how many findings there are.
        among_first: the share of the flipped images among as many of the first.
        among_all: their share among all that were reported.
        suggested: the share of these whose suggested label is the right one.
        minutes: of the whole process.
    """

    seed: int
    flipped: int
    reported: int
    among_first: float
    among_all: float
    suggested: float
    minutes: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--images", type=int, default=WHOLE, help="how many of the training images")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the flips")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load_before = os.getloadavg()[0]
    dataset = load_dataset(arguments.data)
    images = dataset.splits["train"][: arguments.images]
    training = Dataset(dataset.images[images], dataset.labels[images], dataset.class_names, "training images")
    results = []
    for seed in arguments.seeds:
        results.append(measure(training, seed))
        print(results[-1], file=sys.stderr, flush=True)
    checks = [
        Check("share of the flipped among as many first", [one.among_first for one in results], LEAST_FOUND, True, 3),
        Check("minutes", [one.minutes for one in results], MOST_MINUTES, digits=1),
    ]
    if len(training) < WHOLE:  # classifiers that learn from few images contradict right labels, too: a trial
        checks = []
    publish(markdown(len(training), results, checks, load_before), write=arguments.write)
    sys.exit(0 if all(check.kept for check in checks) else 1)


def measure(training: Dataset, seed: int) -> Result:
    labels, flipped = flip(training, seed)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "flipped.npz"
        np.savez(path, images=training.images, labels=labels, class_names=list(training.class_names))
        started = time.perf_counter()
        command = [sys.executable, "-m", "eyebright", "check", str(path), "--label-errors", "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
        minutes = (time.perf_counter() - started) / 60
    if done.returncode != FOUND:
        raise SystemExit(f"{' '.join(command)}: exit code {done.returncode}")
    found = [one for one in json.loads(done.stdout)["findings"] if one["kind"] == "label-error"]
    return score(training, flipped, found, seed, minutes)


def flip(training: Dataset, seed: int) -> tuple[NDArray[np.int32], set[int]]:
    """Labels of which some were replaced, int32 [N], and the images that have those."""
    random, classes = np.random.default_rng(seed), len(training.class_names)
    images = random.choice(len(training), len(training) // ONE_IN, replace=False)
    labels = training.labels.copy()
    labels[images] = (labels[images] + random.integers(1, classes, len(images))) % classes
    return labels, set(images.tolist())


def score(training: Dataset, flipped: set[int], found: list[dict[str, Any]], seed: int, minutes: float) -> Result:
    images = [int(one["images"][0]) for one in found]
    hits = [one for one, image in zip(found, images, strict=True) if image in flipped]
    right = [one["suggested_label"] == training.class_names[training.labels[int(one["images"][0])]] for one in hits]
    return Result(
        seed,
        len(flipped),
        len(found),
        len(flipped & set(images[: len(flipped)])) / len(flipped),
        len(hits) / len(flipped),
        float(np.mean(right)) if hits else 0.0,
        minutes,
    )


def markdown(images: int, results: list[Result], checks: list[Check], load_before: float) -> str:
    """The section for RESULTS.md."""
    heads = ["flips' seed", "flipped", "reported", "of the flipped, among as many first", "among all reported"]
    heads += ["right label suggested", "minutes"]
    rows = [
        [
            *map(str, (one.seed, one.flipped, one.reported)),
            *(f"{share:.1%}" for share in (one.among_first, one.among_all, one.suggested)),
            f"{one.minutes:.1f}",
        ]
        for one in results
    ]
    paragraph = (
        f"{describe_machine({})}; load average before: {load_before:.1f}. `eyebright check --label-errors`, the whole "
        "process, which looks for twins and all else, too."
    )
    return "\n".join(
        [
            f"## Label errors: {images:,} images of CIFAR-10, one label in {ONE_IN} flipped",
            "",
            paragraph,
            "",
            *table(heads, rows),
            "",
            *(check_table(checks) if checks else []),
        ]
    )


if __name__ == "__main__":
    main()
