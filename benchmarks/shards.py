"""Shards: the loader's speed beside WebDataset's and PyTorch's own, and 30 GB of them in bounded memory, to the bit.

    python benchmarks/shards.py [speed] [size] [--pictures 60000] [--rounds 3] [--gigabytes 30] [--write]

Speed: `eyebright shard` writes a folder of JPEG files of 256 × 256 pixels as shards; Eyebright and WebDataset stream
the shards, PyTorch's `DataLoader` reads the files. All of them decode each picture once, to uint8, and resize none. A
pass is measured from its very start: Eyebright's first batch waits for the shards that it comes from.

Size: so many GB of shards of JPEG files of 512 × 512 pixels are made (in --directory; the same pictures come again and
again) and streamed for an epoch, brought to 64 × 64. One process goes through it; another begins in the middle; four
workers take the first steps. What they get is compared by a hash of each image. Memory is RssAnon, of the process and
those that it starts. All files are removed at the end. Exit code 1 if a promise is not kept.
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
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from environments import HERE, peer_python
from eyebright.data.shards.index import FILE, Shard, ShardIndex
from eyebright.data.shards.members import Sample, pack
from eyebright.storage import sha256
from machine import describe_machine
from made_pictures import make_pictures
from processes import Measured, run_measured
from report import Check, check_table, publish, spread, table

SIDE, BATCH_SIZE = 256, 250
WORKERS = (0, 1, 2, 4)  # of the peers; the best of them counts
LARGE_SIDE, SHOWN_SIDE, LARGE_BATCH_SIZE = 512, 64, 512
SHARD_BYTES = 32 * 10**6
DISTINCT = 4_000  # of the large pictures
STEPS = 50  # that are compared
WORLD = 4
LIMIT = 2.0  # GB
LONGEST = 7200.0  # seconds that a process may take
EYEBRIGHT = "Eyebright, shards"


class Pass(NamedTuple):
    """What one pass took: seconds, processor seconds; images; peak memory in GB."""

    seconds: float
    processor_seconds: float
    images: int
    peak_gb: float
    versions: dict[str, str]

    @property
    def speed(self) -> float:
        return self.images / self.seconds


class Streamed(NamedTuple):
    """What streaming the large set came to."""

    made_bytes: int
    shards: int
    images: int
    whole: Measured
    resumed: Measured
    same_resumed: bool
    same_workers: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "what", nargs="*", choices=PARTS, default=[*PARTS], metavar="{speed,size}", help="both if not given"
    )
    parser.add_argument("--pictures", type=int, default=60_000, help="of speed")
    parser.add_argument("--rounds", type=int, default=3, help="of speed")
    parser.add_argument("--gigabytes", type=float, default=30.0, help="of size: 10⁹ bytes of shards")
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="where there is room")
    parser.add_argument("--write", action="store_true", help="append the sections to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    kept = [PARTS[name](arguments) for name in arguments.what]
    sys.exit(0 if all(kept) else 1)


def speed(arguments: argparse.Namespace) -> bool:
    """Race the loaders; whether the promises are kept."""
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        rounds = race(Path(directory), arguments.pictures, arguments.rounds)
    checks = promises_of_speed(rounds)
    publish(speed_in_markdown(rounds, checks, load_before), write=arguments.write)
    return all(check.kept for check in checks)


def size(arguments: argparse.Namespace) -> bool:
    """Stream the large set; whether the promises are kept."""
    room = shutil.disk_usage(arguments.directory).free / 1e9
    if room < arguments.gigabytes + 5:
        raise SystemExit(f"{arguments.directory}: {room:.0f} GB are free, {arguments.gigabytes + 5:.0f} are needed")
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        streamed = stream(Path(directory), arguments.gigabytes)
    checks = promises_of_size(streamed)
    publish(size_in_markdown(streamed, checks, load_before), write=arguments.write)
    return all(check.kept for check in checks)


PARTS = {"speed": speed, "size": size}


def race(directory: Path, pictures: int, rounds: int) -> dict[str, list[Pass]]:
    """Passes over a small set, by contender."""
    make_pictures(directory / "pictures", pictures, SIDE, SIDE)
    os.environ["EYEBRIGHT_CACHE"] = str(directory / "cache")
    sharding = [sys.executable, "-m", "eyebright", "shard", "pictures", "-o", "shards", "--image-size", str(SIDE)]
    run_measured(sharding, str(directory), timeout=LONGEST)
    passes: dict[str, list[Pass]] = {}
    for number in range(rounds):
        for name, contender in contenders().items():
            passes.setdefault(name, []).append(one_pass(contender, directory, pictures))
            print(f"round {number + 1}: {name}: {passes[name][-1].speed:,.0f} images/s", file=sys.stderr, flush=True)
    return passes


def contenders() -> dict[str, list[str]]:
    """The contenders' commands, by name."""

    def peer(script: str, data: str, *options: str, python: str = sys.executable) -> list[str]:
        return [python, str(HERE / "peers" / script), data, "--batch-size", str(BATCH_SIZE), *options]

    python = peer_python("webdataset")
    return {
        EYEBRIGHT: peer("stream_eyebright.py", "shards"),
        **{
            with_workers(name, count): peer(script, data, "--workers", str(count), python=python)
            for name, script, data in (
                ("WebDataset, the same shards", "stream_webdataset.py", "shards"),
                ("PyTorch `DataLoader`, the files", "stream_torch.py", "pictures"),
            )
            for count in WORKERS
        },
    }


def with_workers(name: str, count: int) -> str:
    return f"{name}, {count} worker{'' if count == 1 else 's'}"


def one_pass(contender: list[str], directory: Path, pictures: int) -> Pass:
    measured = run_measured(contender, str(directory))
    figures = json.loads(measured.last_line)
    if figures["images"] != pictures:
        raise SystemExit(f"{' '.join(contender)}: {figures['images']} images of {pictures}")
    versions = {name: figures[name] for name in ("WebDataset", "PyTorch") if name in figures}
    return Pass(figures["seconds"], figures["processor_seconds"], pictures, measured.peak_gb, versions)


def stream(directory: Path, gigabytes: float) -> Streamed:
    """Make a large set and stream it: an epoch, from its middle on, and by several workers."""
    index = make_shards(directory, gigabytes)
    steps = index.images // LARGE_BATCH_SIZE
    middle, compared = steps // 2, min(STEPS, steps - steps // 2)

    def streaming(name: str, *options: object) -> tuple[Measured, np.ndarray]:
        script = [sys.executable, str(HERE / "peers" / "stream_eyebright.py"), "shards"]
        common = ["--batch-size", str(LARGE_BATCH_SIZE), "--hashes", f"{name}.npy"]
        measured = run_measured([*script, *common, *map(str, options)], str(directory), timeout=LONGEST)
        print(f"{name}: {measured.wall_seconds:.0f} s, {measured.peak_gb:.2f} GB", file=sys.stderr, flush=True)
        return measured, np.load(directory / f"{name}.npy")

    whole, expected = streaming("whole")
    resumed, found = streaming("resumed", "--first", middle, "--steps", compared)
    workers = [
        streaming(f"worker-{rank}", "--steps", compared, "--rank", rank, "--world", WORLD)[1] for rank in range(WORLD)
    ]
    return Streamed(
        sum(shard.bytes for shard in index.shards),
        len(index.shards),
        index.images,
        whole,
        resumed,
        bool((found == expected[middle : middle + compared]).all()),
        bool((np.stack(workers, axis=2).reshape(compared, -1) == expected[:compared]).all()),
    )


def make_shards(directory: Path, gigabytes: float) -> ShardIndex:
    """Shards as `write_shards` makes them, but of pictures that come again and again."""
    make_pictures(directory / "pictures", DISTINCT, LARGE_SIDE, LARGE_SIDE)
    files = [path.read_bytes() for path in sorted((directory / "pictures").rglob("*.jpg"))]
    each = round(SHARD_BYTES / (np.mean([len(file) for file in files]) + 2048))
    (directory / "shards").mkdir()
    shards: list[Shard] = []
    numbers = range(round(gigabytes * 1e9 / SHARD_BYTES))
    for number in track(numbers, "Making shards", console=Console(stderr=True), transient=True):
        places = range(number * each, (number + 1) * each)
        content = pack(Sample(place, place % 10, files[place * 7 % len(files)], "jpg") for place in places)
        name = f"train-{number:06d}.tar"
        (directory / "shards" / name).write_bytes(content)
        shards.append(Shard(name=name, split="train", images=each, bytes=len(content), sha256=sha256(content)))
    index = ShardIndex(
        name="made",
        class_names=tuple(map(str, range(10))),
        image_shape=(SHOWN_SIDE, SHOWN_SIDE, 3),
        fit="crop",
        max_pixels=10**8,
        fingerprint="0" * 64,  # nobody reads all of them into one data set
        shards=tuple(shards),
    )
    (directory / "shards" / FILE).write_bytes(index.to_bytes())
    return index


def promises_of_speed(rounds: dict[str, list[Pass]]) -> list[Check]:
    def ratio(peer: str) -> list[float]:
        best = max(
            (name for name in rounds if name.startswith(peer)),
            key=lambda name: median(one.speed for one in rounds[name]),
        )
        return [ours.speed / theirs.speed for ours, theirs in zip(rounds[EYEBRIGHT], rounds[best], strict=True)]

    return [
        Check("images/s ÷ WebDataset's at its best", ratio("WebDataset"), 1.0, at_least=True),
        Check("images/s ÷ PyTorch's at its best", ratio("PyTorch"), 1.0, at_least=True),
    ]


def promises_of_size(streamed: Streamed) -> list[Check]:
    resumed, workers = [float(streamed.same_resumed)], [float(streamed.same_workers)]
    return [
        Check("peak memory of an epoch, GB", [streamed.whole.peak_gb], LIMIT),
        Check("begun in the middle: the same to the bit", resumed, 1, at_least=True, digits=0),
        Check(f"1 and {WORLD} workers: the same to the bit", workers, 1, at_least=True, digits=0),
    ]


def speed_in_markdown(rounds: dict[str, list[Pass]], checks: list[Check], load_before: float) -> str:
    """The section for RESULTS.md."""
    versions = {name: version for passes in rounds.values() for name, version in passes[0].versions.items()}
    paragraph = (
        f"{describe_machine(versions)}; load average before: {load_before:.1f}. {rounds[EYEBRIGHT][0].images:,} JPEG "
        f"files, made, of {SIDE} × {SIDE} pixels, one pass in random order, in batches of {BATCH_SIZE}; files in the "
        f"system's memory. Median (least–most) of n = {len(rounds[EYEBRIGHT])} rounds. Eyebright verifies each shard's "
        "SHA-256, the others verify nothing. Peak RssAnon of the process and those that it starts."
    )
    heads = ["loader", "images/s", "s of processors", "peak, GB"]
    rows = [
        [
            name,
            spread([one.speed for one in passes], 0),
            spread([one.processor_seconds for one in passes], 1),
            spread([one.peak_gb for one in passes], 2),
        ]
        for name, passes in rounds.items()
    ]
    return "\n".join(["## Shards: speed", "", paragraph, "", *table(heads, rows), "", *check_table(checks)])


def size_in_markdown(streamed: Streamed, checks: list[Check], load_before: float) -> str:
    """The section for RESULTS.md."""
    figures, gigabytes = json.loads(streamed.whole.last_line), streamed.made_bytes / 1e9
    paragraph = (
        f"{describe_machine({})}; load average before: {load_before:.1f}. "
        f"{gigabytes:.1f} GB in {streamed.shards:,} shards, {streamed.images:,} JPEG files of {LARGE_SIDE} × "
        f"{LARGE_SIDE} pixels brought to {SHOWN_SIDE} × {SHOWN_SIDE}, in batches of {LARGE_BATCH_SIZE}: an epoch took "
        f"{figures['seconds']:.0f} s ({figures['images'] / figures['seconds']:,.0f} images/s, "
        f"{streamed.made_bytes / 1e6 / figures['seconds']:,.0f} MB/s), a hash of each image included, and "
        f"{streamed.whole.peak_gb:.2f} GB of memory. n = 1. Compared were the first steps of {WORLD} workers, and "
        f"those of a process that began in the middle of the epoch, {STEPS} steps at most."
    )
    return "\n".join(["## Shards: memory and order", "", paragraph, "", *check_table(checks)])


if __name__ == "__main__":
    main()
