"""`eyebright predict --ray` over very many pictures, killed once and resumed: none is there twice, and none is missing.

    python benchmarks/ray_predict.py --run RUN|FILE.eyebright [--pictures 100000] [--sample 2000] [--write]

Small JPEG files are made, and a local Ray cluster is asked for all of them. When a third of the parts is there, all
processes are killed by SIGKILL: the command, Ray and its workers. The same command is then given once more. Afterwards
each picture must have its answer exactly once, in order, and a sample of them the answer that `predict` gives without
Ray. Exit code 1 if not.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from eyebright.cluster.parts import PICTURES_IN_A_PART
from machine import describe_machine
from made_pictures import make_pictures
from report import publish, table, verdict

SIDE = 40  # pixels
PROGRAM = [sys.executable, "-m", "eyebright"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="a finished run, or an artefact")
    parser.add_argument("--pictures", type=int, default=100_000)
    parser.add_argument("--sample", type=int, default=2_000, help="pictures that are asked of predict without Ray")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="eyebright-ray-") as directory:
        scratch = Path(directory)
        make_pictures(scratch / "pictures", arguments.pictures, SIDE, SIDE, spread=0.2)
        os.environ["RAY_TMPDIR"] = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # names of sockets are short
        command = [*PROGRAM, "predict", arguments.run, scratch / "pictures", "--ray", "local", "-o", scratch / "out"]
        command = [str(one) for one in [*command, "--json"]]
        parts = -(-arguments.pictures // PICTURES_IN_A_PART)
        first, killed = killed_at(command, scratch / "out", parts // 3)
        began = time.perf_counter()
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        seconds = time.perf_counter() - began
        summary = json.loads(done.stdout)
        answers = [json.loads(line) for part in sorted((scratch / "out").glob("part-*.jsonl")) for line in part.open()]
        names = [answer["image"] for answer in answers]
        expected = sorted(map(str, (scratch / "pictures").rglob("*.jpg")))
        missing, twice = len(set(expected) - set(names)), len(names) - len(set(names))
        other = differing(arguments.run, random.Random(0).sample(answers, min(arguments.sample, len(answers))))
    rows = [
        ["pictures", f"{arguments.pictures:,}", ""],
        ["parts when all processes were killed", f"{killed} of {parts}, after {first:.0f} s", ""],
        ["pictures that the second call asked for", f"{summary['now']:,}, in {seconds:.0f} s", ""],
        ["pictures a second, starting Ray included", f"{summary['now'] / seconds:,.0f}", ""],
        ["missing", f"{missing}", verdict(not missing)],
        ["twice", f"{twice}", verdict(not twice)],
        [f"of {min(arguments.sample, len(answers)):,}: other answers than without Ray", f"{other}", verdict(not other)],
    ]
    heading = f"## predict --ray: {arguments.pictures:,} pictures, killed once"
    lines = [heading, "", describe_machine({"ray": metadata.version("ray")}), "", *table(["", "", ""], rows)]
    publish("\n".join(lines), write=arguments.write)
    sys.exit(1 if missing or twice or other else 0)


def killed_at(command: Sequence[str], output: Path, parts: int) -> tuple[float, int]:
    """Seconds that a command had until so many parts were there, and how many were when all its processes were gone."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while len(list(output.glob("part-*.jsonl"))) < parts:
        if process.poll() is not None:
            raise ChildProcessError(f"it ended with {process.returncode} before {parts} parts were there")
        time.sleep(0.05)
    for one in [process.pid, *below(process.pid)]:
        os.kill(one, signal.SIGKILL)
    process.wait()
    return time.perf_counter() - began, len(list(output.glob("part-*.jsonl")))


def below(pid: int) -> list[int]:
    """The processes that one has started, and those that these have."""
    listed = subprocess.run(["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True)
    parents = {int(child): int(parent) for child, parent in map(str.split, listed.stdout.splitlines())}
    children = [child for child, parent in parents.items() if parent == pid]
    return [*children, *(further for child in children for further in below(child))]


def differing(run: Path, answers: list[dict[str, Any]]) -> int:
    """How many answers are others than `predict` gives without Ray."""
    listed = "\n".join(answer["image"] for answer in answers)
    command = [*PROGRAM, "predict", str(run), "-", "--json"]
    done = subprocess.run(command, input=listed, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    return sum(not same(one, other) for one, other in zip(answers, json.loads(done.stdout), strict=True))


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two answers name the same classes with the same probabilities, but for the last bits of float32."""
    figures = [[row.pop("probability") for row in answer["top"]] for answer in (one, other)]
    close = all(abs(a - b) < 1e-6 for a, b in zip(*figures, strict=True))
    return close and {**one, "probability": 0} == {**other, "probability": 0}


if __name__ == "__main__":
    main()
