"""A folder of JPEG files to 64 × 64 pixels: Eyebright's first and second start beside Keras's and torchvision's.

    python benchmarks/loader.py [--pictures 20000] [--rounds 5] [--directory DIR] [--write]

The files, of about 300 × 250 pixels, are made in a temporary directory. Each start is a process of its own, from the
call to the last image; imports are not in it, the whole process's time has them. The files are in memory when they are
read (they have just been written), so that it is decoding that is measured. Exit code 1 if a promise is not kept.
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

from environments import HERE, peer_python
from machine import describe_machine
from made_pictures import make_pictures
from processes import run_measured
from report import Check, check_table, publish, spread, table

WIDTH, HEIGHT, SPREAD = 300, 250, 0.1
SIDE = 64
WORKERS = (0, 1, 2, 4)  # of torchvision's DataLoader; the best of them counts
FIRST, SECOND, KERAS = "Eyebright, first start", "Eyebright, second start", "Keras `image_dataset_from_directory`"


class Start(NamedTuple):
    """What one start took: seconds of its load, of processor time and of the whole process; peak memory in GB."""

    seconds: float
    processor_seconds: float
    wall_seconds: float
    peak_gb: float
    torchvision: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="where there is room")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load_before = os.getloadavg()[0]
    commands = contenders()
    rounds: dict[str, list[Start]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory(dir=arguments.directory) as directory:
        make_pictures(Path(directory) / "pictures", arguments.pictures, WIDTH, HEIGHT, SPREAD)
        os.environ["EYEBRIGHT_CACHE"] = str(Path(directory) / "cache")
        for number in range(arguments.rounds):
            shutil.rmtree(Path(directory) / "cache", ignore_errors=True)
            for name, command in commands.items():
                rounds[name].append(start(command, directory, arguments.pictures))
                print(f"round {number + 1}: {name}: {rounds[name][-1].seconds:.2f} s", file=sys.stderr, flush=True)
    checks = promises(rounds)
    publish(markdown(rounds, checks, arguments.pictures, load_before), write=arguments.write)
    sys.exit(0 if all(check.kept for check in checks) else 1)


def contenders() -> dict[str, list[str]]:
    """The contenders' commands, by name; the second start comes after the first."""

    def peer(script: str, *options: str, python: str = sys.executable) -> list[str]:
        return [python, str(HERE / "peers" / script), "pictures", "--side", str(SIDE), *options]

    torchvision = peer_python("torchvision")
    return {
        FIRST: peer("load_eyebright.py"),
        SECOND: peer("load_eyebright.py"),
        KERAS: peer("load_keras.py"),
        **{
            with_workers(count): peer("load_torchvision.py", "--workers", str(count), python=torchvision)
            for count in WORKERS
        },
    }


def with_workers(count: int) -> str:
    return f"torchvision `ImageFolder`, {count} worker{'' if count == 1 else 's'}"


def start(command: list[str], directory: str, pictures: int) -> Start:
    measured = run_measured(command, directory)
    figures = json.loads(measured.last_line)
    if figures["images"] != pictures:
        raise SystemExit(f"{' '.join(command)}: {figures['images']} images of {pictures}")
    seconds, processor_seconds = figures["seconds"], figures["processor_seconds"]
    version = figures.get("torchvision", "")
    return Start(seconds, processor_seconds, measured.wall_seconds, measured.peak_gb, version)


def promises(rounds: dict[str, list[Start]]) -> list[Check]:
    best = min(map(with_workers, WORKERS), key=lambda name: median(start.seconds for start in rounds[name]))

    def ratio(slower: str, faster: str) -> list[float]:
        return [one.seconds / other.seconds for one, other in zip(rounds[slower], rounds[faster], strict=True)]

    return [
        Check("Keras ÷ first start", ratio(KERAS, FIRST), 1.5, at_least=True),
        Check(f"{best} ÷ first start", ratio(best, FIRST), 1.2, at_least=True),
        Check("first start ÷ second start", ratio(FIRST, SECOND), 20, at_least=True, digits=1),
    ]


def markdown(rounds: dict[str, list[Start]], checks: list[Check], pictures: int, load_before: float) -> str:
    """The section for RESULTS.md."""
    versions = {"torchvision": rounds[with_workers(WORKERS[0])][0].torchvision}
    paragraph = (
        f"{describe_machine(versions)}; load average before: {load_before:.1f}. {pictures:,} JPEG files, made, of "
        f"about {WIDTH} × {HEIGHT} pixels, to {SIDE} × {SIDE}. Median (least–most) of n = {len(rounds[FIRST])} rounds. "
        "Eyebright and torchvision resize with antialiasing, Keras without. Peak RssAnon of the process and those that "
        "it starts."
    )
    rows = [
        [
            name,
            spread([start.seconds for start in starts], 2),
            spread([start.processor_seconds for start in starts], 2),
            spread([start.wall_seconds for start in starts], 2),
            spread([start.peak_gb for start in starts], 2),
        ]
        for name, starts in rounds.items()
    ]
    heads = ["loader", "s", "s of processors", "s, whole process", "peak, GB"]
    lines = ["## A folder of pictures: first and second start", "", paragraph, "", *table(heads, rows)]
    return "\n".join([*lines, "", *check_table(checks)])


if __name__ == "__main__":
    main()
