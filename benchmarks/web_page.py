"""Whether the exported page answers what the classifier answers: a real browser, file by file.

CIFAR-10's test images as PNG files of their own size, where nothing but rounding may differ; and the same images made
into JPEG files of odd sizes, modes and EXIF orientations, which the browser decodes and turns by itself.

    python benchmarks/web_page.py --data PATH RUN --write
    python benchmarks/web_page.py --data PATH RUN --pictures 20          # a trial

It needs chromium and `make web-runtime`. The test images are met by the classifier of a run that is finished: it counts
as no look, as nothing is chosen by it and their labels are not read.
"""

from __future__ import annotations

import argparse
import base64
import functools
import http.server
import io
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Page, sync_playwright
from rich.console import Console
from rich.progress import track

from eyebright import Classifier, load_dataset
from eyebright.data.decode import decode_image
from eyebright.serving.options import AnswerOptions
from eyebright.serving.static_page import export_page
from machine import describe_machine
from report import Check, check_table, publish, table

MOST_APART = 1e-4  # of a probability, of lossless pictures of the classifier's own size
MODES = ("RGB", "L", "CMYK")
ORIENTATION = 0x0112  # the EXIF tag
ANSWER = """async (data) => {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  const { computed } = await import("./asking.js");
  return [...(await computed(new Blob([bytes]))).probabilities];
}"""


class Result(NamedTuple):
    """How far the browser's answers are from the classifier's.

    Attributes:
        kind: of the pictures.
        same: bool [n], whether the likeliest class is the same.
        apart: float [n], the largest difference of a probability.
        milliseconds: a picture, as the browser takes it.
    """

    kind: str
    same: NDArray[np.bool_]
    apart: NDArray[np.floating]
    milliseconds: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="an artefact, or a finished run")
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument("--pictures", type=int, default=500, help="of each kind")
    parser.add_argument("--web-runtime", type=Path, help="onnxruntime-web's archive, where it is not in the package")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    load_before = os.getloadavg()[0]
    cifar = load_dataset(arguments.data)
    images = np.asarray(cifar.images[cifar.splits["test"][: arguments.pictures]])
    kinds = {
        "PNG, 32 × 32": [file_of(image, "PNG") for image in images],
        "JPEG, odd sizes, modes and orientations": [jpeg(image, number) for number, image in enumerate(images)],
    }
    classifier = Classifier.load(arguments.run)
    with tempfile.TemporaryDirectory() as directory:
        page = Path(directory) / "page"
        export_page(arguments.run, page, AnswerOptions(), archive=arguments.web_runtime)
        results = in_browser(page, classifier, kinds)
    checks = [
        Check("PNG: largest difference of a probability", [float(results[0].apart.max())], MOST_APART, digits=7),
        Check("PNG: the same class, share", [float(results[0].same.mean())], 1.0, True, 4),
    ]
    publish(markdown(results, checks, arguments, load_before), write=arguments.write)
    sys.exit(0 if all(check.kept for check in checks) else 1)


def file_of(image: NDArray[np.uint8] | Image.Image, kind: str, **options: object) -> bytes:
    written = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(written, kind, **options)
    return written.getvalue()


def jpeg(image: NDArray[np.uint8], number: int) -> bytes:
    """A JPEG file of an image: some size, a mode, and one of the eight orientations."""
    chance = np.random.default_rng(number)
    size = tuple(int(side) for side in chance.integers(20, 600, 2))
    picture = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC).convert(MODES[number % len(MODES)])
    exif = Image.Exif()
    exif[ORIENTATION] = 1 + number % 8
    return file_of(picture, "JPEG", quality=int(chance.integers(60, 96)), exif=exif)


def in_browser(folder: Path, classifier: Classifier, kinds: dict[str, list[bytes]]) -> list[Result]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        page.locator("#pictures").wait_for(timeout=120_000)
        results = [compared(page, classifier, kind, files) for kind, files in kinds.items()]
        browser.close()
    server.shutdown()
    return results


def compared(page: Page, classifier: Classifier, kind: str, files: list[bytes]) -> Result:
    images = np.stack([decode_image(file, classifier.image_shape, classifier.fit) for file in files])
    expected = classifier.predict(images)
    started = time.perf_counter()
    console = Console(file=sys.stderr)
    shown = track(files, kind, console=console, transient=True)
    found = np.array([page.evaluate(ANSWER, base64.b64encode(file).decode()) for file in shown])
    milliseconds = 1000 * (time.perf_counter() - started) / len(files)
    same = found.argmax(axis=1) == expected.argmax(axis=1)
    return Result(kind, same, np.abs(found - expected).max(axis=1), milliseconds)


def markdown(results: list[Result], checks: list[Check], arguments: argparse.Namespace, load_before: float) -> str:
    rows = [
        [
            result.kind,
            f"{len(result.same):,}",
            f"{result.same.sum():,}",
            f"{result.apart.max():.1e}",
            f"{np.median(result.apart):.1e}",
            f"{result.milliseconds:.0f}",
        ]
        for result in results
    ]
    heads = ["files", "n", "same class", "largest difference", "median difference", "ms a file"]
    of = f"{describe_machine({})}; load before {load_before:.1f}."
    command = f"`python benchmarks/web_page.py --data PATH RUN --pictures {arguments.pictures}`"
    lines = [
        "## The exported page answers what the classifier answers",
        "",
        f"{of} {command}; the difference of a file is the largest of its classes' probabilities.",
        "",
        *table(heads, rows),
        "",
        *check_table(checks),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
