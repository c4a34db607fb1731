import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from eyebright.errors import ClassifierError
from eyebright.onnx_network import OUTPUTS, OnnxNetwork

SHAPE = (3, 2, 1)


def graph(*, shape=SHAPE, classes=2, kind=TensorProto.UINT8, outputs=OUTPUTS, weights=None):
    """A graph whose logits are pixels times a matrix, its features the pixels."""
    if weights is None:
        weights = numpy_helper.from_array(np.arange(6 * classes, dtype=np.float32).reshape(6, classes), "weights")
    sizes = numpy_helper.from_array(np.array([-1, int(np.prod(shape))]), "sizes")
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["floats", "sizes"], ["features"]),
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"]),
    ]
    sizes_of = {"features": int(np.prod(shape)), "logits": classes, "probabilities": classes}
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", sizes_of[name]]) for name in outputs]
    images = helper.make_tensor_value_info("images", kind, ["N", *shape])
    made = helper.make_graph(nodes, "made", [images], values, [weights, sizes])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def test_it_gives_logits_and_features_of_the_images_asked_for():
    network = OnnxNetwork(graph(), SHAPE, 2, "none")
    images = np.random.default_rng(0).integers(0, 256, (2500, *SHAPE), np.uint8)
    indices = np.array([7, 2499, 7, 0])
    flat = images.reshape(-1, 6).astype(np.float32)
    expected = flat[indices] @ np.arange(12, dtype=np.float32).reshape(6, 2)
    np.testing.assert_array_equal(network.logits(images, indices), expected)
    logits, features = network.answers(images, indices)
    np.testing.assert_array_equal(logits, expected)
    np.testing.assert_array_equal(features, flat[indices])
    np.testing.assert_array_equal(network.features(images, np.arange(2500)), flat)
    assert network.features(images, indices[:0]).shape == (0, 6)


def outside(location):
    """Weights that lie in another file."""
    weights = TensorProto(name="weights", dims=[6, 2], data_type=TensorProto.FLOAT)
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=str(location))
    return weights


OTHERS = {
    "nothing": b"",
    "no graph": b"no graph",
    "half a graph": graph()[:-40],
    "images of another size": graph(shape=(2, 3, 1)),
    "floats": graph(kind=TensorProto.FLOAT),
    "other classes": graph(classes=3),
    "fewer outputs": graph(outputs=("probabilities", "logits")),
}


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_another_graph_is_refused(content):
    with pytest.raises(ClassifierError, match=r"model\.onnx"):
        OnnxNetwork(content, SHAPE, 2, "none")


@pytest.mark.parametrize("location", ["weights.bin", "./weights.bin", "../weights.bin", "absolute"])
def test_weights_in_another_file_are_not_read(location, tmp_path, monkeypatch):
    below = tmp_path / "below"
    below.mkdir()
    for path in (tmp_path / "weights.bin", below / "weights.bin"):
        path.write_bytes(bytes(48))
    monkeypatch.chdir(below)
    content = graph(weights=outside(below / "weights.bin" if location == "absolute" else location))
    with pytest.raises(ClassifierError, match=r"model\.onnx"):
        OnnxNetwork(content, SHAPE, 2, "none")


def test_the_graphs_that_are_refused_are_graphs():
    assert onnx.load_from_string(OTHERS["other classes"]).graph.name == "made"
