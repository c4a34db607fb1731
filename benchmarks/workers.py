"""One run trained by 1, 2 and 4 workers on loopback, beside the run of one process; workers killed with SIGKILL.

    python benchmarks/workers.py [--data PATH/cifar-10-batches-bin] [--runs fc cnn] [--workers 1 2 4] [--write]

Each run is `eyebright train … --workers N` on a Ray cluster of this machine, which is told to have four processors. The
losses of all steps are compared with those of `--backend jax` without workers. Then a run of two workers one of which
is killed in the midst of the training, once the process that began first, once the other. Promised: no loss differs by
more than the tolerance, the number of processes that the run recorded is the number that was asked for (a worker
refuses to begin if JAX sees another), and a run that lost a worker ends with the accuracy of one process, within its
interval. Exit code 1 if a promise is not kept.

More workers than processors only share them: times say what working together costs, not what it gains.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from machine import describe_machine
from report import publish, table, verdict

TOLERANCE = {"fc": 1e-4, "cnn": 1e-3}  # |Δ loss| / loss, of any step
FLAGS = {
    "fc": (
        *("--model", "fc", "--hidden-units", "120", "--optimizer", "momentum", "--learning-rate", "0.01"),
        *("--dropout", "0.2", "--batch-size", "400", "--max-steps", "240", "--checkpoint-steps", "40"),
    ),
    "cnn": (
        *("--model", "cnn", "--channels", "4,8", "--augment", "strong", "--optimizer", "momentum"),
        *("--learning-rate", "0.01", "--batch-size", "40", "--max-steps", "40", "--checkpoint-steps", "10"),
    ),
}
COMMON = ("--precision", "float32", "--log-steps", "1", "--validation", "1000", "--tta", "none", "--seed", "0")
PROCESSORS = 4  # that Ray is told of
KILLED_AFTER = {"fc": 80, "cnn": 20}  # steps: the checkpoint after which a worker is killed


class Ended(NamedTuple):
    """A run that ended.

    Attributes:
        losses: of each step.
        results: what results.json holds.
        said: what the command printed.
        seconds: of the whole command.
    """

    losses: list[float]
    results: dict[str, Any]
    said: str
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="digits", help="what to train on; CIFAR-10 for figures to keep")
    parser.add_argument("--runs", nargs="+", choices=list(FLAGS), default=list(FLAGS))
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    data = str(Path(arguments.data).resolve()) if Path(arguments.data).exists() else arguments.data
    rows, kept = [], []
    with cluster() as environment:
        for name in arguments.runs:
            for row, is_kept in compare(name, data, arguments.workers, environment):
                print(" ".join(row), file=sys.stderr, flush=True)
                rows.append(row)
                kept.append(is_kept)
    paragraph = (
        f"{describe_machine({})}. Backend jax, float32; data: {Path(data).name}; on loopback, {PROCESSORS} processors "
        f"as Ray was told. Tolerance: {', '.join(f'{name} {limit:g}' for name, limit in TOLERANCE.items())}."
    )
    heads = ["run", "trained by", "largest difference of a loss", "processes", "test accuracy", "whole command", ""]
    publish("\n".join(["## Several workers", "", paragraph, "", *table(heads, rows)]), write=arguments.write)
    sys.exit(0 if all(kept) else 1)


def compare(name: str, data: str, numbers: list[int], environment: dict[str, str]) -> Iterator[tuple[list[str], bool]]:
    """The rows of a kind of run, each with whether what is promised was kept."""
    alone = train(name, data, ("--backend", "jax"), environment)
    yield row(name, "one process", alone, alone), True
    for number in numbers:
        together = train(name, data, ("--workers", str(number), "--ray", environment["BENCHMARK_ADDRESS"]), environment)
        kept = is_same(name, together, alone, number)
        yield [*row(name, f"{number} workers", together, alone)[:-1], verdict(kept)], kept
    for victim in (0, 1):
        flags = ("--workers", "2", "--ray", environment["BENCHMARK_ADDRESS"])
        killed = train(name, data, flags, environment, victim=victim)
        kept = is_same(name, killed, alone, 2) and "is lost: its process was ended by SIGKILL" in killed.said
        lost = re.search(r"^Worker (\d)", killed.said, re.MULTILINE)
        about = f"2 workers, worker {lost[1] if lost else '?'} killed after step {KILLED_AFTER[name]}"
        yield [*row(name, about, killed, alone)[:-1], verdict(kept)], kept


def is_same(name: str, run: Ended, alone: Ended, workers: int) -> bool:
    low, high = alone.results["test_accuracy_ci95"]
    return (
        difference(run, alone) <= TOLERANCE[name]
        and run.results.get("workers", 1) == workers
        and low <= run.results["test_accuracy"] <= high
    )


def row(name: str, about: str, run: Ended, alone: Ended) -> list[str]:
    found = "" if run is alone else f"{difference(run, alone):.1e}"
    accuracy = f"{run.results['test_accuracy']:.4f}"
    return [name, about, found, str(run.results.get("workers", 1)), accuracy, f"{run.seconds:.0f} s", ""]


def difference(run: Ended, alone: Ended) -> float:
    """The largest difference of a step's loss, as a part of it; infinite where a step is missing."""
    if len(run.losses) != len(alone.losses):
        return float("inf")
    return max(abs(a - b) / b for a, b in zip(run.losses, alone.losses, strict=True))


def train(
    name: str, data: str, flags: tuple[str, ...], environment: dict[str, str], victim: int | None = None
) -> Ended:
    """Train, and kill a worker in the midst of it if one is named: the victim-th of the processes that compute."""
    with tempfile.TemporaryDirectory() as directory:
        run, log = Path(directory) / "run", Path(directory) / "log"
        command = [
            sys.executable,
            "-m",
            "eyebright",
            "train",
            data,
            *FLAGS[name],
            *COMMON,
            *flags,
            "--run-dir",
            str(run),
        ]
        began = time.perf_counter()
        with log.open("w") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        if victim is not None:
            while process.poll() is None and not (run / "checkpoints" / f"step-{KILLED_AFTER[name]}").exists():
                time.sleep(0.005)
            os.kill(computing(environment)[victim], signal.SIGKILL)
        code = process.wait()
        seconds = time.perf_counter() - began
        if code != 0:
            raise SystemExit(f"{' '.join(command)}: exit code {code}\n{log.read_text()[-2000:]}")
        with (run / "metrics.csv").open() as file:
            losses = [float(one["loss"]) for one in csv.DictReader(file) if one["loss"]]
        return Ended(losses, json.loads((run / "results.json").read_text()), log.read_text(), seconds)


def computing(environment: dict[str, str]) -> list[int]:
    """The processes that compute for workers, by age: children of Ray's actors in our cluster."""
    found = []
    own = f"RAY_TMPDIR={environment['RAY_TMPDIR']}".encode()
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
            above = Path(f"/proc/{parent}/cmdline").read_bytes()
            spawned = b"multiprocessing.spawn" in (directory / "cmdline").read_bytes()
            if spawned and above.startswith(b"ray::Worker") and own in (directory / "environ").read_bytes():
                found.append(int(directory.name))
    return sorted(found)


@contextlib.contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """A Ray cluster of this machine, and the environment of those who use it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
    directory = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # short: names of sockets are
    environment = {
        **os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_TMPDIR": directory,
        "RAY_USAGE_STATS_ENABLED": "0", "BENCHMARK_ADDRESS": f"127.0.0.1:{port}",
        "RAY_worker_niceness": "0",  # as what they are compared with
        "EYEBRIGHT_LEDGER": f"{directory}/looks.json",
    }  # fmt: skip
    command = [
        str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", "--port", port,
        "--num-cpus", str(PROCESSORS), "--include-dashboard", "false", "--disable-usage-stats", "--temp-dir", directory,
    ]  # fmt: skip
    log = Path(directory) / "start.log"
    with log.open("w") as output:
        head = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        while "Ray runtime started" not in log.read_text():
            if head.poll() is not None:
                raise SystemExit(log.read_text())
            time.sleep(0.1)
        yield environment
    finally:
        os.killpg(head.pid, signal.SIGKILL)
        head.wait()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
