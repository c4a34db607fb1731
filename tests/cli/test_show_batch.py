import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def colours(tmp_path):
    """Forty random images of CIFAR-10's shape in two classes."""
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    path = tmp_path / "colours.npz"
    np.savez(path, images=images, labels=np.arange(40) % 2, class_names=["left", "right"])
    return path


@pytest.fixture
def show(command, tmp_path):
    """The picture's bytes; three images in three epochs."""

    def show(*arguments):
        path = tmp_path / "shown.png"
        code, out, err = command("show-batch", *arguments, "--images", 3, "--views", 3, "-o", path)
        assert (code, out) == (0, f"{path}\n"), err
        return path.read_bytes()

    return show


def description(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return picture.text["Description"].split("\n")


def test_the_picture_lies_in_this_directory_unless_another_place_is_named(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # as plot does, over the one of before
        assert command("show-batch", "--augment", "strong")[:2] == (0, "batch.png\n")
    assert description(tmp_path / "batch.png") == [
        "digits: step 0 (epoch 1), seed 0, batches of 62",
        "augment=strong: cutmix=1.0, cutout=2, flip=alternating, mix_probability=0.5, mixup=0.2, shift=1",
    ]
    other = tmp_path / "other.png"
    assert command("show-batch", "--images", 2, "--augment", "none", "-o", other)[:2] == (0, f"{other}\n")
    assert description(other)[1] == "augment=none: the images stay as they are"
    with Image.open(tmp_path / "batch.png") as eight, Image.open(other) as two:
        assert eight.width == two.width > 7 * 128
        assert eight.height > 8 * 128 > two.height > 2 * 128


def test_colour_images_with_a_file_of_settings(command, colours, tmp_path):
    file = tmp_path / "my.toml"
    operations = "hue = 0.5\ncrop = 0.3\nmixup = 0.5\ntrivial_augment = true"
    file.write_text(f'augment = "none"\nbatch_size = 10\nseed = 5\n[augmentation]\n{operations}')
    path = tmp_path / "colours.png"
    assert command("show-batch", colours, "--config", file, "--step", 7, "-o", path) == (0, f"{path}\n", "")
    assert description(path) == [
        "colours: step 7 (epoch 4), seed 5, batches of 10",
        "augment=none: crop=0.3, hue=0.5, mixup=0.5, trivial_augment=true",
    ]


def test_same_seed_and_step_give_the_same_bytes(show):
    given = ("--augment", "strong", "--seed", 3, "--step", 25)
    first = show(*given)
    assert show(*given) == first
    for other in (("--step", 26), ("--seed", 4), ("--augment", "light")):
        assert show(*given, *other) != first


def test_grey_images_are_mirrored_only_where_that_is_asked_for_and_it_is_said(command, tmp_path):
    code, _, err = command("show-batch", "--model", "cnn", "-o", tmp_path / "a.png")
    assert code == 0
    assert "Grey images are not mirrored in training" in err
    assert "flip" not in description(tmp_path / "a.png")[1]


def test_a_process_prints_the_path_alone(process, tmp_path):
    path = tmp_path / "a.png"
    arguments = ("--augment", "strong", "--seed", 1, "--images", 64, "--views", 3)
    code, out, err = process("show-batch", *arguments, "-o", path)
    assert (code, out) == (0, f"{path}\n")
    assert err == "Batch size lowered from the preset's 500 to 62: the training set is small.\n"
    assert description(path)[0] == "digits: step 0 (epoch 1), seed 1, batches of 62"


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("shift = 8", "augmentation.shift = 8: .* must be smaller than the image, and these images are 8 × 8 × 1"),
        ("cutout = 9", "augmentation.cutout = 9: .* not be larger than the image, and these images are 8 × 8 × 1"),
        ("hue = 0.1", "augmentation.hue = 0.1: grey images have no colours .* these images are 8 × 8 × 1"),
        ("crop = 2.0", "augmentation.crop = 2.0: input should be less than or equal to 1"),
        ("cutuot = 2", "augmentation.cutuot: unknown setting. Did you mean 'cutout'?"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(policy, message, command, tmp_path):
    file = tmp_path / "my.toml"
    file.write_text(f"[augmentation]\n{policy}\n")
    code, out, err = command("show-batch", "--config", file, "-o", tmp_path / "a.png")
    assert (code, out) == (2, "")
    assert err.startswith("SettingsError: ")
    for part in message.split(".*"):
        assert part.strip() in err
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--augment", "strnog"), "--augment strnog: "),
        (("--seed", "-1"), "--seed -1: "),
        (("--step", "-1"), "--step"),
        (("--images", "0"), "--images"),
        (("--views", "x"), "--views"),
        (("no-such-data",), "no-such-data"),
        (("-o", "a.jpg"), "--output a.jpg: the picture is a PNG; give a name that ends in .png."),
        (("-o", "no/a.png"), "no/a.png: cannot be written"),
    ],
)
def test_what_the_user_can_mend_is_one_message_and_exit_code_2(arguments, message, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = command("show-batch", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []
