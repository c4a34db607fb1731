"""`eyebright export`, on the small finished run of all tests and on one with all that training can add."""

import json
import shutil

import numpy as np
import onnxruntime
import pytest

from eyebright import Classifier, preset_settings, train


@pytest.fixture(scope="module")
def augmented(tmp_path_factory, digits):
    """A run whose training disturbs images and features as strongly as can be."""
    settings = preset_settings(
        "default", model="cnn", channels=(8, 12), max_steps=40, batch_size=50, dropout=0.5, augment="strong"
    )
    return train(settings, digits, tmp_path_factory.mktemp("augmented") / "run").path


def test_a_file_appears_in_the_run_and_json_says_how_it_agrees(command, run_copy, digits):
    done = command("export", run_copy, "--format", "onnx", "--images", "200", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    path = run_copy / "export" / "model.onnx"
    assert (said["path"], said["bytes"]) == (str(path), path.stat().st_size)
    assert (said["images"], said["agreement"], said["format"], said["quantize"]) == (200, 1, "onnx", None)
    assert said["compared_on"].startswith("validation")
    assert said["largest_difference"] <= 1e-4
    assert json.loads((run_copy / "results.json").read_text())["test_looks"] == 1  # that of the training
    (answer,) = onnxruntime.InferenceSession(str(path)).run(None, {"images": digits.images[:9]})
    np.testing.assert_allclose(answer, Classifier.load(run_copy).predict(digits.images[:9]), atol=1e-5)


def test_people_read_where_it_is_and_how_it_agrees(command, run_copy, tmp_path):
    done = command("export", run_copy, "--quantize", "float16", "-o", tmp_path / "small.onnx", "--images", "100")
    assert done.code == 0, done.err
    assert f"{tmp_path / 'small.onnx'}: " in done.out
    assert "Compared with the classifier on 100 validation images: the same class for " in done.out
    assert not (run_copy / "export").exists()


def test_made_images_stand_in_for_data_that_are_gone(command, tmp_path, bands):
    data = bands(60)
    assert command("train", data, "--max-steps", "5", "--run-dir", tmp_path / "run").code == 0
    data.unlink()
    done = command("export", tmp_path / "run")
    assert done.code == 0
    assert "Answers are compared on made images" in done.err
    assert "on 1,000 made images: the same class for 1,000" in done.out
    assert command("export", tmp_path / "run", "--data", data).code == 2


@pytest.mark.parametrize("name", ["onnx", "litert", "saved_model", "openvino"])
def test_augmentation_and_dropout_are_off_in_every_format(command, augmented, digits, tmp_path, name):
    """Two calls give the same, and what the classifier gives; with either left on they would not."""
    from eyebright.export.formats import FORMATS

    target = tmp_path / FORMATS[name].name
    done = command("export", augmented, "--format", name, "-o", target, "--images", "300")
    assert done.code == 0, done.err
    answer, images = FORMATS[name].read(target), digits.images[:50]
    once, again = answer(images), answer(images)
    np.testing.assert_array_equal(once, again)
    np.testing.assert_allclose(once, Classifier.load(augmented).predict(images), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "onxx"], "--format onxx: no such format. Did you mean 'onnx'?"),
        (["--format", "saved_model", "--quantize", "static"], "saved_model is written in float32 alone"),
        (["--format", "foo"], "--format foo: no such format. Known: onnx, litert, saved_model, openvino, web."),
        (["-o", "model.tflite"], "a file of onnx has a name that ends in .onnx"),
        (["--quantize", "eight"], "--quantize eight: no such quantisation."),
        (["-o", "no/such/model.onnx"], "there is no directory no/such"),
    ],
)
def test_what_cannot_be_is_refused(command, finished, arguments, message):
    done = command("export", finished.path, *arguments)
    assert done.code == 2
    assert message in done.err
    assert not (finished.path / "export").exists()


@pytest.mark.parametrize("name", ["onnx", "litert", "saved_model", "openvino"])
@pytest.mark.parametrize("file", ["photograph.jpg", "notes", "run.eyebright"])
def test_a_file_of_something_else_is_never_replaced(command, finished, tmp_path, name, file):
    target = tmp_path / file
    target.write_bytes(b"precious")
    done = command("export", finished.path, "--format", name, "-o", target)
    assert (done.code, done.out) == (2, "")
    assert f"{target}: " in done.err
    assert "left as it is" in done.err or "has a name that ends in" in done.err
    assert target.read_bytes() == b"precious"


def test_an_earlier_file_of_the_format_is_replaced(command, finished, tmp_path):
    target = tmp_path / "model.onnx"
    target.write_bytes(b"an earlier one")
    assert command("export", finished.path, "-o", target, "--images", "10").code == 0
    assert len(target.read_bytes()) > 100


def test_an_unfinished_run_is_refused(command, run_copy):
    (run_copy / "results.json").unlink()
    done = command("export", run_copy)
    assert done.code == 2
    assert "this run is not finished" in done.err


def test_a_run_that_cannot_be_written_to_is_one_message(process, run_copy):
    shutil.rmtree(run_copy / "export", ignore_errors=True)
    (run_copy / "export").write_text("a file")
    done = process("export", run_copy, "--images", "10")
    assert done.code == 2
    assert "Traceback" not in done.err
