"""How much of a training step is work on data: drawing its plan, gathering its images, augmenting them.

    python benchmarks/data_work.py --data PATH/cifar-10-batches-bin [default-cnn default-fc …] [--write]

In each process whole steps take turns with their data work alone (see peers/data_share.py); some rounds of each preset.
Exit code 1 if a share is larger than promised.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import describe_machine
from processes import run_measured
from report import Check, check_table, publish, spread, table

SCRIPT = Path(__file__).resolve().parent / "peers" / "data_share.py"
LIMITS = {"cnn": 0.05, "fc": 0.25}  # of the step's time, by model
LONGEST = 1800.0  # seconds that a process may take


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("presets", nargs="*", default=["default-cnn", "default-fc"], metavar="preset-model")
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--calls", type=int, default=12, help="of about half a second each, in a process")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    for preset in arguments.presets:
        if model_of(preset) not in LIMITS:
            parser.error(f"{preset}: presets of {' and '.join(LIMITS)} alone have a promise")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load_before = os.getloadavg()[0]
    found: dict[str, list[dict[str, Any]]] = {preset: [] for preset in arguments.presets}
    for number in range(arguments.rounds):
        for preset, figures in found.items():
            figures.append(measure(preset, arguments.data.resolve(), arguments.calls))
            print(f"round {number + 1}: {preset}: {figures[-1]['share']:.1%}", file=sys.stderr, flush=True)
    checks = [
        Check(f"data work ÷ step, {preset}", [one["share"] for one in figures], LIMITS[model_of(preset)], digits=4)
        for preset, figures in found.items()
    ]
    publish(markdown(found, checks, load_before), write=arguments.write)
    sys.exit(0 if all(check.kept for check in checks) else 1)


def model_of(preset: str) -> str:
    return preset.rpartition("-")[2]


def measure(preset: str, data: Path, calls: int) -> dict[str, Any]:
    command = [sys.executable, str(SCRIPT), str(data), "--preset", preset, "--calls", str(calls)]
    with tempfile.TemporaryDirectory() as directory:
        line = run_measured(command, directory, timeout=LONGEST).last_line
    figures: dict[str, Any] = json.loads(line)
    return figures


def markdown(found: dict[str, list[dict[str, Any]]], checks: list[Check], load_before: float) -> str:
    """The section for RESULTS.md."""
    paragraph = (
        f"{describe_machine({})}; load average before: {load_before:.1f}. Median (least–most) of "
        f"n = {len(next(iter(found.values())))} processes. Drawing a step's plan, gathering its images and augmenting "
        "them, alone, in turns with whole steps in the same process."
    )
    return "\n".join(
        [
            "## Work on data within a step",
            "",
            paragraph,
            "",
            *table(
                ["preset", "augmentation", "batch", "precision", "ms a step", "ms of it on data"],
                [row(preset, figures) for preset, figures in found.items()],
            ),
            "",
            *check_table(checks),
        ]
    )


def row(preset: str, figures: list[dict[str, Any]]) -> list[str]:
    first = figures[0]
    return [
        f"`{preset}`",
        *(str(first[name]) for name in ("augment", "batch_size", "precision")),
        spread([one["step_seconds"] * 1e3 for one in figures], 1),
        spread([one["data_seconds"] * 1e3 for one in figures], 2),
    ]


if __name__ == "__main__":
    main()
