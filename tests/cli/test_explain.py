import pytest
from PIL import Image

from eyebright import preset_settings, train


def is_png(path):
    with Image.open(path) as picture:
        return picture.format == "PNG"


@pytest.fixture(scope="module")
def convolutional(digits, tmp_path_factory):
    settings = preset_settings("default", model="cnn", channels=(4,), max_steps=1, batch_size=20)
    return train(settings, digits, tmp_path_factory.mktemp("explain") / "run").path


@pytest.mark.parametrize("method", [None, "grad-cam", "smoothgrad", "integrated-gradients", "occlusion"])
def test_pictures_are_explained_by_each_method(convolutional, pictures, tmp_path, command, method):
    chosen = [] if method is None else ["--method", method]
    path = tmp_path / "out.png"
    code, out, err = command("explain", convolutional, pictures / "[01].png", "-o", path, *chosen)
    assert (code, out) == (0, f"{path}\n")
    assert err.startswith(f"{method or 'grad-cam'}: ")
    assert is_png(path)


def test_the_picture_lies_in_the_run_and_a_class_can_be_named(run_copy, pictures, command):
    code, out, err = command("explain", run_copy, pictures / "0.png", "--class", "7")
    assert (code, out) == (0, f"{run_copy / 'explanation.png'}\n")
    assert err.startswith("integrated-gradients: ")
    assert is_png(run_copy / "explanation.png")


def test_a_picture_is_not_replaced_by_its_own_explanation(finished, pictures, tmp_path, command):
    picture = tmp_path / "mine.png"
    picture.write_bytes((pictures / "0.png").read_bytes())
    code, out, err = command("explain", finished.path, picture, "-o", picture)
    assert (code, out) == (2, "")
    assert f"--output {picture}: this is one of the pictures to explain" in err
    assert picture.read_bytes() == (pictures / "0.png").read_bytes()


def test_of_a_saved_classifier_the_picture_does_not_lie_among_its_parts(
    finished, pictures, tmp_path, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    before = sorted((finished.path / "model").iterdir())
    assert command("explain", finished.path / "model", pictures / "0.png")[:2] == (0, "explanation.png\n")
    assert is_png("explanation.png")
    assert sorted((finished.path / "model").iterdir()) == before


def test_a_picture_that_cannot_be_read_does_not_stop_the_others(run_copy, pictures, tmp_path, command):
    path = tmp_path / "out.png"
    code, out, err = command("explain", run_copy, pictures / "words.png", pictures / "0.png", "-o", path)
    assert (code, out) == (3, f"{path}\n")
    assert f"{pictures / 'words.png'}: " in err
    path.unlink()
    code, out, err = command("explain", run_copy, pictures / "words.png", pictures / "none.png", "-o", path)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 2
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "gradcam"], "SettingsError: --method gradcam: no such method. Did you mean 'grad-cam'?\n"),
        (["--class", "x"], "SettingsError: --class x: no such class. Known: 0, 1, 2"),
        (["-o", "a.jpg"], "SettingsError: --output a.jpg: the picture is a PNG"),
        (["--method", "grad-cam"], "SettingsError: --method grad-cam: the softmax model has no convolutions."),
    ],
)
def test_what_cannot_be_done_is_refused(run_copy, pictures, command, arguments, message):
    code, out, err = command("explain", run_copy, pictures / "0.png", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(message)
