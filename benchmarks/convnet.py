"""One training step of the `default` convolutional network: Eyebright against Keras, PyTorch and JAX.

    python benchmarks/convnet.py --data PATH/cifar-10-batches-bin [--write]

All train the same network, layer by layer, from the same weights on the same augmented batches, by SGD with Nesterov
momentum: their first losses must agree, or nothing is reported. The peers are handed the batches ready made; Eyebright
draws, gathers and augments its own, as users get it. Each contender runs in a process of its own, one after the other,
then all again; a process's figure is the median of its steps after two, ratios are taken within a round. Exit code 1
if a check at the end fails.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from environments import peer_python
from machine import bfloat16_flags, describe_machine
from peers.convnet_task import read_task, step_flops
from processes import Measured, run_measured
from report import Check, check_table, publish, spread, table

PEERS = Path(__file__).resolve().parent / "peers"
PRESET = "default-cnn"
WARM_UP = 2  # steps; the first of them compiles
STEPS = 12
LONGEST = 1800.0  # seconds that a contender may take

PRESET_ITSELF = "Eyebright, the preset as it is"
OURS = "Eyebright"
OURS_FLOAT32 = "Eyebright, float32"
KERAS = "Keras `fit`, float32"
TORCH = "PyTorch, "
# Relative, of each of the first losses; the arithmetic alone makes a difference of 1e-6 and 5e-4.
AGREEMENT = {"float32": 0.002, "bfloat16": 0.01}


class Result(NamedTuple):
    """One run of one contender."""

    step_seconds: float  # median after the warm-up
    first_seconds: float  # of the first step, which compiles
    peak_gb: float
    losses: list[float]
    parameters: int
    precision: str
    version: str


class Contender(NamedTuple):
    command: list[str]
    precision: str  # or auto


class Measurements(NamedTuple):
    """All that was measured, round by round."""

    results: dict[str, list[Result]]  # by contender
    peaks: dict[str, list[dict[str, float]]]  # by precision


class Work(NamedTuple):
    """What a step is."""

    flops: int
    batch_size: int


def main() -> None:
    arguments = parse_arguments()
    # A terminated benchmark still ends the process that it is measuring.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory:
        task_file = Path(directory) / "task.npz"
        ours = ours_command(arguments)
        run_measured(ours("prepare", str(task_file)), directory, timeout=LONGEST)
        task = read_task(task_file)
        work = Work(step_flops(task.layers, task.weights, task.batch_size), task.batch_size)
        measured = measure(contenders(ours, task_file), arguments)
    checks = promises(measured)
    publish(markdown(measured, checks, work, load_before), write=arguments.write)
    sys.exit(0 if all(check.kept for check in checks) else 1)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS, help="fewer for a trial")
    parser.add_argument("--batch-size", type=int, help="a smaller one for a trial")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.steps <= WARM_UP:
        parser.error(f"--rounds is at least 1, --steps at least {WARM_UP + 1}")
    if arguments.write and (arguments.steps != STEPS or arguments.batch_size):
        parser.error(f"--write is for {STEPS} steps of the preset's batches")
    arguments.data = arguments.data.resolve()
    return arguments


def ours_command(arguments: argparse.Namespace) -> Any:
    """A function of a subcommand of convnet_eyebright.py, and its further arguments, to the whole command."""
    options = ["--preset", PRESET, "--steps", str(arguments.steps)]
    options += ["--batch-size", str(arguments.batch_size)] if arguments.batch_size else []
    script = str(PEERS / "convnet_eyebright.py")
    return lambda command, *more: [sys.executable, script, command, str(arguments.data), *more, *options]


def contenders(ours: Any, task: Path) -> dict[str, Contender]:
    """The contenders by name; those of bfloat16 where the processor has it (elsewhere it is emulated)."""

    def peer(python: str, script: str, precision: str, *options: str) -> Contender:
        command = [python, str(PEERS / script), str(task), "--precision", precision, *options]
        return Contender(command, precision)

    torch, jax = peer_python("torch"), peer_python("jax")
    found = {
        PRESET_ITSELF: Contender(ours("run"), "auto"),
        OURS: Contender(ours("run", "--same-work"), "auto"),
        OURS_FLOAT32: Contender(ours("run", "--same-work", "--precision", "float32"), "float32"),
        KERAS: peer(sys.executable, "convnet_keras.py", "float32"),
        "Keras `fit`, mixed_bfloat16": peer(sys.executable, "convnet_keras.py", "bfloat16"),
        f"{TORCH}float32": peer(torch, "convnet_torch.py", "float32"),
        f"{TORCH}bfloat16, channels-last": peer(torch, "convnet_torch.py", "bfloat16", "--channels-last"),
        "JAX, float32": peer(jax, "convnet_jax.py", "float32"),
        "JAX, bfloat16": peer(jax, "convnet_jax.py", "bfloat16"),
    }
    if any(map(shutil.which, ("c++", "g++", "clang++"))):
        options = ("--channels-last", "--compile")
        for precision in ("float32", "bfloat16"):
            name = f"{TORCH}{precision}, channels-last, `torch.compile`"
            found[name] = peer(torch, "convnet_torch.py", precision, *options)
    else:
        print("no C++ compiler: without torch.compile", file=sys.stderr)
    return {name: one for name, one in found.items() if one.precision != "bfloat16" or bfloat16_flags()}


def measure(commands: dict[str, Contender], arguments: argparse.Namespace) -> Measurements:
    measured = Measurements({name: [] for name in commands}, {})
    for number in range(arguments.rounds):
        for name, contender in commands.items():
            result = run(contender)
            measured.results[name].append(result)
            say(number, name, f"{result.step_seconds * 1000:.0f} ms a step")
        check_same_work({name: results[-1] for name, results in measured.results.items()})
        for precision in sorted({result[-1].precision for result in measured.results.values()}):
            peaks = measured.peaks.setdefault(precision, [])
            command = [sys.executable, str(PEERS / "peaks.py"), "--precision", precision]
            peaks.append(json.loads(run_alone(command).last_line))
            say(number, f"peak, {precision}", f"{peaks[-1]['product_gflops']:.0f} GFLOP/s")
    return measured


def say(number: int, name: str, what: str) -> None:
    print(f"round {number + 1}: {name}: {what}", file=sys.stderr, flush=True)


def run(contender: Contender) -> Result:
    measured = run_alone(contender.command)
    found = json.loads(measured.last_line)
    seconds = found["step_seconds"]
    return Result(
        median(seconds[WARM_UP:]),
        seconds[0],
        measured.peak_gb,
        found["losses"],
        found["parameters"],
        found.get("precision", contender.precision),
        found.get("version", ""),
    )


def run_alone(command: list[str]) -> Measured:
    """Run a command in a directory that vanishes afterwards."""
    with tempfile.TemporaryDirectory() as directory:
        return run_measured(command, directory, timeout=LONGEST)


def check_same_work(results: dict[str, Result]) -> None:
    """All train as many parameters, and their first losses are the same: so are network, images and optimizer."""
    ours = results[OURS_FLOAT32]
    for name, result in results.items():
        steps = 0 if name == PRESET_ITSELF else 3  # its loss and its optimizer are others
        pairs = zip(result.losses[:steps], ours.losses[:steps], strict=True)
        apart = max((abs(theirs - own) / own for theirs, own in pairs), default=0.0)
        if result.parameters != ours.parameters or not apart <= AGREEMENT[result.precision]:
            raise SystemExit(
                f"{name} does other work than {OURS_FLOAT32}: {result.parameters:,} and {ours.parameters:,} "
                f"parameters, first losses {result.losses[:steps]} and {ours.losses[:steps]}"
            )


def times_as_long(measured: Measurements, name: str) -> list[float]:
    """A contender's step over Eyebright's, round by round."""
    pairs = zip(measured.results[name], measured.results[OURS], strict=True)
    return [theirs.step_seconds / own.step_seconds for theirs, own in pairs]


def promises(measured: Measurements) -> list[Check]:
    """What the project promises of a step, on a machine of this kind."""
    of_torch = [times_as_long(measured, name) for name in measured.results if name.startswith(TORCH)]
    fastest_torch = [min(of_round) for of_round in zip(*of_torch, strict=True)]
    to_keras = 2.5 if "amx_bf16" in bfloat16_flags() else 1.5
    return [
        Check(f"{KERAS} ÷ {OURS}", times_as_long(measured, KERAS), to_keras, at_least=True),
        Check(f"fastest PyTorch ÷ {OURS}", fastest_torch, 1.0, at_least=True),
    ]


def markdown(measured: Measurements, checks: list[Check], work: Work, load_before: float) -> str:
    """The section for RESULTS.md."""
    results = measured.results
    versions = {"PyTorch": results[f"{TORCH}float32"][0].version, "JAX": results["JAX, float32"][0].version}
    peaks = "; ".join(
        f"{precision} {spread([one['product_gflops'] for one in found], 0)} and "
        f"{spread([one['convolution_gflops'] for one in found], 0)}"
        for precision, found in sorted(measured.peaks.items())
    )
    paragraph = (
        f"{describe_machine(versions)}; load average before: {load_before:.1f}. Median (least–most) of "
        f"n = {len(results[OURS])} rounds. {results[OURS][0].parameters:,} trained parameters, batches of "
        f"{work.batch_size}, {work.flops / 1e9:.0f} GFLOP a step (convolutions and the dense layer, forward and "
        f"backward). `--precision auto` chose {results[OURS][0].precision}. The machine's peaks in GFLOP/s, by a large "
        f"square matrix product and by a large 3×3 convolution: {peaks}. All train by SGD with Nesterov momentum "
        f"but the first, whose optimizer is the preset's. Eyebright's steps include gathering and augmentation."
    )
    columns = ["ms a step", "µs an image", "first step, s", "GFLOP/s", "of the product's peak", "of the convolution's"]
    return "\n".join(
        [
            "## A step of the default convolutional network",
            "",
            paragraph,
            "",
            *table(["", *columns, "peak RssAnon, GB", f"÷ {OURS}"], [row(measured, name, work) for name in results]),
            "",
            *check_table(checks),
        ]
    )


def row(measured: Measurements, name: str, work: Work) -> list[str]:
    results = measured.results[name]
    gflops = [work.flops / result.step_seconds / 1e9 for result in results]

    def share(peak: str) -> list[float]:
        peaks = measured.peaks[results[0].precision]
        return [100 * reached / found[peak] for reached, found in zip(gflops, peaks, strict=True)]

    return [
        name,
        spread([result.step_seconds * 1e3 for result in results], 0),
        spread([result.step_seconds * 1e6 / work.batch_size for result in results], 0),
        spread([result.first_seconds for result in results], 1),
        spread(gflops, 0),
        f"{spread(share('product_gflops'), 0)} %",
        f"{spread(share('convolution_gflops'), 0)} %",
        spread([result.peak_gb for result in results], 2),
        spread(times_as_long(measured, name), 2),
    ]


if __name__ == "__main__":
    main()
