"""A classifier's network as a browser runs it: probabilities, and how unlike the training images an image is."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from eyebright.errors import MissingExtraError
from eyebright.metrics.outliers import ClassDirections


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
