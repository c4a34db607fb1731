"""A data set of 8 GB, made, decoded and trained for an epoch in bounded memory; SIGKILLed and resumed to the same bits.

    python benchmarks/stream.py [--gigabytes 8] [--directory DIR] [--write]

JPEG files are made in a temporary directory (below DIR; it needs room for 2.2 times the decoded size), and
`eyebright train` reads them by way of a cache of its own. The first run decodes and is left alone, a second is killed
in the middle and resumed. Memory is RssAnon, of the process and those that it starts: what no file backs. Exit
code 1 if a promise is not kept.
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
from typing import NamedTuple

from kills import command, newest_checkpoint, wait
from machine import describe_machine
from made_pictures import make_pictures
from processes import Measured, run_measured
from report import Check, check_table, publish, table

SIDE = 256  # pixels
IMAGE_BYTES = SIDE * SIDE * 3
LIMIT = 3.0  # GB
LONGEST = 3600.0  # seconds that a process may take
FLAGS = (
    *("--image-size", str(SIDE), "--model", "softmax", "--batch-size", "100", "--learning-rate", "0.0001"),
    *("--epochs", "1", "--checkpoint-steps", "20", "--precision", "float32"),
    *("--validation", "0.05", "--test-fraction", "0.05"),
)


class Outcome(NamedTuple):
    """What the runs came to: what they took, and where the kill hit."""

    runs: dict[str, Measured]
    killed_at: int

    def results(self, name: str) -> dict[str, object]:
        parsed: dict[str, object] = json.loads(self.runs[name].last_line)
        return parsed

    @property
    def same(self) -> bool:
        return len({self.results(name)["weights_sha256"] for name in self.runs}) == 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=8.0, help="10⁹ bytes of decoded pixels")
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="where there is room")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    count = round(arguments.gigabytes * 1e9 / IMAGE_BYTES)
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        make_pictures(Path(directory) / "pictures", count, SIDE, SIDE)
        os.environ["EYEBRIGHT_CACHE"] = str(Path(directory) / "cache")
        os.environ["EYEBRIGHT_CACHE_GB"] = str(2 * arguments.gigabytes + 1)
        outcome = train_twice(directory)
    checks = [
        Check(f"peak memory of {name}, GB", [measured.peak_gb], LIMIT) for name, measured in outcome.runs.items()
    ] + [Check("resumed to the same weights, to the bit", [float(outcome.same)], 1, at_least=True, digits=0)]
    publish(markdown(outcome, count, checks), write=arguments.write)
    sys.exit(0 if all(check.kept for check in checks) else 1)


def train_twice(directory: str) -> Outcome:
    def training(run: str) -> list[str]:
        return command("pictures", *FLAGS, "--run-dir", run)

    first = run_measured(training("first"), directory, timeout=LONGEST)
    say("first", first)
    killed_at = kill(training("killed"), Path(directory) / "killed", json.loads(first.last_line)["steps"] // 2)
    resumed = run_measured(command("--resume", "killed"), directory, timeout=LONGEST)
    say(f"resumed from {killed_at}", resumed)
    return Outcome({"first, which decodes": first, "resumed": resumed}, killed_at)


def say(name: str, measured: Measured) -> None:
    sha = json.loads(measured.last_line)["weights_sha256"]
    seconds, peak = measured.wall_seconds, measured.peak_gb
    print(f"{name}: {seconds:.0f} s, {peak:.2f} GB, weights {sha[:12]}", file=sys.stderr, flush=True)


def kill(training: list[str], run: Path, step: int) -> int:
    """Start a training and SIGKILL it a while after it has written a checkpoint of `step` or later: which one."""
    with (run.parent / "output").open("w") as output:
        process = subprocess.Popen(training, cwd=run.parent, stdout=output, stderr=output, start_new_session=True)
        wait(process, lambda: newest_checkpoint(run) >= step)
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
        code = process.wait()
    if code != -signal.SIGKILL:
        raise SystemExit(f"{' '.join(training)}: exit code {code}\n{(run.parent / 'output').read_text()[-2000:]}")
    return newest_checkpoint(run)


def markdown(outcome: Outcome, count: int, checks: list[Check]) -> str:
    """The section for RESULTS.md."""
    steps = outcome.results("resumed")["steps"]
    paragraph = (
        f"{describe_machine({})}. {count:,} JPEG files, made, of {SIDE} × {SIDE} pixels: "
        f"{count * IMAGE_BYTES / 1e9:.1f} GB decoded. One epoch of {steps} steps of 100 of the softmax classifier; "
        f"killed after the checkpoint of step {outcome.killed_at}. n = 1. Peak RssAnon of the process and those that "
        "it starts, sampled each 50 ms."
    )
    rows = [
        [name, f"{measured.wall_seconds:.0f}", f"{figures['train_seconds']:.0f}", f"{measured.peak_gb:.2f}"]
        for name, measured in outcome.runs.items()
        for figures in [outcome.results(name)]
    ]
    heads = ["run", "s, whole process", "s, of them training", "peak, GB"]
    return "\n".join(
        ["## A data set larger than memory", "", paragraph, "", *table(heads, rows), "", *check_table(checks)]
    )


if __name__ == "__main__":
    main()
