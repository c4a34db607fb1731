"""A classifier as an OpenVINO model, for Intel's processors and graphics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from eyebright.classifier import Classifier
from eyebright.export.metadata import metadata, write_metadata
from eyebright.export.onnx import onnx_graph
from eyebright.export.parity import Answer, extra
from eyebright.export.quantization import Quantization
from eyebright.onnx_network import INPUT
from eyebright.views import Images

MODEL = "model.xml"
# On processors that have bfloat16 OpenVINO computes in it by itself, and its answers differ in the third digit.
FLOAT32 = {"INFERENCE_PRECISION_HINT": "f32"}


def write(classifier: Classifier, path: Path, quantize: Quantization | None, _images: Images) -> None:
    """Write `model.xml` and `model.bin`: `images` uint8 [N, H, W, C] → `probabilities` float32 [N, classes].

    Metadata stand in the `rt_info` of the first, under "eyebright", and beside it. See `Format` for the arguments.

    Raises:
        MissingExtraError: openvino is not installed.
    """
    (openvino,) = extra("openvino")
    path.mkdir()
    graph = path / "model.onnx"
    graph.write_bytes(onnx_graph(classifier))
    model = openvino.Core().read_model(str(graph))
    graph.unlink()
    for name, value in metadata(classifier).items():
        model.set_rt_info(value, ["eyebright", name])
    openvino.save_model(model, str(path / MODEL), compress_to_fp16=quantize == "float16")
    write_metadata(path, classifier)


def read(path: Path) -> Answer:
    """What an OpenVINO model answers on the processor, in float32."""
    (openvino,) = extra("openvino")
    compiled = openvino.compile_model(str(path / MODEL), "CPU", FLOAT32)

    def answer(images: Images) -> Any:
        return compiled({INPUT: images})[0]

    return answer
