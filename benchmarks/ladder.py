"""How soon each rung of test accuracy on CIFAR-10 is reached: the whole process, from its start to its end.

    python benchmarks/ladder.py --data PATH/cifar-10-batches-bin [--rungs 46.33 50 …] [--write]

As DAWNBench had it (Coleman et al., 2017): the time to a model of a given accuracy, of a fresh process each time, with
start-up, reading, compilation and the one look at the test images at the end in it. Which command climbs to which rung
was chosen on validation images; the table of them is here, in one place. Exit code 1 if a run misses its rung or a
promised time is exceeded.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from machine import bfloat16_flags, describe_machine
from processes import run_measured
from report import publish, spread, table, verdict

LONGEST = 4 * 3600.0  # seconds that a run may take


class Limits(NamedTuple):
    """What is promised on one kind of machine, in seconds; None where nothing is."""

    whole: float | None = None
    training: float | None = None


class Rung(NamedTuple):
    """One rung, and what climbs to it."""

    percent: float
    flags: tuple[str, ...]
    seeds: int
    amx: Limits = Limits()
    no_amx: Limits = Limits()

    @property
    def limits(self) -> Limits:
        return self.amx if "amx_bf16" in bfloat16_flags() else self.no_amx


LADDER = [
    Rung(46.33, ("--preset", "fast-fc"), 10, amx=Limits(8, 2), no_amx=Limits(12)),
    Rung(50, ("--preset", "fast-fc", "--epochs", "2"), 10, amx=Limits(12), no_amx=Limits(20)),
    Rung(60, ("--preset", "default-fc"), 3),
    Rung(70, ("--preset", "fast-cnn", "--epochs", "1"), 3),
    Rung(80, ("--preset", "fast-cnn", "--epochs", "1"), 3),
    Rung(90, ("--preset", "fast-cnn", "--epochs", "4"), 3),
    Rung(94, ("--preset", "default-cnn"), 1),
]


class Climb(NamedTuple):
    """One run."""

    accuracy: float
    whole_seconds: float
    train_seconds: float
    tta: str


def main() -> None:
    arguments = parse_arguments()
    # A terminated benchmark still ends the process that it is measuring.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load_before = os.getloadavg()[0]
    rungs = [rung for rung in LADDER if arguments.rungs is None or rung.percent in arguments.rungs]
    rows, all_kept = [], True
    for rung in rungs:
        seeds = range(arguments.seeds or rung.seeds)
        climbs = [climb(rung.flags, seed, arguments.data.resolve()) for seed in seeds]
        kept = is_kept(rung, climbs)
        rows.append(row(rung, climbs, kept))
        all_kept = all_kept and kept
    publish(markdown(rows, load_before), write=arguments.write)
    sys.exit(0 if all_kept else 1)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [rung.percent for rung in LADDER]
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--rungs", nargs="+", type=float, choices=known, metavar="PERCENT", help=f"of {known}")
    parser.add_argument("--seeds", type=int, help="fewer of each rung for a trial")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    if arguments.write and arguments.seeds:
        parser.error("--write is for each rung's own number of seeds")
    return arguments


@cache  # two rungs may be climbed by one command
def climb(flags: tuple[str, ...], seed: int, data: Path) -> Climb:
    command = [sys.executable, "-m", "eyebright", "train", str(data), *flags, "--seed", str(seed)]
    with tempfile.TemporaryDirectory() as directory:
        measured = run_measured([*command, "--run-dir", "run", "--json"], directory, timeout=LONGEST)
    results: dict[str, Any] = json.loads(measured.last_line)
    found = f"{results['test_accuracy']:.4f} in {measured.wall_seconds:.1f} s"
    print(f"{' '.join(flags)}, seed {seed}: {found}", file=sys.stderr, flush=True)
    return Climb(results["test_accuracy"], measured.wall_seconds, results["train_seconds"], results["tta"])


def reached(rung: Rung, climbs: list[Climb]) -> int:
    """How many of the runs got there. Both are whole hundredths of a percent."""
    return sum(round(10_000 * one.accuracy) >= round(100 * rung.percent) for one in climbs)


def is_kept(rung: Rung, climbs: list[Climb]) -> bool:
    """Every run gets there, and none takes longer than promised."""
    whole, training = rung.limits
    return (
        reached(rung, climbs) == len(climbs)
        and (whole is None or max(one.whole_seconds for one in climbs) <= whole)
        and (training is None or max(one.train_seconds for one in climbs) <= training)
    )


def row(rung: Rung, climbs: list[Climb], kept: bool) -> list[str]:
    whole, training = rung.limits
    promised = [f"{whole:g} s"] if whole else []
    promised += [f"training {training:g} s"] if training else []
    return [
        f"{rung.percent:g}%",
        f"`eyebright train cifar10 {' '.join(rung.flags)}`",
        f"{reached(rung, climbs)} of {len(climbs)}",
        spread([one.accuracy for one in climbs], 4),
        climbs[0].tta,
        spread([one.whole_seconds for one in climbs], 1),
        spread([one.train_seconds for one in climbs], 1),
        ", ".join(promised) or "–",
        verdict(kept),
    ]


def markdown(rows: list[list[str]], load_before: float) -> str:
    """The section for RESULTS.md."""
    paragraph = (
        f"{describe_machine({})}; load average before: {load_before:.1f}. Each run is a new process and met the test "
        "images once, at its end, which is in its time. Seeds from 0; median (least–most); what is promised holds for "
        "every seed."
    )
    heads = ["rung", "command", "reached", "test accuracy", "test-time augmentation"]
    heads += ["whole process, s", "of it training, s", "promised, at most", ""]
    return "\n".join(["## From start to a test accuracy", "", paragraph, "", *table(heads, rows)])


if __name__ == "__main__":
    main()
