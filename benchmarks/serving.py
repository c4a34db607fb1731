"""How many pictures a second `eyebright serve` answers, beside bare ONNX Runtime and beside the plain Keras server.

    python benchmarks/serving.py ARTEFACT [--run RUN] [--seconds 10] [--rounds 3] [--workers 1] [--write]

Clients on loopback send JPEG files of some 300 × 250 pixels, and PNG files of the classifier's own size; 1, 8 and 64 of
them, each waiting for its answer. Bare ONNX Runtime decodes the same files in threads and computes them in batches of
32, without HTTP. Then pictures come at half of the peak rate, at random times: the 99th percentile of their answers'
times, counted from when each was due, is what a visitor waits. The load's own process takes its part of the processors.
Beside it stands the processor time of a picture, at 64 clients, which a busy machine changes little. Promises are for
cnn `default`, that of the 99th percentile for processors with AMX: exit code 1 where one is not kept.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eyebright import Classifier
from eyebright.data.decode import decode_image
from load import closed_loop, paced, percentile, post
from machine import bfloat16_flags, describe_machine
from made_pictures import make_pictures, png
from processes import _kill_group, _processes_of
from report import Check, check_table, publish, spread, table

HERE = Path(__file__).resolve().parent
CLIENTS = (1, 8, 64)
BATCH = 32
FILES = 200
OF_BARE, OF_KERAS, P99 = 0.7, 3.0, 0.025
PUBLISHED = (
    "Published by others, not measured here, of other networks on a machine with a GPU that they do not name: Triton's "
    "guide to optimization has Inception at 62.6 pictures a second with one client (95% within 21 ms), 73.4 with four, "
    "and with dynamic batching 66.8, 165 and, with eight, 272 (36 ms); clients on the server's machine, tensors, no "
    "files. What can be compared is what batching gives: there 3.7 times."
)


class Rates(NamedTuple):
    """Pictures a second, and seconds.

    Attributes:
        bare: of bare ONNX Runtime.
        served: by the number of clients.
        p99: at half load.
        bare_processor: processor time of a picture, of bare ONNX Runtime.
        processor: of the server.
    """

    bare: float
    served: dict[int, float]
    p99: float
    bare_processor: float
    processor: float


def main() -> int:
    arguments = parsed()
    classifier = Classifier.load(arguments.artefact)
    kinds = pictures(classifier)
    found: dict[str, list[Rates]] = {kind: [] for kind in kinds}
    keras: list[tuple[float, float]] = []
    for number in range(arguments.rounds):
        for kind, (files, media_type) in kinds.items():
            print(f"round {number + 1}, {kind}", file=sys.stderr, flush=True)
            found[kind].append(measured(arguments, classifier, files, media_type))
        if arguments.run:
            keras.append(of_keras(arguments, kinds["JPEG"][0]))
    return reported(arguments, found, keras)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artefact", type=Path)
    parser.add_argument("--run", type=Path, help="of the same classifier, for the Keras server")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="append the section to RESULTS.md")
    return parser.parse_args()


def pictures(classifier: Classifier) -> dict[str, tuple[list[bytes], str]]:
    """Files by kind, and their media type."""
    with tempfile.TemporaryDirectory() as directory:
        make_pictures(Path(directory), FILES, 300, 250, spread=0.2)
        jpegs = [path.read_bytes() for path in sorted(Path(directory).rglob("*.jpg"))]
    pngs = [png(decode_image(jpeg, classifier.image_shape, classifier.fit)) for jpeg in jpegs]
    return {"JPEG": (jpegs, "image/jpeg"), "PNG": (pngs, "image/png")}


def measured(arguments: argparse.Namespace, classifier: Classifier, files: list[bytes], media_type: str) -> Rates:
    bare, bare_processor = bare_rate(classifier, files, arguments.seconds)
    requests = [post("/predict", file, media_type) for file in files]
    with eyebright(arguments.artefact, "--workers", arguments.workers) as (port, pid):
        asyncio.run(closed_loop(port, requests, 8, 2))  # not counted
        before = processor_seconds(pid)
        most = rate(port, requests, CLIENTS[-1], arguments.seconds)
        processor = (processor_seconds(pid) - before) / (most * arguments.seconds)
        served = {clients: rate(port, requests, clients, arguments.seconds) for clients in CLIENTS[:-1]}
        served[CLIENTS[-1]] = most
        replies = asyncio.run(paced(port, requests, max(served.values()) / 2, arguments.seconds))
    assert {reply.status for reply in replies} == {200}
    return Rates(bare, served, percentile(replies, 0.99), bare_processor, processor)


def processor_seconds(session: int) -> float:
    """What the processes of a session have used."""
    used = 0.0
    for pid in _processes_of(session):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            used += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


def rate(port: int, requests: list[bytes], clients: int, seconds: float) -> float:
    replies = asyncio.run(closed_loop(port, requests, clients, seconds))
    failed = {reply.status for reply in replies} - {200}
    assert not failed, failed
    return len(replies) / seconds


def bare_rate(classifier: Classifier, files: list[bytes], seconds: float) -> tuple[float, float]:
    """Pictures a second, decoded in threads while the batch before is computed, and the processor time of one."""

    def decoded(start: int) -> np.ndarray:
        some = [files[(start + place) % len(files)] for place in range(BATCH)]
        return np.stack([decode_image(file, classifier.image_shape, classifier.fit) for file in some])

    with ThreadPoolExecutor(2) as pool:
        ahead = [pool.submit(decoded, number * BATCH) for number in range(3)]
        classifier.logits(ahead[0].result())
        done, begun, before = 0, time.perf_counter(), time.process_time()
        while (passed := time.perf_counter() - begun) < seconds:
            classifier.logits(ahead.pop(0).result())
            done += BATCH
            ahead.append(pool.submit(decoded, done))
    return done / passed, (time.process_time() - before) / done


def of_keras(arguments: argparse.Namespace, files: list[bytes]) -> tuple[float, float]:
    """The most pictures a second of the plain server, and the processor time of one."""
    requests = [post("/predict", file, "image/jpeg") for file in files]
    command = [sys.executable, str(HERE / "peers" / "serve_keras.py"), str(arguments.run), "8799"]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL)
    try:
        for _ in range(600):
            with contextlib.suppress(OSError):
                urllib.request.urlopen("http://127.0.0.1:8799/openapi.json")
                break
            time.sleep(0.5)
        asyncio.run(closed_loop(8799, requests, 8, 2))
        before = processor_seconds(process.pid)
        rates = [rate(8799, requests, clients, arguments.seconds) for clients in CLIENTS]
        return max(rates), (processor_seconds(process.pid) - before) / (sum(rates) * arguments.seconds)
    finally:
        _kill_group(process)


@contextlib.contextmanager
def eyebright(artefact: Path, *flags: object) -> Iterator[tuple[int, int]]:
    """A server; its port and process."""
    command = [sys.executable, "-m", "eyebright", "serve", str(artefact), "--port", "0", *map(str, flags)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
    assert process.stdout is not None
    try:
        match = re.search(rb":(\d+)\s*$", process.stdout.readline())
        assert match, "the server did not start"
        wait_until_ready(int(match[1]))
        yield int(match[1]), process.pid
    finally:
        _kill_group(process)


def wait_until_ready(port: int) -> None:
    for _ in range(1200):
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz")
            return
        time.sleep(0.05)
    raise SystemExit("the server did not start")


def reported(arguments: argparse.Namespace, found: dict[str, list[Rates]], keras: list[tuple[float, float]]) -> int:
    rows, checks = [], []
    promised = Classifier.load(arguments.artefact).architecture.model == "cnn"  # of others HTTP is most of the work
    for kind, rounds in found.items():
        cells = [spread([one.served[clients] for one in rounds], 0) for clients in CLIENTS]
        shares = [one.served[64] / one.bare for one in rounds]
        p99 = [1000 * one.p99 for one in rounds]
        processor = spread([1000 * one.processor for one in rounds], 1)
        of_bare = spread([1000 * one.bare_processor for one in rounds], 1)
        rows.append([f"{kind}, bare ONNX Runtime", *[""] * 2, spread([one.bare for one in rounds], 0), of_bare, ""])
        rows.append([f"{kind}, `eyebright serve`", *cells, processor, spread(p99, 1)])
        if promised:
            checks.append(Check(f"{kind}: 64 clients, of bare ONNX Runtime", shares, OF_BARE, at_least=True))
        if promised and "amx_bf16" in bfloat16_flags():
            checks.append(Check(f"{kind}: p99 at half load, ms", p99, 1000 * P99, digits=1))
    if keras:
        rates, processor_times = zip(*keras, strict=True)
        times = [max(one.served.values()) / other for one, other in zip(found["JPEG"], rates, strict=True)]
        milliseconds = spread([1000 * value for value in processor_times], 1)
        rows.append(["JPEG, FastAPI + Keras, its best", "", "", spread(list(rates), 0), milliseconds, ""])
        checks.append(Check("JPEG: times the Keras server", times, OF_KERAS, at_least=True))
    clients = [f"{count} client{'s' * (count > 1)}" for count in CLIENTS]
    heads = ["pictures a second", *clients, "processor, ms a picture", "p99 at half load, ms"]
    lines = [
        f"## `eyebright serve`: {arguments.artefact.name}, {arguments.workers} worker(s)",
        f"{describe_machine({})}; {arguments.rounds} rounds of {arguments.seconds:g} s.",
        "\n".join(table(heads, rows)),
        *(["\n".join(check_table(checks)), PUBLISHED] if checks else []),
    ]
    publish("\n\n".join(lines), write=arguments.write)
    return 0 if all(check.kept for check in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
