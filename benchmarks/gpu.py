"""CIFAR-10 on a GPU: how long the network takes to 94%, and how much of the GPU it uses.

    python benchmarks/gpu.py --data PATH/cifar-10-batches-bin [--seeds 10] [--best 3] [--rows FILE] [--write]

The first two seeds are processes of their own: one that compiles, and one that finds on the disk what the first one
compiled. The others are runs in one process. Training is from the first step to the last, checkpoints, validations and
records included, and what is measured of the images before it; compiling is told apart. Each run meets the test set
once, at its end. --best trains so many seeds of the preset `best` besides. Exit code 1 if a promise is not kept.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from math import prod
from pathlib import Path
from statistics import mean
from typing import Any

from accuracy import Row, row_of
from machine import commit, describe_machine
from processes import run_measured
from report import Check, check_table, mean_and_deviation, publish, spread, table

FAST, BEST, TUTORIAL = "gpu-fast-cnn", "best-cnn", "tutorial-fc"
PROCESSES = 2  # of the seeds
MATRIX, PRODUCTS = 8192, 20  # what the GPU's peak is measured by


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--best", type=int, default=0, metavar="N", help="seeds of the preset best besides")
    parser.add_argument("--rows", type=Path, help="append a line of JSON for each seed, as accuracy.jsonl has them")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    os.environ["KERAS_BACKEND"] = "jax"
    with tempfile.TemporaryDirectory() as directory:
        # Before this process takes the GPU's memory.
        cold, warm = (run_process(arguments.data, seed, directory) for seed in range(PROCESSES))
        from eyebright.backend import accelerator

        if accelerator() is None:
            raise SystemExit(
                "benchmarks/gpu.py: JAX finds no GPU here (pip install 'jax[cuda13]' brings what it needs)"
            )
        from eyebright import load_dataset

        dataset = load_dataset(str(arguments.data.resolve()))
        here = [train(FAST, dataset, seed, directory) for seed in range(PROCESSES, arguments.seeds)]
        tutorial = train(TUTORIAL, dataset, 0, directory)
        best = [train(BEST, dataset, seed, directory) for seed in range(arguments.best)]
    fast = [cold, warm, *here]
    if arguments.rows:
        rows = [*((FAST, one) for one in fast), *((BEST, one) for one in best)]
        with arguments.rows.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(row_without_compiling(name, results)) + "\n" for name, results in rows)
    checks = promises(fast, best)
    publish(markdown(fast, best, tutorial, checks), write=arguments.write)
    sys.exit(0 if all(check.kept for check in checks) else 1)


def run_process(data: Path, seed: int, directory: str) -> Row:
    """Train the fast preset by the command: its results, and `wall_seconds` from the process's start to its end."""
    command = [sys.executable, "-m", "eyebright", "train", str(data.resolve()), "--preset", FAST, "--backend", "jax"]
    measured = run_measured([*command, "--seed", str(seed), "--run-dir", f"process-{seed}", "--json"], directory)
    return say(FAST, json.loads(measured.last_line) | {"wall_seconds": measured.wall_seconds})


def train(name: str, dataset: Any, seed: int, directory: str) -> Row:
    """Train a preset in this process: its results."""
    from eyebright.training import trainer

    settings = settings_of(name, seed=seed)
    return say(name, trainer.train(settings, dataset, Path(directory) / f"{name}-{seed}").results)


def say(name: str, results: Row) -> Row:
    """Tell what a run came to while the others are on their way."""
    accuracy, seconds, compiling = (results[key] for key in ("test_accuracy", "train_seconds", "compile_seconds"))
    took = f"{seconds - compiling:.2f} s, and {compiling:.1f} s to compile"
    print(f"{name} seed {results['seed']}: {accuracy:.4f} in {took}", file=sys.stderr, flush=True)
    return results


def row_without_compiling(name: str, results: Row) -> Row:
    """A line of accuracy.jsonl. Its training seconds are without those of compiling, which only the first run does."""
    from eyebright.backend import accelerator

    trained = results | {"train_seconds": trained_seconds(results)}
    return row_of(name, trained, os.getloadavg()[0], accelerator(), machine())


def trained_seconds(results: Row) -> float:
    """Seconds of training without those of compiling."""
    return float(results["train_seconds"] - results["compile_seconds"])


def machine() -> str:
    from eyebright.backend import backend_in_words

    return f"{backend_in_words()}, beside {describe_machine({})}"


def peak() -> float:
    """Operations a second of a large matrix product in bfloat16, which is as fast as this GPU gets."""
    import jax

    a, b = (jax.random.normal(jax.random.key(seed), (MATRIX, MATRIX), "bfloat16") for seed in (0, 1))
    product = jax.jit(lambda a, b: a @ b)
    product(a, b).block_until_ready()
    began = time.perf_counter()
    for _ in range(PRODUCTS):
        done = product(a, b)
    done.block_until_ready()
    return 2 * MATRIX**3 * PRODUCTS / (time.perf_counter() - began)


def operations_an_image(name: str) -> int:
    """Operations of training on one image in the convolutions and the last layer: forward, and both gradients."""
    from eyebright.architecture import Architecture
    from eyebright.backend import keras
    from eyebright.models import build_model, first_layer

    model = build_model(Architecture.of(settings_of(name), (32, 32, 3), 10))
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            # The fixed first layer has no gradient, and nothing before the first trained one needs one.
            passes = 1 if layer.name == "whiten" else 2 if layer is first_layer(model) else 3
            total += 2 * passes * prod(layer.kernel.shape) * prod(layer.output.shape[1:-1])
    return total


def promises(fast: list[Row], best: list[Row]) -> list[Check]:
    found = [
        Check("mean test accuracy of the fast preset", [mean(one["test_accuracy"] for one in fast)], 0.94, True, 4),
        Check("training after compiling, s", [trained_seconds(one) for one in fast], 4.0),
    ]
    if best:
        found.append(
            Check("mean test accuracy of the best preset", [mean(one["test_accuracy"] for one in best)], 0.955, True, 4)
        )
    return found


def markdown(fast: list[Row], best: list[Row], tutorial: Row, checks: list[Check]) -> str:
    cold, warm = fast[:PROCESSES]
    possible, rows = peak(), []
    for name, runs in ((FAST, fast), (BEST, best)):
        if not runs:
            continue
        images = [one["steps"] * settings_of(name).batch_size / trained_seconds(one) for one in runs]
        one_view = [one.get("test_accuracy_one_view", one["test_accuracy"]) for one in runs]
        cells = [f"`{name}`", str(len(runs)), mean_and_deviation(one_view)]
        cells += [
            mean_and_deviation([one["test_accuracy"] for one in runs]),
            spread([trained_seconds(one) for one in runs], 2),
        ]
        rows.append([*cells, f"{max(images):,.0f}", f"{max(images) * operations_an_image(name) / possible:.0%}"])
    heads = ["preset", "seeds", "test accuracy, one view", "with test-time augmentation", "training after compiling, s"]
    heads += ["images a second, at best", "of the peak"]
    text = (
        f"{machine()}. Commit {commit()}. ± is the standard deviation over seeds. The peak is {possible / 1e12:.0f} "
        f"TFLOP/s, of a bfloat16 product of matrices of {MATRIX}. The first process compiled for "
        f"{cold['compile_seconds']:.1f} s and took {cold['wall_seconds']:.1f} s from its start to its end, test "
        f"included; the second found that on the disk: {warm['compile_seconds']:.1f} s, and {warm['wall_seconds']:.1f} "
        f"s as a whole. The tutorial's network (`{TUTORIAL}`, {tutorial['steps']:,} steps): "
        f"{trained_seconds(tutorial):.2f} s and {tutorial['compile_seconds']:.1f} s to compile, test accuracy "
        f"{tutorial['test_accuracy']:.4f}."
    )
    return "\n".join(["## On a GPU", "", text, "", *table(heads, rows), "", *check_table(checks)])


def settings_of(name: str, **given: Any) -> Any:
    from eyebright import preset_settings

    return preset_settings(name, **given)


if __name__ == "__main__":
    main()
