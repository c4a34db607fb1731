"""How far training scales over machines: a simulation of synchronous data parallelism from measured points.

    python benchmarks/scale.py [--measure] [--write]

A step of N workers takes as long as the slowest of them computes, and then the exchange of the gradient: a ring
all-reduce (Patarasuk and Yuan, "Bandwidth optimal all-reduce algorithms", 2009), in which each worker sends and
receives 2 (N - 1) / N times the gradient in 2 (N - 1) messages. Nothing of it is hidden behind the computation.
Efficiency is the share of N times one worker's images a second. --measure times the exchange on this machine's
loopback, between 2 and 4 processes of JAX, and what a billion pictures would take of one machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np

from machine import describe_machine
from report import publish, table

WORKERS = (1, 2, 4, 8, 32, 128, 512, 1024)
GIGABITS = (1, 10, 25, 100)
LATENCY = 20e-6  # seconds a message, of Ethernet without RDMA; within a rack
USABLE = 0.9  # of a link's bits are ours
DRAWS = 400  # steps that are simulated
ROUNDS = 20  # exchanges that are timed


class Point(NamedTuple):
    """A worker and what it trains, as measured (RESULTS.md, NOTES.md).

    Attributes:
        about: what it is.
        batch: images of a step.
        seconds: of a step.
        jitter: the standard deviation of a step's time, as a share of it.
        parameters: that are trained, each of 4 bytes in the exchange.
    """

    about: str
    batch: int
    seconds: float
    jitter: float
    parameters: int


POINTS = (
    Point("cnn `default`, two cores (family 26)", 500, 0.545, 0.05, 2_561_432),
    Point("cnn, H100, batch 500", 500, 0.002333, 0.02, 2_561_432),
    Point("cnn, H100, batch 2,000", 2000, 0.006302, 0.02, 2_561_432),
    Point("the tutorial's fc, two cores", 400, 0.0040, 0.05, 369_970),
)
BILLION = 10**9
TRIED = 10**7  # pictures that the costs at a billion are measured with
PIXELS = 64 * 64 * 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="time the exchange on this machine")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        exchange(*arguments.worker)
        return
    lines = [
        "## Over many machines, simulated",
        "",
        f"{describe_machine({})} drew the numbers; the points are measured.",
    ]
    for point in POINTS:
        lines += ["", f"{point.about}: {point.batch / point.seconds:,.0f} images a second a worker, a step of "]
        lines[-1] += f"{1e3 * point.seconds:.1f} ms, {4 * point.parameters / 1e6:.1f} MB of gradient. Efficiency:"
        heads = ["link", *(f"{workers:,}" for workers in WORKERS)]
        rows = [
            [f"{gigabits} Gbit/s", *(f"{efficiency(point, workers, gigabits):.0%}" for workers in WORKERS)]
            for gigabits in GIGABITS
        ]
        lines += ["", *table(heads, rows)]
    if arguments.measure:
        lines += ["", *measured(), "", *at_a_billion()]
    publish("\n".join(lines), write=arguments.write)


def efficiency(point: Point, workers: int, gigabits: float) -> float:
    """Images a second of some workers, as a share of so many times one worker's."""
    chance = np.random.default_rng(0)
    # Log-normal: a step is never much faster than usual, and sometimes much slower.
    steps = point.seconds * chance.lognormal(0, point.jitter, (DRAWS, workers))
    alone = steps.mean()
    return float(alone / (steps.max(axis=1).mean() + exchange_seconds(point.parameters, workers, gigabits)))


def exchange_seconds(parameters: int, workers: int, gigabits: float) -> float:
    """A ring all-reduce of a gradient of 4-byte numbers."""
    if workers == 1:
        return 0.0
    bytes_a_second = USABLE * gigabits * 1e9 / 8
    return 2 * (workers - 1) / workers * 4 * parameters / bytes_a_second + 2 * (workers - 1) * LATENCY


def measured() -> list[str]:
    """A table of the exchange between processes of this machine, by JAX's own collectives on the processor."""
    rows = []
    for parameters in (369_970, 2_561_432):
        for workers in (2, 4):
            port = free_port()
            command = [sys.executable, __file__, "--worker", f"localhost:{port}", str(workers)]
            environment = os.environ | {"KERAS_BACKEND": "jax", "PARAMETERS": str(parameters)}
            started = [
                subprocess.Popen([*command, str(rank)], env=environment, stdout=subprocess.PIPE, text=True)
                for rank in range(workers)
            ]
            seconds = [json.loads(process.communicate(timeout=300)[0].splitlines()[-1]) for process in started]
            rate = 8e-9 * 2 * (workers - 1) / workers * 4 * parameters / seconds[0]
            rows.append([f"{4 * parameters / 1e6:.1f} MB", str(workers), f"{1e3 * seconds[0]:.1f}", f"{rate:.1f}"])
    heads = ["gradient", "processes", "ms, median", "as a link of Gbit/s"]
    return ["Measured on this machine's loopback, by Gloo:", "", *table(heads, rows)]


def at_a_billion() -> list[str]:
    """What 10⁹ pictures of 64 × 64 take of one machine, from what 10⁷ take here, or 10 MB of their bytes."""
    from eyebright.randomness import Stream, permutation

    name = "a-usual-class-name/photograph-000000017.jpg"
    began = time.perf_counter()
    order = permutation(0, Stream.BATCHES, 0, TRIED)
    drawing = (time.perf_counter() - began) * BILLION / TRIED
    content = bytes(10_000_000)
    began = time.perf_counter()
    hashlib.sha256(content).digest()
    hashing = (time.perf_counter() - began) / len(content) * PIXELS * BILLION
    paths = (sys.getsizeof(name) + 8) * BILLION  # a string, and its place in a list
    rows = [
        ["paths of the pictures, as strings", f"{paths / 1e9:.0f} GB of memory"],
        ["the order of an epoch", f"{order.itemsize * BILLION / 1e9:.0f} GB of memory, {drawing / 60:.0f} min to draw"],
        ["labels, as int32", "4 GB of memory"],
        ["decoded pixels, in the cache", f"{PIXELS * BILLION / 1e12:.1f} TB of disk"],
        ["their fingerprint, by one processor", f"{hashing / 3600:.1f} h"],
        ["decoding JPEG files of 300 × 250, at 0.16 ms", f"{BILLION * 0.16e-3 / 3600:.0f} h of one processor"],
        ["reading JPEG files of 20 kB, at 10 Gbit/s", f"{BILLION * 20e3 * 8 / 1e10 / 3600:.1f} h"],
        ["an epoch of cnn on one H100, at 317,000 a second", f"{BILLION / 317e3 / 3600:.1f} h"],
    ]
    return ["A billion pictures of 64 × 64, on one machine:", "", *table(["what", "takes"], rows)]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("localhost", 0))
        return int(found.getsockname()[1])


def exchange(address: str, workers: str, rank: str) -> None:
    """One process of the measurement: add an array up over all of them, again and again."""
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, int(workers), int(rank))
    if jax.process_count() != int(workers):
        raise SystemExit(f"{jax.process_count()} processes are connected, not {workers}")
    mesh = jax.make_mesh((int(workers),), ("batch",))
    apart = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("batch"))
    together = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    own = np.ones((1, int(os.environ["PARAMETERS"])), np.float32)
    gradients = jax.make_array_from_process_local_data(apart, own)
    add = jax.jit(lambda array: array.sum(axis=0), out_shardings=together)
    if float(add(gradients)[0]) != int(workers):
        raise SystemExit("the sum is wrong")
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        add(gradients).block_until_ready()
        seconds.append(time.perf_counter() - began)
    print(json.dumps(float(np.median(seconds))))


if __name__ == "__main__":
    main()
