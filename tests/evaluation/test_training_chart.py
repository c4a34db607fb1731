from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyebright.errors import RunError, StorageError
from eyebright.evaluation.training_chart import draw_training

HEADER = "step,loss,train_accuracy,learning_rate,images_per_second,validation_loss,validation_accuracy\n"
ROWS = "0,2.3,0.1,0.1,100,,\n10,,,,,1.5,0.4\n100,1.1,0.6,0.1,100,,\n200,0.9,0.7,0.1,100,,\n"


def make_run(path, text=HEADER + ROWS):
    path.mkdir()
    (path / "metrics.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def colours(path):
    """How many pixels of the picture have each of the first two lines' colours."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB")).reshape(-1, 3)
    return [int((pixels == colour).all(axis=1).sum()) for colour in ((31, 119, 180), (255, 127, 14))]


def test_picture_shows_a_line_for_each_run(tmp_path):
    one, two = make_run(tmp_path / "one"), make_run(tmp_path / "two", HEADER + ROWS.replace("0.7", "0.9"))
    draw_training([one], tmp_path / "one.png")
    draw_training([one, two], tmp_path / "two.png")
    with Image.open(tmp_path / "one.png") as picture:
        assert (picture.format, picture.size) == ("PNG", (1000, 400))
    assert colours(tmp_path / "one.png")[0] > 50
    assert colours(tmp_path / "one.png")[1] == 0
    assert min(colours(tmp_path / "two.png")) > 50


@pytest.mark.parametrize("name", ["_hidden", "$x^", "."])
def test_a_run_may_have_any_name(name, tmp_path, monkeypatch):
    run = make_run(tmp_path / "run") if name == "." else make_run(tmp_path / name)
    monkeypatch.chdir(run)
    draw_training([run if name != "." else Path()], tmp_path / "training.png")
    assert colours(tmp_path / "training.png")[0] > 50


def test_picture_is_small_enough_for_a_readme(tmp_path):
    draw_training([make_run(tmp_path / "run")], tmp_path / "training.png")
    assert (tmp_path / "training.png").stat().st_size < 200_000


def test_a_row_that_was_cut_short_does_not_matter(tmp_path):
    draw_training([make_run(tmp_path / "run", HEADER + ROWS + "300,0.8")], tmp_path / "training.png")
    assert colours(tmp_path / "training.png")[0] > 50


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (HEADER, "has no rows yet"),
        ("", "has no rows yet"),
        (HEADER + "x,1,1,1,1,,\n", "damaged"),
        (HEADER + "1,loss,1,1,1,,\n", "damaged"),
        ("a,b\n1,2\n", "damaged"),
        (b"\xff\xfe", "damaged"),
    ],
)
def test_metrics_that_cannot_be_drawn_are_named(text, words, tmp_path):
    run = make_run(tmp_path / "run", text)
    with pytest.raises(RunError, match=words) as error:
        draw_training([run], tmp_path / "training.png")
    assert str(run / "metrics.csv") in str(error.value)
    assert not (tmp_path / "training.png").exists()


def test_a_directory_without_metrics_is_named(tmp_path):
    with pytest.raises(RunError, match=r"metrics\.csv: cannot be read"):
        draw_training([tmp_path], tmp_path / "training.png")


def test_a_picture_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"training\.png: cannot be written"):
        draw_training([make_run(tmp_path / "run")], tmp_path / "no" / "training.png")
