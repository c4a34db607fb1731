import shutil

from PIL import Image


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
