"""Many pictures into one file, in several threads, and what is said of those that cannot be read."""

import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyebright.data.decode import decode_image
from eyebright.data.listing import ListedPicture
from eyebright.data.pictures import decode_into, likely_size, refuse_unreadable
from eyebright.errors import DataError
from eyebright.picture_options import PictureOptions

PLAIN = PictureOptions()


def made(directory: Path, many: int, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> list[ListedPicture]:
    """Pictures of noise, each another."""
    generator = np.random.default_rng(many)
    pictures = []
    for number in range(many):
        pixels = generator.integers(0, 256, (*size, 3), np.uint8)
        file = directory / f"{number}.png"
        Image.fromarray(pixels).convert(mode).save(file)
        pictures.append(ListedPicture(file.name, str(file), "a"))
    return pictures


def decoded(directory: Path, pictures: list[ListedPicture], shape: tuple[int, int, int]) -> tuple[np.ndarray, list]:
    target = directory / "pixels"
    parts = list(decode_into(target, pictures, shape, PLAIN))
    return np.fromfile(target, np.uint8).reshape(len(pictures), *shape), parts


@pytest.mark.parametrize("many", [1, 16, 17, 300])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_picture_comes_to_its_place_as_it_does_alone(tmp_path, many, channels):
    pictures = made(tmp_path, many)
    Path(pictures[many // 2].file).write_bytes(b"no picture")
    pixels, parts = decoded(tmp_path, pictures, (5, 3, channels))
    for place, picture in enumerate(pictures):
        expected = (
            np.zeros((5, 3, channels)) if place == many // 2 else decode_image(Path(picture.file), (5, 3, channels))
        )
        np.testing.assert_array_equal(pixels[place], expected)
    errors = {place: message for part in parts for place, message in part.errors.items()}
    assert list(errors) == [many // 2]
    assert errors[many // 2].startswith("no picture that can be read: it begins with the bytes")
    assert set().union(*(part.sizes for part in parts)) == ({(6, 4)} if many > 1 else set())
    assert [len(part.grey) for part in parts] == [min(16, many - start) for start in range(0, many, 16)]


def test_closed_in_the_middle_it_decodes_no_more_and_leaves_no_thread(tmp_path):
    pictures = made(tmp_path, 400)
    threads = threading.active_count()
    parts = decode_into(tmp_path / "pixels", pictures, (2, 2, 1), PLAIN)
    assert len(next(parts).grey) == 16
    assert threading.active_count() > threads
    parts.close()
    assert threading.active_count() == threads
    pixels = np.fromfile(tmp_path / "pixels", np.uint8)
    assert pixels[:16].any()
    assert not pixels[-16:].any()


def test_what_pillow_warns_of_is_not_heard_from_any_thread_and_filters_of_warnings_stay(tmp_path):
    exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff"  # of many tags, and none is there
    Image.new("RGB", (8, 8)).save(tmp_path / "0.jpg", exif=exif)
    with pytest.warns(UserWarning, match="Corrupt EXIF data"), Image.open(tmp_path / "0.jpg") as image:
        image.getexif()
    before = list(warnings.filters)
    _, parts = decoded(tmp_path, [ListedPicture("0.jpg", str(tmp_path / "0.jpg"), "a")] * 2000, (4, 4, 3))
    assert not any(part.errors for part in parts)  # as warnings are errors here, one that is heard would be one
    assert warnings.filters == before


# The size that pictures are brought to


def test_pictures_of_one_small_size_keep_it_and_others_come_to_64(tmp_path):
    for name in ("same", "large", "mixed"):
        (tmp_path / name).mkdir()
    same = made(tmp_path / "same", 5, (64, 40))
    assert likely_size(same, PLAIN) == (64, 40)
    assert likely_size(made(tmp_path / "large", 5, (65, 40)), PLAIN) == (64, 64)
    assert likely_size([*same, *made(tmp_path / "mixed", 2, (64, 41))], PLAIN) == (64, 64)
    assert likely_size(same, PictureOptions(image_size="7x9")) == (7, 9)
    Path(same[0].file).write_bytes(b"no picture")
    assert likely_size(same, PLAIN) == (64, 40)
    assert likely_size(same[:1], PLAIN) == (64, 64)


# What cannot be read


def test_of_many_unreadable_pictures_the_first_are_named():
    pictures = [ListedPicture(f"{number:02}.png", f"{number:02}.png", "a") for number in range(20)]
    refuse_unreadable(Path("data"), pictures, {})
    with pytest.raises(DataError) as error:
        refuse_unreadable(Path("data"), pictures, dict.fromkeys(range(19, 7, -1), "empty."))
    assert str(error.value).splitlines() == [
        "data: 12 of 20 pictures cannot be read:",
        *(f"  {number:02}.png: empty." for number in range(8, 18)),
        "  … and 2 more",
        "Mend or remove them, or list them in a file and leave them out with --exclude FILE.",
    ]
