import numpy as np
import pytest
from PIL import Image

from eyebright.augmentation import Augmentation
from eyebright.errors import StorageError
from eyebright.training.preview import Preview, Row, View
from eyebright.training.preview_picture import class_captions, draw_preview

NAMES = ("cat", "ship", "a class of a name that is far too long for the place that it has")
TITLE = ("shades: seed 0", "flip=alternating, " * 20)


@pytest.fixture
def draw(tmp_path):
    def draw(rows, title=TITLE):
        path = tmp_path / "batch.png"
        draw_preview(path, Preview(Augmentation(), 0, rows), NAMES, title)
        with Image.open(path) as picture:
            return np.asarray(picture)

    return draw


def image(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def row(shape=(8, 8, 1), target=(1.0, 0.0, 0.0), views=1, label=0, seed=0):
    target = np.array(target, np.float32)
    return Row(
        7, image(*shape, seed=seed), label, [View(n, image(*shape, seed=seed + 1 + n), target) for n in range(views)]
    )


def places_of(pixels, sheet):
    """Where some pixels [H, W, C] are found in a sheet [H, W, 3]: their upper left corners as (x, y)."""
    height, width, _ = pixels.shape
    pixels = np.broadcast_to(pixels, (height, width, 3))
    windows = np.lib.stride_tricks.sliding_window_view(sheet, (1, width, 3))[..., 0, 0, :, :]  # [H, W', w, 3]
    found = []
    for y, x in np.argwhere((windows == pixels[0]).all(axis=(2, 3))):
        if np.array_equal(sheet[y : y + height, x : x + width], pixels):
            found.append((int(x), int(y)))
    return found


@pytest.mark.parametrize(
    ("shape", "factor"), [((8, 8, 1), 16), ((32, 32, 3), 4), ((28, 20, 1), 5), ((5, 3, 3), 26), ((200, 150, 3), 1)]
)
def test_each_image_is_there_enlarged_by_a_whole_factor(draw, shape, factor):
    rows = [row(shape, views=2), row(shape, views=2, seed=9)]
    sheet = draw(rows)
    places = []
    for one in rows:
        for pixels in (one.image, *(view.image for view in one.views)):
            found = places_of(pixels.repeat(factor, axis=0).repeat(factor, axis=1), sheet)
            assert len(found) == 1
            places += found
    (first, *_), (second, *_) = places[:3], places[3:]
    assert [x for x, _ in places[:3]] == [x for x, _ in places[3:]] == sorted({x for x, _ in places})
    assert {y for _, y in places} == {first[1], second[1]}
    assert second[1] >= first[1] + factor * shape[0] + 32  # room for a class and a step


def test_an_image_that_is_in_no_batch_of_an_epoch_leaves_its_place_empty(draw):
    whole = row(views=2)
    sheet = draw([whole])
    holed = draw([whole._replace(views=[whole.views[0], None])])
    assert sheet.shape == holed.shape
    ((x, y),) = places_of(whole.views[1].image.repeat(16, axis=0).repeat(16, axis=1), sheet)
    assert len(np.unique(holed[y : y + 128, x : x + 128].reshape(-1, 3), axis=0)) == 1
    assert np.array_equal(sheet[:, : x - 12], holed[:, : x - 12])


def test_classes_stand_below_the_image(draw):
    one, other = draw([row()]), draw([row(target=(0.0, 1.0, 0.0))])
    ((x, y),) = places_of(row().views[0].image.repeat(16, axis=0).repeat(16, axis=1), one)
    ys, xs = np.nonzero((one != other).any(axis=2))
    assert y + 128 <= ys.min() < ys.max() < y + 128 + 16
    assert x <= xs.min() < xs.max() < x + 128


def test_a_name_that_is_too_long_is_cut_before_the_next_image(draw):
    sheet = draw([row(label=2)])
    ((x, y),) = places_of(row().views[0].image.repeat(16, axis=0).repeat(16, axis=1), sheet)
    assert len(np.unique(sheet[y:, x - 12 : x].reshape(-1, 3), axis=0)) == 1


def test_a_long_title_is_wrapped_and_the_file_says_it_too(draw, tmp_path):
    short, long = draw([row()], title=["short"]), draw([row()])
    assert short.shape[1] == long.shape[1]
    assert long.shape[0] > short.shape[0] + 5 * 16
    with Image.open(tmp_path / "batch.png") as picture:
        assert picture.text["Description"] == "\n".join(TITLE)


@pytest.mark.parametrize(
    ("target", "captions"),
    [
        ((0, 1, 0), ["ship"]),
        ((0.302, 0.698, 0), ["ship 70%", "cat 30%"]),
        ((0.998, 0.002, 0), ["cat"]),
        ((0.5, 0, 0.5), ["cat 50%", "a class… 50%"]),
        ((0, 0, 1), ["a class of …"]),
    ],
)
def test_mixed_images_have_their_classes_with_their_shares(target, captions):
    assert class_captions(np.array(target, np.float32), NAMES, 12) == captions


def test_same_preview_gives_the_same_bytes(draw, tmp_path):
    draw([row()])
    first = (tmp_path / "batch.png").read_bytes()
    draw([row()])
    assert (tmp_path / "batch.png").read_bytes() == first


def test_names_of_any_script_are_drawn(tmp_path):
    draw_preview(tmp_path / "a.png", Preview(Augmentation(), 0, [row()]), ("Кошка", "犬", "$x^"), ["Ж ½ 犬 $a_"])
    assert (tmp_path / "a.png").exists()


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(StorageError, match="cannot be written"):
        draw_preview(tmp_path / "no" / "a.png", Preview(Augmentation(), 0, [row()]), NAMES, TITLE)
