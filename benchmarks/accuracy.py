"""Test accuracy of presets over seeds, each run a process of its own.

    python benchmarks/accuracy.py --data PATH/cifar-10-batches-bin tutorial-softmax tutorial-fc default-fc [--write]

The spread is that over seeds (what another run would give); the interval of a single run in its results.json is that
over images (what other test images would give). Exit code 1 if a promise is not kept.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from machine import describe_machine
from processes import run_measured

HERE = Path(__file__).resolve().parent
# What the mean test accuracy on CIFAR-10 over seeds 0 to 4 must lie in, and the training's seconds stay under.
PROMISES: dict[str, tuple[float, float, float]] = {
    "tutorial-softmax": (0.22, 0.32, 120),
    "tutorial-fc": (0.455, 0.475, 120),
    "default-softmax": (0.38, 1, 120),
    "default-fc": (0.55, 1, 120),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="+", choices=list(PROMISES), metavar="preset-model")
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    rows, kept = [], True
    for preset in arguments.presets:
        runs = [train(preset, seed, arguments.data.resolve()) for seed in range(arguments.seeds)]
        row, fits = summarise(preset, runs)
        rows.append(row)
        kept = kept and fits
    section = "\n".join(
        [
            "## Test accuracy on CIFAR-10 by preset",
            "",
            f"{describe_machine({})}. Seeds 0 to {arguments.seeds - 1}; each run met the test set once, at its end.",
            "",
            "| preset | test accuracy, mean ± standard deviation | range | training, s: median (range) | precision | |",
            "| --- | --- | --- | --- | --- | --- |",
            *rows,
        ]
    )
    print(section)
    if arguments.write:
        with (HERE / "RESULTS.md").open("a", encoding="utf-8") as results:
            results.write(f"\n{section}\n")
    sys.exit(0 if kept else 1)


def train(preset: str, seed: int, data: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "eyebright", "train", str(data), "--preset", preset, "--seed", str(seed)]
    with tempfile.TemporaryDirectory() as directory:
        line = run_measured([*command, "--run-dir", "run", "--json"], directory).last_line
    results: dict[str, Any] = json.loads(line)
    print(f"{preset} seed {seed}: {results['test_accuracy']:.4f} in {results['train_seconds']:.1f} s", file=sys.stderr)
    return results


def summarise(preset: str, runs: list[dict[str, Any]]) -> tuple[str, bool]:
    accuracies = [run["test_accuracy"] for run in runs]
    seconds = [run["train_seconds"] for run in runs]
    least, most, longest = PROMISES[preset]
    fits = least <= mean(accuracies) <= most and max(seconds) <= longest
    deviation = f" ± {stdev(accuracies):.4f}" if len(runs) > 1 else ""
    return (
        f"| `{preset}` | {mean(accuracies):.4f}{deviation} | {min(accuracies):.4f}–{max(accuracies):.4f} "
        f"| {median(seconds):.1f} ({min(seconds):.1f}–{max(seconds):.1f}) | {runs[0]['precision']} "
        f"| {'PASS' if fits else 'FAIL'} |"
    ), fits


if __name__ == "__main__":
    main()
