"""The tutorial's 2,000 steps: Eyebright against Keras, a loop in Python, PyTorch, and the matrix products alone.

    python benchmarks/tutorial.py --data PATH/cifar-10-batches-bin [--write]

Each contender runs in a process of its own, one after the other, then all again, so that a machine whose speed drifts
is unfair to none; ratios are taken within a round. Exit code 1 if a check at the end fails.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from environments import peer_python
from machine import bfloat16_flags, describe_machine
from peers.task import STEP_FLOPS
from processes import run_measured
from report import Check, check_table, publish, spread, table

PEERS = Path(__file__).resolve().parent / "peers"
STEPS = 2000

OURS = "Eyebright"
OURS_FLOAT32 = "Eyebright, float32"
KERAS = "Keras `fit`"
FLOOR_FLOAT32 = "floor, float32"
FLOOR_BFLOAT16 = "floor, bfloat16"


class Result(NamedTuple):
    """One run of one contender; nan or "" where a figure has no meaning for it."""

    train_seconds: float
    wall_seconds: float
    peak_gb: float
    test_accuracy: float
    peak_gflops: float
    precision: str
    torch: str


Rounds = dict[str, list[Result]]  # by contender


def main() -> None:
    arguments = parse_arguments()
    # A terminated benchmark still ends the process that it is measuring.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    commands = contenders(arguments.data.resolve(), arguments.steps)
    load_before = os.getloadavg()[0]
    rounds: Rounds = {name: [] for name in commands}
    for number in range(arguments.rounds):
        for name, command in commands.items():
            result = run(command, number)
            rounds[name].append(result)
            print(f"round {number + 1}: {name}: {result.train_seconds:.2f} s", file=sys.stderr, flush=True)
    checks = promises(rounds)
    publish(markdown(rounds, checks, arguments.steps, load_before), write=arguments.write)
    sys.exit(0 if all(check.kept for check in checks) else 1)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="a cifar-10-batches-bin directory")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=STEPS, help="fewer for a trial, a multiple of 125")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    if not (arguments.data / "data_batch_1.bin").is_file():
        parser.error(f"--data {arguments.data}: no data_batch_1.bin in it")
    if arguments.rounds < 1 or arguments.steps < 125 or arguments.steps % 125:
        parser.error("--rounds is at least 1, --steps a multiple of 125")
    if arguments.write and arguments.steps != STEPS:
        parser.error(f"--write is for the whole {STEPS} steps")
    return arguments


def contenders(data: Path, steps: int) -> dict[str, list[str]]:
    """The contenders' commands, by name."""

    def ours(precision: str) -> list[str]:
        return [
            *(sys.executable, "-m", "eyebright", "train", str(data), "--model", "fc", "--preset", "tutorial"),
            *("--precision", precision, "--max-steps", str(steps), "--run-dir", "run", "--json"),
        ]

    def peer(script: str, *options: str, python: str = sys.executable) -> list[str]:
        return [python, str(PEERS / script), "--steps", str(steps), *options]

    commands = {
        OURS: ours("auto"),
        OURS_FLOAT32: ours("float32"),
        KERAS: peer("keras_fit.py", str(data)),
        "Keras `fit`, 125 steps a call": peer("keras_fit.py", str(data), "--steps-per-execution", "125"),
        "batches fed from Python": peer("python_loop.py", str(data)),
        "PyTorch": peer("torch_loop.py", str(data), python=peer_python("torch")),
        FLOOR_FLOAT32: peer("floor.py", "--precision", "float32"),
    }
    if bfloat16_flags():  # elsewhere bfloat16 is emulated and no floor
        commands[FLOOR_BFLOAT16] = peer("floor.py", "--precision", "bfloat16")
    return commands


def run(command: list[str], seed: int) -> Result:
    """Run one contender in a directory that vanishes afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        measured = run_measured([*command, "--seed", str(seed)], directory)
    figures = json.loads(measured.last_line)
    return Result(
        figures["train_seconds"],
        measured.wall_seconds,
        measured.peak_gb,
        figures.get("test_accuracy", math.nan),
        figures.get("peak_gflops", math.nan),
        figures.get("precision", ""),
        figures.get("torch", ""),
    )


def ratios(rounds: Rounds, above: str, below: str, figure: str = "train_seconds") -> list[float]:
    """One contender's figure over another's, round by round."""
    return [getattr(a, figure) / getattr(b, figure) for a, b in zip(rounds[above], rounds[below], strict=True)]


def promises(rounds: Rounds) -> list[Check]:
    """What the project promises of its training, on a machine of this kind."""
    to_keras = ratios(rounds, OURS, KERAS)
    checks = [
        Check("training ÷ Keras `fit`", to_keras, 0.45),
        Check("training ÷ float32 floor", ratios(rounds, OURS, FLOOR_FLOAT32), 1.4),
        Check("whole process ÷ Keras `fit`", ratios(rounds, OURS, KERAS, "wall_seconds"), 0.6),
        Check("peak RssAnon, GB", [result.peak_gb for result in rounds[OURS]], 1.5),
    ]
    if "amx_bf16" in bfloat16_flags():
        checks += [
            Check("with AMX: training ÷ Keras `fit`", to_keras, 0.25),
            Check("with AMX: training ÷ bfloat16 floor", ratios(rounds, OURS, FLOOR_BFLOAT16), 2.5),
        ]
    return checks


def markdown(rounds: Rounds, checks: list[Check], steps: int, load_before: float) -> str:
    """The section for RESULTS.md."""
    machine = describe_machine({"PyTorch": rounds["PyTorch"][0].torch})
    peaks = [
        f"{name.removeprefix('floor, ')} {spread([result.peak_gflops for result in rounds[name]], 0)}"
        for name in (FLOOR_FLOAT32, FLOOR_BFLOAT16)
        if name in rounds
    ]
    paragraph = (
        f"{machine}; load average before: {load_before:.1f}. Median (least–most) of n = {len(rounds[OURS])} rounds. "
        f"`--precision auto` chose {rounds[OURS][0].precision}. GFLOP/s count the two large matrix products of each "
        f"step; the machine's peak, by a large square product: {', '.join(peaks)} GFLOP/s."
    )
    columns = ["training, s", "whole process, s", "test accuracy", "peak RssAnon, GB", "GFLOP/s"]
    columns += [f"{OURS} ÷ this", f"{OURS_FLOAT32} ÷ this"]
    return "\n".join(
        [
            f"## The tutorial's {steps:,} steps of 400 images",
            "",
            paragraph,
            "",
            *table(["", *columns], [contender_row(rounds, name, steps) for name in rounds]),
            "",
            *check_table(checks),
        ]
    )


def contender_row(rounds: Rounds, name: str, steps: int) -> list[str]:
    results = rounds[name]
    return [
        name,
        spread([result.train_seconds for result in results], 2),
        spread([result.wall_seconds for result in results], 2),
        spread([result.test_accuracy for result in results], 4),
        spread([result.peak_gb for result in results], 2),
        spread([STEP_FLOPS * steps / result.train_seconds / 1e9 for result in results], 0),
        spread(ratios(rounds, OURS, name), 2),
        spread(ratios(rounds, OURS_FLOAT32, name), 2),
    ]


if __name__ == "__main__":
    main()
