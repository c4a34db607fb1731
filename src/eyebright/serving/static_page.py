"""A classifier as a page that runs it in the browser: a folder of static files, which any web server can publish.

The page's own files are those that `eyebright serve` has, but for `asking.js`: that asks the classifier in the browser
instead of a server. Beside them lie the network (`model.onnx`), what is known of it (`classifier.json`), and ONNX
Runtime.
"""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.decode import decode_image
from eyebright.errors import MissingExtraError, StorageError
from eyebright.metrics.outliers import ClassDirections
from eyebright.randomness import Stream, random_words
from eyebright.serving.model import ServedModel
from eyebright.storage import MANIFEST, json_bytes, write_directory
from eyebright.uncertainty import known_images

KIND, VERSION = "eyebright-web-page", 1
_PAGE = ("index.html", "style.css", "icon.svg", "page.js", "pictures.js", "showing.js")
_IN_BROWSER = ("asking.js", "resize.js", "onnxruntime-web-license.txt")
_GOLDEN = 4  # pictures; each costs the browser one answer before the first


def static_page(model: ServedModel, graph: bytes, runtime: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a page.

    Args:
        model: whose answers the browser must give, with its rules for abstaining and unlike pictures.
        graph: its network as ONNX, with the outputs "probabilities" and "features".
        runtime: files of `web_runtime`.

    Returns:
        Content by file name. The same model gives the same bytes.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    classifier = model.classifier
    graph = for_browsers(graph, None if model.unlike_distance is None else known_images(classifier).score)
    known = {
        "about": {**model.describe(), "explains": False},
        "unlike_distance": model.unlike_distance,
        "bytes": len(graph) + len(runtime["onnxruntime-web.wasm"]),  # to show how much of it has come
        "golden": golden(classifier),
    }
    folder = resources.files("eyebright.serving")
    parts = {name: (folder / "web" / name).read_bytes() for name in _PAGE}
    parts |= {name: (folder / "in_browser" / name).read_bytes() for name in _IN_BROWSER}
    return {**parts, **runtime, "model.onnx": graph, "classifier.json": json_bytes(known)}


def write_static_page(target: Path, parts: Mapping[str, bytes], versions: Mapping[str, str]) -> None:
    """Write a page's folder, whole or not at all; one that is there already is replaced.

    Raises:
        StorageError: it cannot be written, or there is something else in its place.
    """
    if target.exists() and not _is_page(target):
        raise StorageError(f"{target}: is there already, and is no page that was exported before. Give another -o.")
    write_directory(target, parts, kind=KIND, version=VERSION, versions=versions)


def for_browsers(graph: bytes, known: ClassDirections | None) -> bytes:
    """A network that gives "probabilities" and, where it is to tell unlike pictures, "distances" float32 [N].

    Args:
        graph: an ONNX model with the outputs "probabilities" float32 [N, classes] and "features" float32 [N, d].
        known: what gives the distances of features; None for a network without them.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    try:
        onnx = importlib.import_module("onnx")
    except ModuleNotFoundError as error:
        raise MissingExtraError("Export", "export") from error
    model = onnx.load_from_string(graph)
    outputs = [output for output in model.graph.output if output.name == "probabilities"]
    if known is not None:
        _add_distances(onnx, model.graph, known)
        outputs.append(onnx.helper.make_tensor_value_info("distances", onnx.TensorProto.FLOAT, ["N"]))
    del model.graph.output[:]
    model.graph.output.extend(outputs)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _add_distances(onnx: Any, graph: Any, known: ClassDirections) -> None:
    """`ClassDirections.distances` as nodes of a graph, from "features" to "distances"."""
    numbers = {
        "directions": np.ascontiguousarray(known.directions.T),  # [d, classes]
        "tiny": np.float32(np.finfo(np.float32).tiny),
        "one": np.float32(1),
        "axis": np.array([1]),
    }
    for name, value in numbers.items():
        graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(value), f"unlike/{name}"))
    node = onnx.helper.make_node
    graph.node.extend(
        [
            node("Sign", ["features"], ["unlike/sign"]),
            node("Abs", ["features"], ["unlike/size"]),
            node("Sqrt", ["unlike/size"], ["unlike/root"]),
            node("Mul", ["unlike/sign", "unlike/root"], ["unlike/signed"]),
            node("ReduceL2", ["unlike/signed", "unlike/axis"], ["unlike/length"], keepdims=1),
            node("Max", ["unlike/length", "unlike/tiny"], ["unlike/positive"]),  # zeros have no direction
            node("Div", ["unlike/signed", "unlike/positive"], ["unlike/unit"]),
            node("MatMul", ["unlike/unit", "unlike/directions"], ["unlike/cosines"]),  # [N, classes]
            node("ReduceMax", ["unlike/cosines", "unlike/axis"], ["unlike/nearest"], keepdims=0),
            node("Sub", ["unlike/one", "unlike/nearest"], ["distances"]),
        ]
    )


def golden(classifier: Classifier) -> list[dict[str, Any]]:
    """Made pictures (PNG, base64) with the probabilities that the classifier gives them, for the browser to compare.

    One is of the size that it takes, the others larger, smaller and of other proportions: reading and resizing are
    compared as well.
    """
    height, width, _ = classifier.image_shape
    sizes = [(height, width), (2 * height + 5, 3 * width + 1), (height + 9, width), (height // 2 + 1, width // 2 + 2)]
    pictures = [_png(_made(number, size)) for number, size in enumerate(sizes[:_GOLDEN])]
    images = np.stack([decode_image(png, classifier.image_shape, classifier.fit) for png in pictures])
    probabilities = classifier.predict(images)
    return [
        {"png": base64.b64encode(png).decode(), "probabilities": row.tolist()}
        for png, row in zip(pictures, probabilities, strict=True)
    ]


def _made(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A coloured slope with noise, uint8 [H, W, 3]."""
    height, width = size
    words = random_words(number, Stream.GOLDEN, 0, height * width * 3)
    noise = (words >> np.uint64(58)).astype(np.float64).reshape(height, width, 3)  # 0 … 63
    down, across = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None, :]
    slope = np.stack([190 * (down + 0 * across), 190 * (across + 0 * down), 95 * (down + across)], axis=2)
    return (slope[:, :, np.roll(np.arange(3), number)] + noise).astype(np.uint8)


def _png(image: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(image).save(written, "PNG")
    return written.getvalue()


def _is_page(folder: Path) -> bool:
    try:
        return f'"kind": "{KIND}"' in (folder / MANIFEST).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
