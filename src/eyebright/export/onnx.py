"""A classifier as an ONNX graph, for ONNX Runtime and whatever else reads ONNX."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from eyebright.backend import tf
from eyebright.classifier import Classifier
from eyebright.export.metadata import metadata
from eyebright.export.network import network
from eyebright.export.onnx_quantization import quantized
from eyebright.export.parity import Answer, extra
from eyebright.export.quantization import Quantization
from eyebright.onnx_network import INPUT, Output
from eyebright.views import Images

OPSET = 18  # what ONNX Runtime has had since 1.14, of February 2023


def onnx_graph(classifier: Classifier, outputs: tuple[Output, ...] = ("probabilities",)) -> bytes:
    """A classifier's network as an ONNX model: preprocessing, views and calibration are inside, training is not.

    The same classifier gives, with the same versions of the libraries, the same bytes. Metadata (class names, sizes,
    versions) are in its `metadata_props`, as text, see `metadata`.

    Args:
        classifier: whose answers it gives.
        outputs: which of "probabilities" (float32 [N, classes]), "logits" (float32 [N, classes]) and "features"
            (float32 [N, d]), in the order in which the graph is to have them.

    Returns:
        The serialised model. Its only input is `images`, uint8 [N, H, W, C], with N free.

    Raises:
        SettingsError: no outputs, or unknown ones.
        MissingExtraError: onnx or tf2onnx is not installed.
    """
    (onnx,) = extra("onnx")
    function = network(classifier, outputs)
    model = _converted(function)
    _put_constants_in(model.graph, function)
    _put_in_order(model.graph, outputs)
    onnx.helper.set_model_props(model, metadata(classifier))
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _converted(function: Any) -> Any:
    """A `tf.function` as an ONNX model, by tf2onnx.

    Its way of moving transpositions about is left out: it makes wrong graphs of a layer normalisation of maps of one
    pixel (ConvNeXt's last ones, of small images), and runtimes move them by themselves.
    """
    loader, graphs, optimizer, convert = extra(
        "tf2onnx.tf_loader", "tf2onnx.tfonnx", "tf2onnx.optimizer", "tf2onnx.convert"
    )
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)  # it tells of its every step
    concrete = function.get_concrete_function()
    inputs = [tensor.name for tensor in concrete.inputs if tensor.dtype != tf.resource]
    outputs = [tensor.name for tensor in concrete.outputs]
    names = convert.tensor_names_from_structed(concrete, inputs, outputs)
    frozen = loader.from_function(concrete, inputs, outputs)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen, name="")
        converted = graphs.process_tf_graph(
            graph,
            opset=OPSET,
            input_names=inputs,
            output_names=outputs,
            tensors_to_rename=names,
            custom_op_handlers={"Erfc": (_erfc, [])},
        )
        steps = {name: step for name, step in optimizer._get_optimizers().items() if name != "optimize_transpose"}
        # `False`: nor is the whole graph, weights and all, copied before each step in case that it fails.
        return optimizer.optimize_graph(converted, False, optimizers=steps).make_model("eyebright")


def write(classifier: Classifier, path: Path, quantize: Quantization | None, images: Images) -> None:
    """Write an ONNX file; see `Format`."""
    graph = onnx_graph(classifier)
    path.write_bytes(graph if quantize is None else quantized(graph, quantize, images))


def read(path: Path) -> Answer:
    """What an ONNX model answers, by ONNX Runtime on the processor."""
    (onnxruntime,) = extra("onnxruntime")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def answer(images: Images) -> Any:
        return session.run(["probabilities"], {INPUT: images})[0]

    return answer


def _erfc(context: Any, node: Any, _name: str, _arguments: list[Any]) -> None:
    """TensorFlow's GELU has erfc(x), which tf2onnx does not know: 1 - erf(x)."""
    (read,), (made,) = node.input, node.output
    context.remove_node(node.name)
    one = context.make_const(f"{node.name}_one", np.float32(1))
    erf = context.make_node("Erf", [read])
    context.make_node("Sub", [one.output[0], erf.output[0]], outputs=[made], name=node.name)


def _put_constants_in(graph: Any, function: Any) -> None:
    """Make constants of what tf2onnx takes for inputs: tensors that Keras's layers hold and that are no variables."""
    import onnx

    held = {inside.name: outside for outside, inside in function.get_concrete_function().graph.captures}
    inputs = {value.name: value for value in graph.input}
    for name in inputs.keys() - {INPUT}:
        graph.initializer.append(onnx.numpy_helper.from_array(held[name].numpy(), name))
        graph.input.remove(inputs[name])


def _put_in_order(graph: Any, outputs: tuple[Output, ...]) -> None:
    """Bring nodes, constants and names into an order that follows from the graph alone, and the outputs into theirs.

    tf2onnx orders nodes by chance and counts names up over the life of a process.
    """
    named = {value.name: value for value in graph.output}
    nodes = _from_inputs_to_outputs(graph, outputs)
    constants = {constant.name: constant for constant in graph.initializer}
    # Parts of a message, put back into it, would be copies of what has gone: they are copied before.
    kept = [
        _copy(constants[name])
        for name in dict.fromkeys(name for node in nodes for name in node.input if name in constants)
    ]
    names = {"": "", **{value.name: value.name for value in [*graph.input, *graph.output]}}  # "": an input left out
    for number, constant in enumerate(kept):
        names[constant.name] = f"constant_{number}"
        constant.name = names[constant.name]
    for number, node in enumerate(nodes):
        node.name = f"{node.op_type}_{number}"
        names |= {name: f"{node.name}_{place}" for place, name in enumerate(node.output) if name not in names}
        node.input[:], node.output[:] = ([names[name] for name in side] for side in (node.input, node.output))
    for field, values in (("node", nodes), ("initializer", kept), ("output", [_copy(named[name]) for name in outputs])):
        graph.ClearField(field)
        getattr(graph, field).extend(values)
    graph.ClearField("value_info")
    for value in [*graph.input, *graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = "N"
    graph.name, graph.doc_string = "eyebright", ""


def _from_inputs_to_outputs(graph: Any, outputs: tuple[Output, ...]) -> list[Any]:
    """Copies of the nodes, each after those that it reads; those that nothing reads are left out."""
    makers = {name: number for number, node in enumerate(graph.node) for name in node.output}
    order: dict[int, None] = {}
    waiting: list[tuple[int, bool]] = [(makers[name], False) for name in reversed(outputs)]
    while waiting:  # depth first; a deep network would be too deep for recursion
        number, read = waiting.pop()
        if read:
            order[number] = None
        elif number not in order:
            waiting.append((number, True))
            waiting += [(makers[name], False) for name in reversed(graph.node[number].input) if name in makers]
    return [_copy(graph.node[number]) for number in order]


def _copy(message: Any) -> Any:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
