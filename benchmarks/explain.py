"""Whether the heat of each explanation lies where the object is: pictures whose object stands in a known quadrant.

A picture of CIFAR-10 is pasted into one quadrant of a grey canvas of 64 × 64 pixels. A convolutional network is trained
on such canvases, made of CIFAR-10's training images; others, made of its test images, are explained, each for the class
that the network says. What counts is in how many the heat's peak lies in the quadrant of the object; a quarter would
be chance.

    python benchmarks/explain.py --data PATH --write
    python benchmarks/explain.py --data PATH --training-images 2000 --epochs 2 --pictures 50   # a trial
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright import Classifier, Dataset, explain, load_dataset, preset_settings, train
from eyebright.evaluation.explain import METHODS
from eyebright.evaluation.grad_cam import grad_cam
from machine import describe_machine
from report import Check, check_table, publish, table

SIDE = 64
HALF = SIDE // 2
GREY = 128
CHANNELS = (32, 64, 64)
VALIDATION = 500  # images
PICTURES = 500
LEAST_IN_QUADRANT = 0.9  # for Grad-CAM
HIRES = "HiResCAM, for comparison"


class Result(NamedTuple):
    """How a method did.

    Attributes:
        method: its name.
        hits: bool [n], whether the heat's peak lies in the object's quadrant.
        inside: the mean share of the heat that does.
        milliseconds: a picture.
    """

    method: str
    hits: NDArray[np.bool_]
    inside: float
    milliseconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--training-images", type=int, default=12_000)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--pictures", type=int, default=PICTURES, help="how many are explained")
    parser.add_argument("--run", type=Path, help="a run of this script to use again, or where to keep a new one")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0]
    cifar = load_dataset(arguments.data)
    with tempfile.TemporaryDirectory() as directory:
        run = arguments.run or Path(directory) / "run"
        if not run.exists():
            learn(cifar, arguments.training_images, arguments.epochs, run)
        classifier = Classifier.load(run)
    images, labels, quadrants = canvases(cifar, cifar.splits["test"][: arguments.pictures], seed=1)
    said = classifier.predict(images).argmax(axis=1)
    results = [measure(classifier, images, said, quadrants, method) for method in [*METHODS, HIRES]]
    shares = [float(results[0].hits.mean())]
    checks = [Check("Grad-CAM's peak in the object's quadrant, share", shares, LEAST_IN_QUADRANT, True, 3)]
    right = said == labels
    text = markdown(results, right, checks, arguments, load_before)
    publish(text, write=arguments.write)
    sys.exit(0 if all(check.kept for check in checks) else 1)


def canvases(
    cifar: Dataset, indices: NDArray[np.int64], seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.int64]]:
    """Images on canvases, uint8 [n, 64, 64, 3]; their labels, and their quadrants (down · 2 + across), int64 [n]."""
    quadrants = np.random.default_rng(seed).integers(0, 4, len(indices))
    sheets = np.full((len(indices), 2, HALF, 2, HALF, 3), GREY, np.uint8)
    sheets[np.arange(len(indices)), quadrants // 2, :, quadrants % 2] = cifar.images[indices]
    return sheets.reshape(-1, SIDE, SIDE, 3), cifar.labels[indices], quadrants


def learn(cifar: Dataset, count: int, epochs: int, run: Path) -> None:
    images, labels, _ = canvases(cifar, cifar.splits["train"][: count + 2 * VALIDATION], seed=0)
    splits = {"validation": np.arange(VALIDATION), "test": np.arange(VALIDATION, 2 * VALIDATION)}
    dataset = Dataset(images, labels, cifar.class_names, "canvases", splits)
    settings = preset_settings("fast", model="cnn", epochs=epochs, channels=CHANNELS, tta="none", validation=0)
    train(settings, dataset, run)


def measure(
    classifier: Classifier,
    images: NDArray[np.uint8],
    said: NDArray[np.int64],
    quadrants: NDArray[np.int64],
    method: str,
) -> Result:
    def by_name(some: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.floating]:
        return explain(classifier, some, classes, method).heat

    heat_of: Callable[..., NDArray[np.floating]] = by_name
    if method == HIRES:
        heat_of = grad_cam(classifier.model, pooled_gradient=False)
    heat_of(images[:1], said[:1])  # what is compiled is not timed
    started = time.perf_counter()
    heat = np.concatenate([heat_of(images[at : at + 100], said[at : at + 100]) for at in range(0, len(images), 100)])
    seconds = time.perf_counter() - started
    down, across = np.unravel_index(heat.reshape(len(heat), -1).argmax(axis=1), (SIDE, SIDE))
    hits = 2 * (down // HALF) + across // HALF == quadrants
    of_quadrants = heat.reshape(-1, 2, HALF, 2, HALF).sum(axis=(2, 4)).reshape(-1, 4)
    total = np.maximum(of_quadrants.sum(axis=1), 1e-12)
    inside = float((of_quadrants[np.arange(len(heat)), quadrants] / total).mean())
    print(f"{method}: {hits.mean():.3f} in the quadrant, {seconds:.0f} s", file=sys.stderr, flush=True)
    return Result(method, hits, inside, 1000 * seconds / len(images))


def markdown(
    results: list[Result],
    right: NDArray[np.bool_],
    checks: list[Check],
    arguments: argparse.Namespace,
    load_before: float,
) -> str:
    """The section for RESULTS.md."""
    from eyebright.metrics.intervals import wilson_interval

    rows = []
    for one in results:
        low, high = wilson_interval(int(one.hits.sum()), len(one.hits))
        rows.append(
            [
                one.method,
                f"{one.hits.mean():.1%} ({low:.1%}–{high:.1%})",
                f"{one.hits[right].mean():.1%}",
                f"{one.hits[~right].mean():.1%}" if not right.all() else "–",
                f"{one.inside:.1%}",
                f"{one.milliseconds:.0f}",
            ]
        )
    heads = ["method", "peak in the object's quadrant (95% interval)", "of pictures named rightly", "of the others"]
    heads += ["of the heat, in it", "ms a picture"]
    paragraph = (
        f"{describe_machine({})}; load average before: {load_before:.1f}. n = {len(right)} pictures, for the class "
        f"that the network says ({right.mean():.1%} rightly): preset `fast`, channels {', '.join(map(str, CHANNELS))}, "
        f"{arguments.epochs} epochs on {arguments.training_images:,} canvases; its last maps have 7 × 7 cells."
    )
    return "\n".join(
        [
            "## Explanations: objects in a known quadrant",
            "",
            paragraph,
            "",
            *table(heads, rows),
            "",
            *check_table(checks),
        ]
    )


if __name__ == "__main__":
    main()
