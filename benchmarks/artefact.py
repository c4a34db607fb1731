"""Cold start of `eyebright predict` on an artefact without TensorFlow, and 200 flipped bits of it.

    python benchmarks/artefact.py --run RUN [--data PATH/cifar-10-batches-bin] [--rounds 10] [--write]

Packages a run, and predicts one picture of it by the base package alone, in an environment of its own that is built on
first use: whole processes, one after the other, after one that is not counted and fills the file caches. Memory is the
system's own count of the largest resident set, files that are mapped included. With --data the file must answer every
test image of CIFAR-10 as the run does on Keras; such a comparison of two runtimes chooses nothing, and only says so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from environments import base_python
from eyebright import Classifier, EyebrightError, load_dataset
from eyebright.packaging.made_images import made_images
from machine import describe_machine
from report import Check, check_table, publish, spread, table

SOURCE = Path(__file__).resolve().parent.parent / "src"
FLIPS = 200
MEGABYTE = 1e6


class Start(NamedTuple):
    """A whole process of `eyebright predict`."""

    seconds: float
    peak_mb: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    python = base_python()
    with tempfile.TemporaryDirectory() as directory:
        artefact = Path(directory) / "run.eyebright"
        subprocess.run([sys.executable, "-m", "eyebright", "package", arguments.run, "-o", artefact], check=True)
        picture = Path(directory) / "one.png"
        Image.fromarray(made_images((32, 32, 3), 1)[0]).save(picture)
        starts: dict[str, list[Start]] = {}
        for name, options in {"golden images checked": [], "--skip-golden": ["--skip-golden"]}.items():
            command = [python, "-m", "eyebright", "predict", str(artefact), str(picture), "--json", *options]
            predict(command)
            starts[name] = [predict(command) for _ in range(arguments.rounds)]
        found = flips_found(artefact)
        checks = promises(starts, found)
        agreement = None if arguments.data is None else compare(arguments.run, artefact, arguments.data)
        size = artefact.stat().st_size
    if agreement is not None:
        images, same, difference = agreement
        checks += [
            Check(
                f"test images of {images:,} with the same class as by Keras", [same], images, at_least=True, digits=0
            ),
            Check("largest difference of a probability from Keras's", [difference], 1e-4, digits=7),
        ]
    publish(markdown(arguments, starts, checks, size, python), write=arguments.write)
    sys.exit(0 if all(check.kept for check in checks) else 1)


def predict(command: list[str]) -> Start:
    started = time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return Start(seconds, usage.ru_maxrss * 1024 / MEGABYTE)


def flips_found(artefact: Path) -> int:
    """How many of the flipped bits loading refuses: half of them anywhere, half in the zip format's own records."""
    whole = artefact.read_bytes()
    generator = np.random.default_rng(0)
    records = len(whole) - 2000  # the archive's directory, its end and the SHA-256 lie behind it
    places = [*generator.integers(0, len(whole), FLIPS // 2), *generator.integers(records, len(whole), FLIPS // 2)]
    flipped = artefact.with_name("flipped.eyebright")
    found = 0
    for place, bit in zip(places, generator.integers(0, 8, FLIPS), strict=True):
        content = bytearray(whole)
        content[place] ^= 1 << int(bit)
        flipped.write_bytes(content)
        try:
            Classifier.load(flipped, skip_golden=True)
        except EyebrightError:
            found += 1
    return found


def compare(run: Path, artefact: Path, data: Path) -> tuple[int, float, float]:
    """Test images, how many get the same class by the file as by the run, and the largest difference."""
    dataset = load_dataset(data)
    images = dataset.images[dataset.splits["test"]]
    by_run, by_file = (Classifier.load(path).predict(images) for path in (run, artefact))
    same = (by_run.argmax(axis=1) == by_file.argmax(axis=1)).sum()
    return len(images), float(same), float(np.abs(by_run - by_file).max())


def promises(starts: dict[str, list[Start]], found: int) -> list[Check]:
    checked = starts["golden images checked"]
    return [
        Check("seconds, whole process", [start.seconds for start in checked], 1.0),
        Check("peak memory, MB", [start.peak_mb for start in checked], 300, digits=0),
        Check(f"flipped bits found of {FLIPS}", [found], FLIPS, at_least=True, digits=0),
    ]


def markdown(
    arguments: argparse.Namespace, starts: dict[str, list[Start]], checks: list[Check], size: int, python: str
) -> str:
    """The section for RESULTS.md."""
    rows = [
        [name, spread([start.seconds for start in rounds], 2), spread([start.peak_mb for start in rounds], 0)]
        for name, rounds in starts.items()
    ]
    paragraph = (
        f"{describe_machine({})}; load average {os.getloadavg()[0]:.1f}; n = {arguments.rounds} whole processes. "
        f"The artefact has {size / MEGABYTE:.1f} MB. Installed, the base package and all that it needs take "
        f"{installed_mb(python):.0f} MB, without pip and setuptools."
    )
    lines = [
        "## Cold start of `eyebright predict` on an artefact, without TensorFlow",
        "",
        paragraph,
        "",
        *table(["`eyebright predict FILE one.png --json`", "seconds", "peak memory, MB"], rows),
        "",
        *check_table(checks),
    ]
    return "\n".join(lines)


def installed_mb(python: str) -> float:
    packages = next(Path(python).parents[1].glob("lib/python*/site-packages"))
    left_out = ("pip", "setuptools", "pkg_resources", "_distutils_hack")
    folders = [path for path in packages.iterdir() if not path.name.startswith(left_out)]
    files = [
        file
        for folder in [*folders, SOURCE / "eyebright"]
        for file in (folder.rglob("*") if folder.is_dir() else [folder])
    ]
    return sum(file.stat().st_size for file in files if file.is_file()) / MEGABYTE


if __name__ == "__main__":
    main()
