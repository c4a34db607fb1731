import json
import zipfile

import numpy as np
import pytest

from eyebright.errors import ExportError, SettingsError, StorageError
from eyebright.export.export import export
from eyebright.export.formats import FORMATS, default_name

SHAPE = (9, 7, 3)
QUANTISED = [(name, way) for name, made in FORMATS.items() for way in made.quantizations]


@pytest.mark.parametrize("kind", ["softmax-whitening", "fc", "cnn", "transfer-cnn"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_model_answers_the_same_in_every_format(make_classifier, make_pictures, tmp_path, name, kind):
    classifier, target = make_classifier(kind, tta="mirror-shift"), tmp_path / FORMATS[name].name
    done = export(classifier, name, target, images=make_pictures(SHAPE, 40))
    assert done.parity.agreement == 1
    assert done.parity.largest_difference <= 1e-5
    assert (done.parity.images, done.parity.accuracy) == (40, None)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    for images in make_pictures(SHAPE, 1, 5), make_pictures(SHAPE, 3, 6):  # any number of them
        answer = FORMATS[name].read(target)(images)
        np.testing.assert_allclose(answer, classifier.predict(images), atol=1e-5)


@pytest.mark.parametrize("method", ["none", "quadratic", "vector", "isotonic"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_calibration_is_inside(make_classifier, make_pictures, tmp_path, name, method):
    classifier = make_classifier("fc", calibration=method)
    done = export(classifier, name, tmp_path / FORMATS[name].name, images=make_pictures(SHAPE, 40))
    assert done.parity.largest_difference <= 1e-4


@pytest.mark.parametrize(("name", "way"), QUANTISED)
def test_a_quantised_file_is_smaller_and_says_what_it_costs(make_classifier, make_pictures, tmp_path, name, way):
    classifier, images = make_classifier("cnn", tta="mirror"), make_pictures(SHAPE, 60)
    labels = classifier.predict(images).argmax(axis=1)
    done = export(
        classifier, name, tmp_path / default_name(name, way), images=images, labels=labels, quantize=way, max_loss=0.5
    )
    assert done.parity.accuracy == 1
    assert done.parity.accuracy_loss == pytest.approx(1 - done.parity.agreement)
    assert done.parity.agreement >= 0.8
    assert 0 < done.parity.largest_difference < 0.1


def test_a_quantised_file_that_loses_too_much_is_refused(make_classifier, make_pictures, tmp_path):
    classifier, images = make_classifier("cnn"), make_pictures(SHAPE, 60)
    labels = classifier.predict(images).argmax(axis=1)
    with pytest.raises(ExportError, match=r"accuracy lost .* on 60 images .* --max-loss allows -0\.1"):
        export(classifier, "onnx", tmp_path / "a.onnx", images=images, labels=labels, quantize="dynamic", max_loss=-0.1)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_answers_otherwise_never_appears(make_classifier, make_pictures, tmp_path, monkeypatch):
    """A classifier that answers by one view, and a file that was written of one that answers by six."""
    classifier, other = make_classifier("cnn"), make_classifier("cnn", tta="mirror-shift")
    onnx = FORMATS["onnx"]

    class Wrong(type(onnx)):
        write = staticmethod(lambda _, *arguments: onnx.write(other, *arguments))

    monkeypatch.setitem(FORMATS, "onnx", Wrong(*onnx))
    with pytest.raises(ExportError, match=r"refused, nothing was written: its probabilities differ .* 1e-04|0\.0001"):
        export(classifier, "onnx", tmp_path / "a.onnx", images=make_pictures(SHAPE))
    assert list(tmp_path.iterdir()) == []


def test_metadata_travel_with_each_format(make_classifier, make_pictures, tmp_path):
    import openvino

    classifier, images = make_classifier("softmax"), make_pictures(SHAPE, 5)
    for name in ("litert", "saved_model", "openvino"):
        export(classifier, name, tmp_path / FORMATS[name].name, images=images)
    with zipfile.ZipFile(tmp_path / "model.tflite") as packed:
        assert packed.read("labels.txt").decode().splitlines() == list(classifier.class_names)
        texts = [packed.read("eyebright.json")]
    texts += [(tmp_path / name / "eyebright.json").read_bytes() for name in ("saved_model", "openvino")]
    for said in map(json.loads, texts):
        assert tuple(json.loads(said["labels"])) == classifier.class_names
        assert json.loads(said["preprocessing"])["views"] == "the image as it is"
    model = openvino.Core().read_model(tmp_path / "openvino" / "model.xml")
    assert json.loads(model.get_rt_info(["eyebright", "image_shape"]).value) == list(SHAPE)


def test_a_new_export_replaces_an_earlier_one_and_nothing_else(make_classifier, make_pictures, tmp_path):
    classifier, images = make_classifier("softmax"), make_pictures(SHAPE, 5)
    target = tmp_path / "saved"
    for _ in range(2):
        export(classifier, "saved_model", target, images=images)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]
    (target / "eyebright.json").unlink()
    with pytest.raises(StorageError, match="something else lies there"):
        export(classifier, "saved_model", target, images=images)
    with pytest.raises(StorageError, match="is a directory, and onnx is one file"):
        export(classifier, "onnx", target, images=images)
    with pytest.raises(StorageError, match="there is no directory"):
        export(classifier, "onnx", tmp_path / "no" / "a.onnx", images=images)


@pytest.mark.parametrize(
    ("name", "way", "message"),
    [
        ("onxx", None, "Did you mean 'onnx'"),
        ("onnx", "statik", "Did you mean 'static'"),
        ("saved_model", "static", "written in float32 alone"),
        ("openvino", "dynamic", "openvino has float16"),
    ],
)
def test_what_there_is_not_is_refused(make_classifier, make_pictures, tmp_path, name, way, message):
    with pytest.raises(SettingsError, match=message):
        export(make_classifier("softmax"), name, tmp_path / "a", images=make_pictures(SHAPE, 5), quantize=way)


def test_answers_cannot_be_compared_on_no_images(make_classifier, make_pictures, tmp_path):
    with pytest.raises(ExportError, match="no images"):
        export(make_classifier("softmax"), "onnx", tmp_path / "a.onnx", images=make_pictures(SHAPE, 0))
