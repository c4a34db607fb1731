import numpy as np
import pytest
from PIL import Image

from eyebright.errors import StorageError
from eyebright.training.rate_chart import draw_rate_test
from eyebright.training.rate_finder import RateTest, smooth

BLUE, ORANGE = (31, 119, 180), (255, 127, 14)


@pytest.fixture
def draw(tmp_path):
    """The picture's pixels, of a loss that falls from 2.5 to 0.5 and then rises to where it is told."""

    def draw(rate, last=2.0):
        losses = np.concatenate([np.linspace(2.5, 0.5, 60), np.linspace(0.5, last, 40)])
        test = RateTest(np.geomspace(1e-6, 10, 100), losses, smooth(losses, 100), rate)
        draw_rate_test(test, tmp_path / "chart.png", "digits")
        with Image.open(tmp_path / "chart.png") as picture:
            assert (picture.format, picture.size) == ("PNG", (800, 500))
            return np.asarray(picture.convert("RGB"))

    return draw


def columns_of(pixels, colour, least=1):
    """The columns of the picture in which at least so many pixels have this colour."""
    return np.flatnonzero((pixels == colour).all(axis=2).sum(axis=0) >= least)


def test_the_suggestion_stands_where_its_rate_is_on_a_logarithmic_axis(draw):
    places = [columns_of(draw(rate), ORANGE, least=300).mean() for rate in (1e-5, 1e-3, 1e-1)]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=2)
    assert places[1] - places[0] > 100


def test_the_smoothed_loss_runs_through_the_picture(draw):
    assert len(columns_of(draw(0.01), BLUE)) > 400


def test_a_loss_that_explodes_leaves_the_fall_as_large(draw):
    def height(pixels):
        left = pixels[:, :400]  # the fall, without the legend's line
        return np.ptp(np.flatnonzero((left == BLUE).all(axis=2).any(axis=1)))

    assert height(draw(0.01, last=20.0)) == pytest.approx(height(draw(0.01)), rel=0.1)


def test_a_picture_that_cannot_be_written_is_named(tmp_path):
    losses = np.linspace(2, 1, 20)
    with pytest.raises(StorageError, match=r"chart\.png: cannot be written"):
        draw_rate_test(RateTest(np.geomspace(1e-6, 1, 20), losses, losses, 0.1), tmp_path / "no" / "chart.png", "")
