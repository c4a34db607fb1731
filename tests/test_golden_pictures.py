import json

import numpy as np
import PIL
import pytest
from PIL import Image

from eyebright.errors import ClassifierError, DataError
from eyebright.golden import TOLERANCE
from eyebright.golden_pictures import GoldenPictures, decoded
from eyebright.packaging.made_pictures import made_pictures

SHAPE = (9, 8, 3)
FILES = made_pictures(SHAPE)


def predict(images):
    """Three colours' means as probabilities: what decodes otherwise is answered otherwise."""
    means = images.mean(axis=(1, 2)) + 1
    return (means / means.sum(axis=1, keepdims=True)).astype(np.float32)


GOLDEN = GoldenPictures(FILES, predict(decoded(FILES, SHAPE, "crop")), "9.5.0")
PART = GOLDEN.to_part()


def test_what_gives_the_same_again_passes():
    GOLDEN.check(predict, SHAPE, "crop")
    assert GOLDEN.difference(predict, SHAPE, "crop") == 0


@pytest.mark.parametrize("wrong", [2 * TOLERANCE, np.nan])
def test_one_other_probability_is_refused_and_both_versions_of_pillow_are_named(wrong):
    changed = GOLDEN.probabilities.copy()
    changed[4, 1] += wrong
    with pytest.raises(ClassifierError) as refused:
        GoldenPictures(FILES, changed, "9.5.0").check(predict, SHAPE, "crop")
    for text in ("golden pictures", f"Pillow {PIL.__version__} is", "pillow==9.5.0", "--skip-golden"):
        assert text in str(refused.value)


@pytest.mark.parametrize("fit", ["stretch", "pad"])
def test_another_way_of_fitting_pictures_is_found(fit):
    with pytest.raises(ClassifierError, match="golden pictures"):
        GOLDEN.check(predict, SHAPE, fit)


def test_another_filter_of_resizing_is_found(monkeypatch):
    bilinear, resize = Image.Resampling.BILINEAR, Image.Image.resize

    def nearest(self, size, resample=None, *more, **other):
        return resize(self, size, Image.Resampling.NEAREST if resample == bilinear else resample, *more, **other)

    monkeypatch.setattr(Image.Image, "resize", nearest)
    with pytest.raises(ClassifierError, match="golden pictures"):
        GOLDEN.check(predict, SHAPE, "crop")


def test_they_are_read_as_they_were_written():
    read = GoldenPictures.from_part(PART, 3)
    assert (read.files, read.pillow) == (FILES, "9.5.0")
    np.testing.assert_array_equal(read.probabilities, GOLDEN.probabilities)
    assert read.to_part() == PART


def changed(**entry):
    part = json.loads(PART)
    part["pictures"][1] |= entry
    return json.dumps(part).encode()


OTHERS = {
    "no JSON": b"{",
    "a list": b"[]",
    "nested": b"[" * 100_000,
    "none": b'{"pillow": "1", "pictures": []}',
    "many": json.dumps({"pillow": "1", "pictures": 9 * json.loads(PART)["pictures"]}).encode(),
    "no version": json.dumps({"pictures": json.loads(PART)["pictures"]}).encode(),
    "no base64": changed(png="!"),
    "another alphabet": changed(png="ä"),
    "other classes": changed(probabilities=[0.5, 0.5]),
    "texts": changed(probabilities=["a", "b", "c"]),
}


@pytest.mark.parametrize("part", OTHERS.values(), ids=OTHERS)
def test_a_part_of_something_else_is_refused(part):
    with pytest.raises(ClassifierError, match=r"golden_pictures\.json"):
        GoldenPictures.from_part(part, 3)


def test_what_is_no_picture_is_an_error_of_its_own():
    golden = GoldenPictures.from_part(changed(png="eA=="), 3)
    with pytest.raises(DataError):
        golden.check(predict, SHAPE, "crop")
