"""What evaluating costs beyond the forward pass, how long the bootstrap takes, and whether Wilson's intervals hold.

    python benchmarks/evaluation.py --data PATH/cifar-10-batches-bin --run RUNS/default-cnn [--images 10000] [--write]

In turns, in one process after a first call of each: the model alone over the images, in as many views as the classifier
looks at, in batches of the size that was fastest; and `evaluate` with all its figures and intervals. The images are
training images, so that nobody looks at test images. Exit code 1 if a promise isn't kept.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from eyebright import Classifier, load_dataset
from eyebright.backend import available_threads, set_threads, tf
from eyebright.evaluation.evaluate import evaluate
from eyebright.metrics.bootstrap import DRAWS
from eyebright.metrics.figures import all_figures
from eyebright.metrics.intervals import wilson_interval
from eyebright.models import build_model
from eyebright.models.network import load_weights
from machine import describe_machine
from report import Check, check_table, publish, spread, table

LIMIT = 1.3  # evaluate ÷ forward pass
BOOTSTRAP_SECONDS = 2.0
COVERAGE = 0.007
VIEWS = {"none": 1, "mirror": 2, "mirror-shift": 6}
BATCHES = (50, 100, 200, 500, 1000)  # views
TRIED = 2000  # views, to find the fastest batch
SIMULATED = [(n, p) for n in (100, 1_000, 10_000) for p in (0.5, 0.9, 0.99)]
DRAWN = 10_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--run", type=Path, required=True, help="a finished run of cnn default")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0]
    coverages = [coverage(n, p) for n, p in SIMULATED]
    timed = measure(arguments.data, arguments.run, arguments.images, arguments.rounds)
    checks = [
        Check(
            "evaluate ÷ the model alone", [e / f for e, f in zip(timed["evaluate"], timed["alone"], strict=True)], LIMIT
        ),
        Check(f"all intervals of {arguments.images:,} images, {DRAWS:,} draws, s", timed["figures"], BOOTSTRAP_SECONDS),
        Check(
            "Wilson's coverage: simulated - exact, largest of nine",
            [max(abs(simulated - exact) for simulated, exact in coverages)],
            COVERAGE,
            digits=4,
        ),
    ]
    publish(markdown(timed, coverages, checks, load_before, arguments.images), write=arguments.write)
    sys.exit(0 if all(check.kept for check in checks) else 1)


def measure(data: Path, run: Path, images: int, rounds: int) -> dict[str, Any]:
    """Seconds of each, round by round, and the batch that was fastest."""
    set_threads(available_threads())
    dataset, classifier = load_dataset(data), Classifier.load(run)
    chosen = dataset.splits["train"][:images]
    views = VIEWS[classifier.tta]
    forward = bare_forward(classifier)
    pixels = dataset.images[np.resize(chosen, max(BATCHES))]
    for batch in BATCHES:
        forward(pixels[:batch])
    speeds = {batch: seconds(lambda batch=batch: run_batches(forward, pixels, TRIED, batch)) for batch in BATCHES}
    best = min(speeds, key=speeds.__getitem__)
    evaluate(classifier, dataset, chosen[:50])
    logits = classifier.logits(dataset.images, chosen).astype(np.float64)
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    labels, names = dataset.labels[chosen], classifier.class_names
    timed: dict[str, Any] = {"alone": [], "evaluate": [], "figures": [], "batch": best, "views": views}
    for number in range(rounds):
        timed["alone"].append(seconds(lambda: run_batches(forward, pixels, len(chosen) * views, best)))
        timed["evaluate"].append(seconds(lambda: evaluate(classifier, dataset, chosen)))
        timed["figures"].append(seconds(lambda: all_figures(labels, probabilities, names, top_k=5)))
        print(f"round {number + 1}: {timed}", file=sys.stderr, flush=True)
    return timed


def bare_forward(classifier: Classifier) -> Callable[[NDArray[np.uint8]], Any]:
    """The model and nothing else, in one compiled call."""
    model = build_model(classifier.architecture, "float32")
    load_weights(model, classifier.weights)
    signature = [tf.TensorSpec([None, *classifier.image_shape], tf.uint8)]
    return tf.function(lambda batch: model(batch, training=False), input_signature=signature, autograph=False)


def run_batches(forward: Callable[[NDArray[np.uint8]], Any], pixels: NDArray[np.uint8], total: int, batch: int) -> None:
    """As many images through the model as there are views of all images; which ones makes no difference to its time."""
    for start in range(0, total, batch):
        forward(pixels[: min(batch, total - start)]).numpy()


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def coverage(n: int, p: float) -> tuple[float, float]:
    """How often Wilson's 95% interval holds p: in 10,000 draws, and by its formula over all outcomes."""
    drawn, counts = np.unique(np.random.default_rng([n, round(100 * p)]).binomial(n, p, DRAWN), return_counts=True)
    held = [low <= p <= high for low, high in (wilson_interval(int(k), n) for k in drawn)]
    outcomes = np.arange(n + 1)
    half = 1.959963984540054 * math.sqrt(p * (1 - p) / n)  # Wilson's interval holds p where |k/n - p| is no more
    exact = binom.pmf(outcomes, n, p)[np.abs(outcomes / n - p) <= half].sum()
    return float((counts * held).sum() / DRAWN), float(exact)


def markdown(
    timed: dict[str, Any], coverages: list[tuple[float, float]], checks: list[Check], load_before: float, images: int
) -> str:
    """The section for RESULTS.md."""
    paragraph = (
        f"{describe_machine({})}; load average before: {load_before:.1f}. Median (least–most) of n = "
        f"{len(timed['alone'])} rounds over {images:,} training images of CIFAR-10, {timed['views']} view(s) of each; "
        f"the model alone in batches of {timed['batch']}. Coverage of Wilson's 95% interval in {DRAWN:,} draws."
    )
    rows = [
        ["the model alone", spread(timed["alone"], 2)],
        ["`evaluate`", spread(timed["evaluate"], 2)],
        ["all figures and intervals of it", spread(timed["figures"], 2)],
    ]
    simulated = [
        [f"{n:,}", str(p), f"{drawn:.4f}", f"{exact:.4f}"]
        for (n, p), (drawn, exact) in zip(SIMULATED, coverages, strict=True)
    ]
    return "\n".join(
        [
            "## What evaluating costs, and whether its intervals hold",
            "",
            paragraph,
            "",
            *table(["", "s"], rows),
            "",
            *table(["n", "p", "simulated", "exact"], simulated),
            "",
            *check_table(checks),
        ]
    )


if __name__ == "__main__":
    main()
