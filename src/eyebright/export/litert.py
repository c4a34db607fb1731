"""A classifier as a LiteRT (TensorFlow Lite) model, for phones and small computers."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from eyebright import storage
from eyebright.backend import available_threads, quiet_native_stderr, tf
from eyebright.classifier import Classifier
from eyebright.export.formats import ABOUT
from eyebright.export.metadata import labels_text, metadata
from eyebright.export.network import network
from eyebright.export.parity import Answer, extra
from eyebright.export.quantization import Quantization
from eyebright.export.saved_model import save
from eyebright.onnx_network import INPUT
from eyebright.views import Images

OUTPUT = "probabilities"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip file knows


def litert_model(classifier: Classifier, quantize: Quantization | None, images: Images) -> bytes:
    """A classifier's network as a LiteRT model, with metadata as a zip file behind it, as LiteRT's own tools have it.

    `unzip -p FILE labels.txt` and `eyebright.json` show them.

    Args:
        classifier: whose answers it gives.
        quantize: how its numbers are made smaller; None for float32.
        images: uint8 [n, H, W, C], training images, for "static" alone.

    Returns:
        The model. Its only input is `images`, uint8 [N, H, W, C], which a program resizes to the N that it wants (it
        comes as 1); its only output is `probabilities`, float32 [N, classes].
    """
    with tempfile.TemporaryDirectory(prefix="eyebright-") as directory, quiet_native_stderr(), _no_warnings():
        save(_frozen(network(classifier, wide=False)), Path(directory))
        converter = tf.lite.TFLiteConverter.from_saved_model(directory)
        if quantize is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantize == "static":
            converter.representative_dataset = lambda: _one_by_one(images)
        model: bytes = converter.convert()
    packed = io.BytesIO(model)
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(zipfile.ZipInfo(ABOUT, _EPOCH), storage.json_bytes(metadata(classifier)))
        archive.writestr(zipfile.ZipInfo("labels.txt", _EPOCH), labels_text(classifier))
    return packed.getvalue()


def write(classifier: Classifier, path: Path, quantize: Quantization | None, images: Images) -> None:
    """Write a LiteRT file; see `Format`."""
    path.write_bytes(litert_model(classifier, quantize, images))


def read(path: Path) -> Answer:
    """What a LiteRT model answers, by LiteRT's own runtime.

    Raises:
        MissingExtraError: ai-edge-litert is not installed.
    """
    (interpreters,) = extra("ai_edge_litert.interpreter")
    with quiet_native_stderr():
        interpreter = interpreters.Interpreter(str(path), num_threads=available_threads())
    signature = interpreter.get_signature_runner()
    name = next(iter(signature.get_input_details()))

    def answer(images: Images) -> Any:
        with quiet_native_stderr():
            return signature(**{name: images})[OUTPUT]

    return answer


def _frozen(function: Any) -> Any:
    """A network with its weights as constants: as variables the converter writes them, but the file reads none."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    constant = convert_variables_to_constants_v2(function.get_concrete_function())
    frozen = tf.function(
        lambda images: {OUTPUT: constant(images)[0]}, input_signature=function.input_signature, autograph=False
    )
    frozen.model = None
    return frozen


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """TensorFlow's converter measures ranges by an interpreter of its own, and warns of its using that."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _one_by_one(images: Images) -> Iterator[dict[str, Any]]:
    for image in images:
        yield {INPUT: image[np.newaxis]}
