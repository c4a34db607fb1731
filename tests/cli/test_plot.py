import shutil

import pytest
from PIL import Image

from eyebright import preset_settings, train


def is_png(path):
    with Image.open(path) as picture:
        return picture.format == "PNG"


def test_the_picture_lies_in_the_run_unless_another_place_is_named(run_copy, tmp_path, command):
    assert command("plot", run_copy) == (0, f"{run_copy / 'training.png'}\n", "")
    assert is_png(run_copy / "training.png")
    other = tmp_path / "both.png"
    second = shutil.copytree(run_copy, tmp_path / "second")
    (second / "training.png").unlink()
    assert command("plot", run_copy, second, "-o", other) == (0, f"{other}\n", "")
    assert is_png(other)
    assert not (second / "training.png").exists()


def test_a_picture_that_cannot_be_written_is_an_error(run_copy, tmp_path, command):
    code, out, err = command("plot", run_copy, "--output", tmp_path / "no" / "a.png")
    assert (code, out) == (2, "")
    assert err.startswith(f"StorageError: {tmp_path / 'no' / 'a.png'}: cannot be written")


def test_a_name_of_another_format_is_refused(run_copy, tmp_path, command):
    code, out, err = command("plot", run_copy, "--output", tmp_path / "a.jpg")
    assert (code, out) == (2, "")
    assert (
        err == f"SettingsError: --output {tmp_path / 'a.jpg'}: the picture is a PNG; give a name that ends in .png.\n"
    )
    assert not (tmp_path / "a.jpg").exists()


def test_weights_are_drawn_on_demand(run_copy, tmp_path, command):
    assert command("plot", run_copy, "--what", "weights") == (0, f"{run_copy / 'weights.png'}\n", "")
    assert is_png(run_copy / "weights.png")
    layer = command("plot", run_copy / "model", "--what", "weights", "--layer", "logits", "-o", tmp_path / "a.png")
    assert layer == (0, f"{tmp_path / 'a.png'}\n", "")
    assert (tmp_path / "a.png").read_bytes() == (run_copy / "weights.png").read_bytes()


def test_features_are_drawn_of_a_picture(digits, pictures, tmp_path, command):
    settings = preset_settings("default", model="cnn", channels=(4,), max_steps=1, batch_size=20)
    run = train(settings, digits, tmp_path / "run").path
    answer = command("plot", run, "--what", "features", "--image", pictures / "0.png")
    assert answer == (0, f"{run / 'features.png'}\n", "")
    assert is_png(run / "features.png")
    code, _, err = command("plot", run, "--what", "features", "--image", pictures / "words.png")
    assert (code, err.split(":")[0]) == (2, "ImageError")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--what", "weight"], "--what weight: no such picture. Did you mean 'weights'?"),
        (["--what", "features"], "--what features: needs a picture. Give one with --image FILE."),
        (["--what", "features", "--image", "a.png"], "the softmax model has no feature maps"),
        (["--what", "weights", "--image", "a.png"], "--image a.png: is for --what features."),
        (["--layer", "logits"], "--layer logits: is for --what weights."),
        (["--what", "weights", "--layer", "hidden_1"], "--layer hidden_1: the model has no layer of that name"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(arguments, message, run_copy, pictures, command):
    arguments = [str(pictures / "0.png") if a == "a.png" else a for a in arguments]
    code, out, err = command("plot", run_copy, *arguments)
    assert (code, out) == (2, "")
    assert message.replace("a.png", str(pictures / "0.png")) in err


def test_weights_and_features_are_of_one_run(run_copy, command):
    code, _, err = command("plot", run_copy, run_copy, "--what", "weights")
    assert code == 2
    assert err == "SettingsError: --what weights: draws one run, and 2 were named. Give one of them.\n"
