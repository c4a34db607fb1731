"""A classifier as a page that runs it in the browser: a folder of static files, which any web server can publish.

The page's own files are those that `eyebright serve` has, but for `asking.js`: that asks the classifier in the browser
instead of a server. Beside them lie the network (`model.onnx`), what is known of it (`classifier.json`), and ONNX
Runtime.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from eyebright import __version__
from eyebright.artefact import GRAPH, SUFFIX, read_artefact
from eyebright.errors import StorageError
from eyebright.golden_pictures import GOLDEN_PICTURES, PLAIN, GoldenPictures
from eyebright.serving.browser_graph import for_browsers
from eyebright.serving.model import ServedModel
from eyebright.serving.options import AnswerOptions, processors
from eyebright.serving.packaged import artefacts
from eyebright.serving.web_runtime import web_runtime
from eyebright.storage import MANIFEST, json_bytes, write_directory
from eyebright.uncertainty import known_images

KIND, VERSION = "eyebright-web-page", 1
_PAGE = ("index.html", "style.css", "icon.svg", "page.js", "pictures.js", "showing.js")
_IN_BROWSER = ("asking.js", "resize.js", "onnxruntime-web-license.txt")
# Of the probabilities of golden pictures. The first is of the classifier's own size; the others are resized, where
# another version of Pillow, that it was packaged with, may round a pixel up that the browser rounds down.
_TOLERANCES = (1e-4, 0.02, 0.02, 0.02)


def export_page(
    path: Path, target: Path, options: AnswerOptions, *, name: str | None = None, archive: Path | None = None
) -> None:
    """Write a run or an artefact as a page.

    Args:
        path: an artefact, or a run's directory, which is packaged first.
        target: the folder to write, whole or not at all; a page that is there already is replaced.
        options: when it abstains, and of which pictures it says that they are unlike the training images.
        name: the page's title; that of the directory or file if not given.
        archive: as for `web_runtime`.

    Raises:
        EyebrightError: the classifier cannot be loaded or cannot give what the options ask for, there is something else
            in the page's place, or onnx or the runtime is missing.
    """
    _check_target(target)
    runtime = web_runtime(archive)
    named = ((name or path.resolve().name.removesuffix(SUFFIX), path),)
    with artefacts(named) as [(title, artefact)]:
        model = ServedModel.load(title, artefact, options, skip_golden=False, threads=processors())
        write_static_page(target, static_page(model, read_artefact(artefact), runtime))


def static_page(model: ServedModel, artefact: Mapping[str, bytes], runtime: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of a page.

    Args:
        model: whose answers the browser must give, with its rules for abstaining and unlike pictures.
        artefact: the parts that it was loaded from.
        runtime: files of `web_runtime`.

    Returns:
        Content by file name. The same model gives the same bytes.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    classifier = model.classifier
    graph = for_browsers(artefact[GRAPH], None if model.unlike_distance is None else known_images(classifier).score)
    pictures = GoldenPictures.from_part(artefact[GOLDEN_PICTURES], len(classifier.class_names))
    known = {
        "about": {**model.describe(), "explains": False},
        "unlike_distance": model.unlike_distance,
        "bytes": len(graph) + len(runtime["onnxruntime-web.wasm"]),  # to show how much of it has come
        "golden": _golden(pictures),
    }
    folder = resources.files("eyebright.serving")
    parts = {name: (folder / "web" / name).read_bytes() for name in _PAGE}
    parts |= {name: (folder / "in_browser" / name).read_bytes() for name in _IN_BROWSER}
    return {**parts, **runtime, "model.onnx": graph, "classifier.json": json_bytes(known)}


def write_static_page(target: Path, parts: Mapping[str, bytes]) -> None:
    """Write a page's folder, whole or not at all; one that is there already is replaced.

    Raises:
        StorageError: it cannot be written, or there is something else in its place.
    """
    _check_target(target)
    write_directory(target, parts, kind=KIND, version=VERSION, versions={"eyebright": __version__})


def _golden(pictures: GoldenPictures) -> list[dict[str, Any]]:
    """The artefact's golden pictures that a browser decodes to the bit, with their probabilities, for it to compare."""
    return [
        {"png": base64.b64encode(file).decode(), "probabilities": row.tolist(), "tolerance": tolerance}
        for file, row, tolerance in zip(
            pictures.files[:PLAIN], pictures.probabilities[:PLAIN], _TOLERANCES, strict=True
        )
    ]


def _check_target(folder: Path) -> None:
    """Refuse to replace what is no page.

    Raises:
        StorageError: saying so.
    """
    if not folder.exists():
        return
    try:
        is_page = f'"kind": "{KIND}"' in (folder / MANIFEST).read_text(encoding="utf-8")
    except (OSError, ValueError):
        is_page = False
    if not is_page:
        raise StorageError(f"{folder}: is there already, and is no page that was exported before. Give another -o.")
