"""The exported page's files: what is in them, and what they never replace."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from eyebright.errors import StorageError
from eyebright.metrics.outliers import ClassDirections
from eyebright.serving.browser_graph import for_browsers
from eyebright.serving.static_page import write_static_page


def network(features: int) -> bytes:
    """Features as they are, and their softmax as probabilities."""
    kinds = onnx.TensorProto.FLOAT, ["N", features]
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Identity", ["images"], ["features"]),
            onnx.helper.make_node("Identity", ["images"], ["logits"]),
            onnx.helper.make_node("Softmax", ["images"], ["probabilities"]),
        ],
        "network",
        [onnx.helper.make_tensor_value_info("images", *kinds)],
        [onnx.helper.make_tensor_value_info(name, *kinds) for name in ("probabilities", "logits", "features")],
    )
    opsets = [onnx.helper.make_opsetid("", 18)]
    return bytes(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())


def outputs(graph: bytes, values: np.ndarray) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": values}), strict=True))


def test_the_browsers_network_gives_distances_as_the_classifier_has_them() -> None:
    random = np.random.default_rng(0)
    directions = ClassDirections.of_sums(random.normal(size=(3, 7)))
    values = random.normal(size=(50, 7)).astype(np.float32) * 10.0 ** random.integers(-3, 4, (50, 1))
    values = np.concatenate([values, np.zeros((1, 7)), np.eye(7)]).astype(np.float32)
    found = outputs(for_browsers(network(7), directions), values)
    assert list(found) == ["probabilities", "distances"]
    assert found["distances"].shape == (58,)
    assert np.allclose(found["distances"], directions.distances(values), atol=1e-6)


def test_without_known_images_it_gives_probabilities_alone() -> None:
    found = outputs(for_browsers(network(4), None), np.ones((2, 4), np.float32))
    assert list(found) == ["probabilities"]


def test_a_page_replaces_a_page_and_nothing_else(tmp_path: Path) -> None:
    page, other = tmp_path / "page", tmp_path / "other"
    write_static_page(page, {"index.html": b"one", "old.js": b""})
    write_static_page(page, {"index.html": b"two"})
    assert (page / "index.html").read_bytes() == b"two"
    assert not (page / "old.js").exists()
    other.mkdir()
    (other / "thesis.tex").write_text("years of work")
    with pytest.raises(StorageError, match=r"other: is there already, and is no page that was exported before"):
        write_static_page(other, {"index.html": b""})
    assert (other / "thesis.tex").read_text() == "years of work"
