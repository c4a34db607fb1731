"""Whether a classifier answers the same wherever it is put to work.

    python benchmarks/parity.py --data PATH/cifar-10-batches-bin --run RUNS/default-cnn [--images 10000] [--write]

Images of CIFAR-10 are asked of a softmax classifier, a fully connected network, a convolutional network (`--run`, if
given) and a transfer model, in Keras and in each format that `export` writes, by that format's own runtime. The first
two and the last are trained here for some steps: what is compared is arithmetic, not accuracy. A server gets the images
as PNG files. Then JPEG files of odd sizes, modes and EXIF orientations, from file to probabilities, by Keras, by ONNX
Runtime on the artefact, and by the server.

The images are CIFAR-10's test images, of which only answers are compared: no label is read, and nothing is chosen by
them. The promise: the same class for each, and no probability that differs by more than 1e-4. Exit code 1 if it isn't
kept.
"""

from __future__ import annotations

import argparse
import base64
import itertools
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import requests
from numpy.typing import NDArray
from PIL import Image

from eyebright import Classifier, load_dataset, preset_settings, train
from eyebright.data.decode import decode_image
from eyebright.export.formats import FORMATS
from eyebright.export.parity import Parity, answers, parity
from eyebright.packaging.package import package
from eyebright.run_directory import RunDirectory
from machine import describe_machine
from made_pictures import png
from report import Check, check_table, publish, table
from serving import eyebright

TOLERANCE = 1e-4
STEPS = 200
A_REQUEST = 16  # pictures
MODELS = ("softmax", "fc", "cnn", "transfer")
MODES = ("RGB", "L", "CMYK")
ORIENTATION = 0x0112  # of EXIF

Images = NDArray[np.uint8]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="CIFAR-10, in any form that Eyebright reads")
    parser.add_argument(
        "--run", type=Path, help="a finished run of cnn on it; if not given one is trained for some steps"
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--files", type=int, default=500, help="JPEG files")
    parser.add_argument("--write", action="store_true", help="append the section to benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.data)
    images = dataset.images[dataset.splits["test"][: arguments.images]]
    rows, checks = [], []
    with tempfile.TemporaryDirectory(prefix="eyebright-parity-") as directory:
        scratch = Path(directory)
        files = list(odd_files(images, arguments.files, scratch / "files"))
        for model in arguments.models:
            run = arguments.run if model == "cnn" and arguments.run else trained(model, arguments.data, scratch)
            for runtime, compared in compare(run, images, files, scratch / f"{model}-files"):
                print(model, runtime, compared, file=sys.stderr, flush=True)
                rows.append(
                    [model, runtime, f"{compared.same:,} of {compared.images:,}", f"{compared.largest_difference:.1g}"]
                )
                checks.append(Check(f"{model}, {runtime}: other classes", [compared.images - compared.same], 0))
                checks.append(
                    Check(f"{model}, {runtime}: difference", [compared.largest_difference], TOLERANCE, digits=7)
                )
    lines = table(["model", "runtime", "same class", "largest difference of a probability"], rows)
    heading = f"## The same answer everywhere: {len(images):,} images, {len(files)} files"
    publish(
        "\n".join([heading, "", describe_machine(versions()), "", *lines, "", *check_table(checks)]),
        write=arguments.write,
    )
    sys.exit(0 if all(check.kept for check in checks) else 1)


def versions() -> dict[str, str]:
    names = ("onnxruntime", "ai-edge-litert", "openvino", "tf2onnx")
    return {name: metadata.version(name) for name in names}


def trained(model: str, data: Path, scratch: Path) -> Path:
    """A run of some steps; of a transfer model, on a network of Keras's with random weights."""
    own = {"transfer": {"backbone": "mobilenet-v3-small", "weights": "none"}}.get(model, {})
    settings = preset_settings("default", model=model, max_steps=STEPS, **own)
    train(settings, load_dataset(data), scratch / model)
    return scratch / model


def compare(run: Path, images: Images, files: list[Path], scratch: Path) -> Iterator[tuple[str, Parity]]:
    """What each runtime answers, beside Keras."""
    scratch.mkdir()
    classifier = Classifier.load(run)
    expected = classifier.predict(images)
    for name, made in FORMATS.items():
        path = scratch / made.name
        made.write(classifier, path, None, images[:0])
        received = answers(made.read(path), classifier, images, title=name, progress=True)
        yield name, parity(expected, received, None)
    artefact = scratch / "a.eyebright"
    package(RunDirectory.open(run), classifier, artefact)
    packaged = Classifier.load(artefact)
    yield "artefact", parity(expected, packaged.predict(images), None)
    of_files = from_files(classifier, files)
    yield "artefact, files", parity(of_files, from_files(packaged, files), None)
    with eyebright(artefact) as (port, _):
        lossless = (png(image) for image in images)
        yield "server", parity(expected, from_server(port, classifier.class_names, lossless), None)
        contents = (file.read_bytes() for file in files)
        yield "server, files", parity(of_files, from_server(port, classifier.class_names, contents), None)


def from_files(classifier: Classifier, files: list[Path]) -> NDArray[np.float32]:
    return classifier.predict(np.stack([decode_image(file, classifier.image_shape, classifier.fit) for file in files]))


def from_server(port: int, class_names: Sequence[str], files: Iterator[bytes]) -> NDArray[np.float32]:
    """Probabilities [N, classes] of the files' pictures, so many a request."""
    url = f"http://127.0.0.1:{port}/predict?top={len(class_names)}"
    rows = []
    with requests.Session() as session:
        while some := [base64.b64encode(file).decode() for file in itertools.islice(files, A_REQUEST)]:
            answers = session.post(url, json={"images": some}).json()
            named = [{entry["label"]: entry["probability"] for entry in answer["top"]} for answer in answers]
            rows += [[probabilities[name] for name in class_names] for probabilities in named]
    return np.array(rows, np.float32)


def odd_files(images: Images, count: int, folder: Path) -> Iterator[Path]:
    """JPEG files of odd sizes, of each mode and EXIF orientation in turn."""
    folder.mkdir()
    generator = np.random.default_rng(0)
    for number in range(count):
        height, width = generator.integers(1, 700, 2)
        picture = Image.fromarray(images[number % len(images)]).resize(
            (int(width), int(height)), Image.Resampling.BICUBIC
        )
        exif = Image.Exif()
        exif[ORIENTATION] = number % 8 + 1
        path = folder / f"{number:03}.jpg"
        picture.convert(MODES[number % len(MODES)]).save(path, quality=int(generator.integers(20, 100)), exif=exif)
        yield path


if __name__ == "__main__":
    main()
