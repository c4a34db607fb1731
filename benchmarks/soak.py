"""A server under load for minutes, with everything that goes wrong: hostile clients, reloads, clients that hang up.

    python benchmarks/soak.py ARTEFACT OTHER [--seconds 600] [--reload-seconds 30] [--workers 1] [--rate R] [--write]

OTHER is an artefact of the same classes and size that answers differently, of another seed, say: every 30 seconds one
takes the other's place. Good pictures come at 80% of the peak rate, and each answer must be that of one of the two
artefacts, as `Classifier` gives it. Beside them goes what `hostile.py` sends. Promised: no wrong answer, no status of
500 or more, no broken connection of a good client, memory within 5% from the second quarter to the last, and a clean
end at SIGTERM while requests are under way. Exit code 1 where one is not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from eyebright import Classifier
from eyebright.data.decode import decode_image
from hostile import trouble
from load import Client, Reply, closed_loop, paced, post
from machine import describe_machine
from processes import _anonymous_kib, _processes_of
from report import Check, check_table, publish
from serving import pictures, wait_until_ready

WITHIN = 0.05
TOLERANCE = 1e-4
RECEIVE_SECONDS = 5


class Counts:
    """What came back."""

    def __init__(self, expected: list[np.ndarray]) -> None:
        self.expected = expected  # of each artefact, the largest probability of each picture
        self.statuses: collections.Counter[int] = collections.Counter()
        self.hostile: collections.Counter[int] = collections.Counter()
        self.wrong = 0

    def check(self, number: int, reply: Reply) -> None:
        self.statuses[reply.status] += 1
        if reply.status == 200:
            got = json.loads(reply.body)[0]["probability"]
            self.wrong += not any(abs(got - one[number]) <= TOLERANCE for one in self.expected)


def main() -> int:
    arguments = parsed()
    classifiers = [Classifier.load(path) for path in (arguments.artefact, arguments.other)]
    files, media_type = pictures(classifiers[0])["JPEG"]
    images = np.stack([decode_image(file, classifiers[0].image_shape, classifiers[0].fit) for file in files])
    counts = Counts([classifier.predict(images).max(axis=1) for classifier in classifiers])
    requests = [post("/predict", file, media_type) for file in files]
    with tempfile.TemporaryDirectory() as directory:
        served = Path(shutil.copy(arguments.artefact, Path(directory) / "served.eyebright"))
        log = Path(directory) / "log"
        process, port = started(served, log, arguments.workers)
        try:
            peak = arguments.rate / 0.8 if arguments.rate else len(asyncio.run(closed_loop(port, requests, 32, 5))) / 5
            memory = asyncio.run(soaked(arguments, served, process.pid, port, requests, 0.8 * peak, counts))
            drained = asyncio.run(drain(process, port, requests))
            code = process.wait(60)
        finally:
            process.kill()
        faults = sum(json.loads(line)["event"] == "fault" for line in log.read_text(encoding="utf-8").splitlines())
    return reported(arguments, counts, memory, 0.8 * peak, drained, code, faults)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artefact", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--reload-seconds", type=float, default=30.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--rate", type=float, help="good pictures a second, in the place of 80%% of the peak")
    parser.add_argument("--write", action="store_true", help="append the section to RESULTS.md")
    return parser.parse_args()


def started(artefact: Path, log: Path, workers: int) -> tuple[subprocess.Popen[bytes], int]:
    flags = ["--port", "0", "--workers", str(workers), "--receive-seconds", str(RECEIVE_SECONDS)]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "eyebright", "serve", str(artefact), *flags],
            stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
        )  # fmt: skip
    assert process.stdout is not None
    match = re.search(rb":(\d+)\s*$", process.stdout.readline())
    assert match, log.read_text(encoding="utf-8")
    wait_until_ready(int(match[1]))
    return process, int(match[1])


async def soaked(
    arguments: argparse.Namespace,
    served: Path,
    pid: int,
    port: int,
    requests: list[bytes],
    rate: float,
    counts: Counts,
) -> list[float]:
    """Load, trouble and reloads at once; the memory of the server's processes in MB, once a second."""
    memory: list[float] = []
    others = [
        asyncio.ensure_future(work)
        for work in (
            remember_memory(pid, memory),
            reload_again_and_again(arguments, served),
            *(trouble(port, seed, counts.hostile, RECEIVE_SECONDS) for seed in range(3)),
        )
    ]
    await paced(port, requests, rate, arguments.seconds, counts.check)
    for work in others:
        work.cancel()
    for result in await asyncio.gather(*others, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
    return memory


async def remember_memory(pid: int, memory: list[float]) -> None:
    while True:
        await asyncio.sleep(1)
        memory.append(sum(map(_anonymous_kib, _processes_of(pid))) / 1024)


async def reload_again_and_again(arguments: argparse.Namespace, served: Path) -> None:
    turn = 0
    while True:
        await asyncio.sleep(arguments.reload_seconds)
        turn += 1
        new = shutil.copy(arguments.other if turn % 2 else arguments.artefact, served.with_suffix(".new"))
        Path(new).replace(served)


async def drain(process: subprocess.Popen[bytes], port: int, requests: list[bytes]) -> list[int]:
    """The statuses of 32 requests that are under way at SIGTERM."""
    asked = [asyncio.ensure_future(Client(port).ask(requests[number])) for number in range(32)]
    await asyncio.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    return [reply.status for reply in await asyncio.gather(*asked)]


def reported(
    arguments: argparse.Namespace,
    counts: Counts,
    memory: list[float],
    rate: float,
    drained: list[int],
    code: int,
    faults: int,
) -> int:
    quarter = max(1, len(memory) // 4)
    early, late = statistics.median(memory[quarter : 2 * quarter]), statistics.median(memory[-quarter:])
    broken = counts.statuses[0] + sum(status != 200 for status in drained)
    errors = sum(n for status, n in (counts.statuses + counts.hostile).items() if status >= 500)
    checks = [
        Check("wrong answers", [counts.wrong], 0, digits=0),
        Check("statuses of 500 or more, and faults in the log", [errors + faults], 0, digits=0),
        Check("broken connections of good clients, the end included", [broken], 0, digits=0),
        Check("memory, the last quarter by the second", [late / early], 1 + WITHIN, digits=3),
        Check("exit code", [code], 0, digits=0),
    ]
    good, hostile = (dict(sorted(statuses.items())) for statuses in (counts.statuses, counts.hostile))
    got = (
        f"Good clients got {good}, hostile ones {hostile}; 0 is a connection that was closed. Memory {early:.0f} MB, "
        f"then {late:.0f} MB."
    )
    lines = [
        f"## A soak of {arguments.seconds:g} s: {arguments.artefact.name}, {arguments.workers} worker(s)",
        f"{describe_machine({})}; {rate:.0f} good pictures a second.",
        got,
        "\n".join(check_table(checks)),
    ]
    publish("\n\n".join(lines), write=arguments.write)
    return 0 if all(check.kept for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
