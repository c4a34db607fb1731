import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from eyebright.errors import SettingsError
from eyebright.export.onnx import onnx_graph
from eyebright.onnx_network import OUTPUTS
from eyebright.settings import TestTimeAugmentation

VIEWS = TestTimeAugmentation.__args__
CALIBRATIONS = ("none", "temperature", "quadratic", "vector", "isotonic")
KINDS = ("softmax", "softmax-whitening", "fc", "cnn", "transfer-cnn")


def run(graph, images, outputs=None):
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return session.run(outputs, {"images": images})


def check_same_answers(classifier, images):
    probabilities, logits, features = run(onnx_graph(classifier, OUTPUTS), images)
    answers = classifier.answers(images)
    assert (probabilities.dtype, logits.dtype, features.dtype) == (np.float32,) * 3
    np.testing.assert_allclose(probabilities, classifier.predict(images), atol=1e-5)
    np.testing.assert_allclose(logits, answers.logits, rtol=1e-4, atol=1e-4 * np.abs(answers.logits).max())
    np.testing.assert_allclose(features, answers.features, rtol=1e-4, atol=1e-4 * np.abs(answers.features).max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tta", VIEWS)
def test_every_model_answers_as_in_keras(make_classifier, make_pictures, kind, tta):
    check_same_answers(make_classifier(kind, tta=tta), make_pictures((9, 7, 3)))


@pytest.mark.parametrize("backbone", ["mobilenet-v3-small", "efficientnet-v2-b0", "convnext-tiny"])  # one a family
def test_every_backbone_answers_as_in_keras(make_classifier, make_pictures, backbone):
    check_same_answers(make_classifier(backbone, shape=(32, 36, 3)), make_pictures((32, 36, 3), 5))


@pytest.mark.parametrize("kind", ["cnn", "mobilenet-v3-small"])
def test_grey_images_of_any_size_are_answered_as_in_keras(make_classifier, make_pictures, kind, image_shape):
    shape = (*image_shape[:2], 1)
    check_same_answers(make_classifier(kind, shape=shape, tta="mirror-shift"), make_pictures(shape, 5))


@pytest.mark.parametrize("method", CALIBRATIONS)
def test_every_calibration_is_inside(make_classifier, make_pictures, method):
    check_same_answers(make_classifier("cnn", calibration=method), make_pictures((9, 7, 3), 200))


def test_there_is_one_input_of_bytes_and_one_output_of_probabilities_for_any_number_of_images(
    make_classifier, make_pictures
):
    graph = onnx_graph(make_classifier("cnn", tta="mirror-shift"))
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (images,), (probabilities,) = session.get_inputs(), session.get_outputs()
    assert (images.name, images.type, images.shape) == ("images", "tensor(uint8)", ["N", 9, 7, 3])
    assert (probabilities.name, probabilities.type) == ("probabilities", "tensor(float)")
    assert probabilities.shape == ["N", 5]
    for count in (0, 1, 7):
        (answer,) = session.run(None, {"images": make_pictures((9, 7, 3), count)})
        assert answer.shape == (count, 5)
        np.testing.assert_allclose(answer.sum(axis=1), 1, atol=1e-5)


def test_each_image_is_answered_by_itself(make_classifier, make_pictures):
    graph, images = onnx_graph(make_classifier("cnn", tta="mirror-shift")), make_pictures((9, 7, 3), 6)
    (together,) = run(graph, images)
    apart = np.concatenate([run(graph, images[i : i + 1])[0] for i in range(6)])
    np.testing.assert_allclose(apart, together, atol=1e-6)


def test_outputs_come_in_the_order_that_was_asked_for(make_classifier, make_pictures):
    classifier, images = make_classifier("fc"), make_pictures((9, 7, 3))
    features, probabilities = run(onnx_graph(classifier, ("features", "probabilities")), images)
    np.testing.assert_allclose(features, classifier.features(images), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(probabilities, classifier.predict(images), atol=1e-5)


def test_metadata_say_what_the_file_is(make_classifier):
    classifier = make_classifier("cnn", tta="mirror")
    model = onnx.load_from_string(onnx_graph(classifier))
    said = {item.key: item.value for item in model.metadata_props}
    assert tuple(json.loads(said["labels"])) == classifier.class_names
    assert json.loads(said["image_shape"]) == [9, 7, 3]
    assert "mirror image" in json.loads(said["preprocessing"])["views"]
    assert json.loads(said["calibration"]) == {"method": "temperature", "temperature": 1.7}
    assert said["weights_sha256"] == classifier.weights_sha256
    assert said["version_eyebright"]


@pytest.mark.parametrize("outputs", [(), ("probabilities", "probabilities"), ("probabilites",)])
def test_unknown_outputs_are_refused(make_classifier, outputs):
    with pytest.raises(SettingsError, match="probabilities"):
        onnx_graph(make_classifier("softmax"), outputs)


def test_the_same_classifier_gives_the_same_bytes_in_every_process(make_classifier, tmp_path):
    classifier = make_classifier("cnn", tta="mirror-shift", calibration="isotonic")
    classifier.save(tmp_path / "model")
    here = [onnx_graph(classifier, OUTPUTS) for _ in range(2)]
    code = (
        "import hashlib, sys\n"
        "from eyebright.classifier import Classifier\n"
        "from eyebright.export.onnx import onnx_graph\n"
        "graph = onnx_graph(Classifier.load(sys.argv[1]), ('probabilities', 'logits', 'features'))\n"
        "print(hashlib.sha256(graph).hexdigest())\n"
    )
    there = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "model")],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONHASHSEED": "77"},
    ).stdout.strip()  # fmt: skip
    assert here[0] == here[1]
    assert hashlib.sha256(here[0]).hexdigest() == there
