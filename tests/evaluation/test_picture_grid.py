import numpy as np
import pytest
from PIL import Image

from eyebright.errors import StorageError
from eyebright.evaluation.picture_grid import draw_grid


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_pictures_stand_row_by_row_and_are_enlarged_by_a_whole_factor(tmp_path):
    red, grey, blue = np.zeros((2, 2, 3), np.uint8), np.full((2, 2), 77, np.uint8), np.zeros((2, 2, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    red[0, 0] = 9
    draw_grid(tmp_path / "grid.png", [red, grey, blue], ["", "", ""], columns=2, side=9)
    sheet = pixels(tmp_path / "grid.png")
    assert sheet.shape == (2 * 13 + 4, 2 * 13 + 4, 3)
    assert (sheet[4:8, 4:8] == 9).all()  # one pixel is four by four: 9 // 2
    assert (sheet[8:12, 4:12] == [255, 0, 0]).all()
    assert (sheet[4:12, 17:25] == 77).all()
    assert (sheet[17:25, 4:12] == [0, 0, 255]).all()
    assert (sheet[17:, 17:] == 255).all()  # no fourth picture


def test_a_large_picture_is_made_smaller_and_keeps_its_shape(tmp_path):
    draw_grid(tmp_path / "grid.png", [np.zeros((100, 50, 1), np.uint8)], [""], columns=1, side=20)
    black = (pixels(tmp_path / "grid.png") == 0).all(axis=2)
    assert (black.any(axis=1).sum(), black.any(axis=0).sum()) == (20, 10)


def test_a_caption_stands_above_its_picture(tmp_path):
    white = np.full((4, 4), 255, np.uint8)
    draw_grid(tmp_path / "grid.png", [white, white], ["", "31 × 31 é"], columns=2, side=60)
    dark = (pixels(tmp_path / "grid.png") < 128).all(axis=2)
    assert dark.any()
    assert np.flatnonzero(dark.any(axis=1)).max() < 4 + 15
    assert np.flatnonzero(dark.any(axis=0)).min() >= 4 + 64


def test_a_picture_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"no/grid\.png: cannot be written"):
        draw_grid(tmp_path / "no" / "grid.png", [np.zeros((2, 2), np.uint8)], [""], columns=1)
