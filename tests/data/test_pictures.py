"""Many pictures into one file, in this process or in several, and what is said of those that cannot be read."""

import os
import signal
import subprocess
import sys
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
        pictures.append(ListedPicture(file.name, file, "a"))
    return pictures


def decoded(directory: Path, pictures: list[ListedPicture], shape: tuple[int, int, int]) -> tuple[np.ndarray, list]:
    target = directory / "pixels"
    parts = list(decode_into(target, pictures, shape, PLAIN))
    return np.fromfile(target, np.uint8).reshape(len(pictures), *shape), parts


@pytest.mark.parametrize("many", [1, 64, 65, 300])  # 300 are too many for one process
@pytest.mark.parametrize("channels", [1, 3])
def test_each_picture_comes_to_its_place_as_it_does_alone(tmp_path, many, channels):
    pictures = made(tmp_path, many)
    pictures[many // 2].file.write_bytes(b"no picture")
    pixels, parts = decoded(tmp_path, pictures, (5, 3, channels))
    for place, picture in enumerate(pictures):
        expected = np.zeros((5, 3, channels)) if place == many // 2 else decode_image(picture.file, (5, 3, channels))
        np.testing.assert_array_equal(pixels[place], expected)
    errors = {place: message for part in parts for place, message in part.errors.items()}
    assert list(errors) == [many // 2]
    assert errors[many // 2].startswith("no picture that can be read: it begins with the bytes")
    assert set().union(*(part.sizes for part in parts)) == ({(6, 4)} if many > 1 else set())
    assert [len(part.grey) for part in parts] == [min(64, many - start) for start in range(0, many, 64)]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="children are found by /proc")
def test_processes_that_decoded_do_not_stay(tmp_path):
    pictures = made(tmp_path, 400)
    decoded(tmp_path, pictures, (2, 2, 1))
    assert not decoders(os.getpid())
    parts = decode_into(tmp_path / "pixels", pictures, (2, 2, 1), PLAIN)
    assert len(next(parts).grey) == 64
    assert decoders(os.getpid())
    parts.close()  # in the middle
    assert not decoders(os.getpid())
    decoded(tmp_path, pictures, (2, 2, 1))  # and others can be started


SCRIPT = """
import os, sys, time
from pathlib import Path
from eyebright.data.listing import ListedPicture
from eyebright.data.pictures import decode_into
from eyebright.picture_options import PictureOptions
folder = Path(sys.argv[1])
pictures = [ListedPicture(file.name, file, "a") for file in sorted(folder.glob("*.png"))] * int(sys.argv[2])
for number, part in enumerate(decode_into(folder / "pixels", pictures, (2, 2, 1), PictureOptions())):
    print(number, flush=True)
print("done", flush=True)
"""


def test_a_script_without_a_guard_may_read_pictures(tmp_path):
    """Where processes import the main script, one that reads pictures at its top level would start itself for ever."""
    made(tmp_path, 300)
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script, tmp_path, "1"], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.split()[-1], done.stderr) == (0, "done", "")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="children are found by /proc")
def test_a_process_that_is_killed_is_a_data_error(tmp_path):
    made(tmp_path, 300)
    code = SCRIPT.replace(
        "for number, part", "from eyebright.errors import DataError\ntry:\n for number, part"
    ).replace(
        "    print(number, flush=True)\n",
        "  print(number, flush=True)\nexcept DataError as error: sys.exit(str(error))\n",
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path, "40"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "0\n"
        for child in decoders(process.pid):
            os.kill(child, signal.SIGKILL)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "A process that decoded pictures was killed" in err
    assert "Traceback" not in err


def decoders(parent: int) -> list[int]:
    """The processes below one that decode: its children but the one that keeps count of their resources."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            words = (path / "cmdline").read_bytes()
        except OSError:  # it has ended
            continue
        if int(fields[1]) == parent and fields[0] != "Z" and b"resource_tracker" not in words:
            found.append(int(path.name))
    return found


# The size that pictures are brought to


def test_pictures_of_one_small_size_keep_it_and_others_come_to_64(tmp_path):
    for name in ("same", "large", "mixed"):
        (tmp_path / name).mkdir()
    same = made(tmp_path / "same", 5, (64, 40))
    assert likely_size(same, PLAIN) == (64, 40)
    assert likely_size(made(tmp_path / "large", 5, (65, 40)), PLAIN) == (64, 64)
    assert likely_size([*same, *made(tmp_path / "mixed", 2, (64, 41))], PLAIN) == (64, 64)
    assert likely_size(same, PictureOptions(image_size="7x9")) == (7, 9)
    same[0].file.write_bytes(b"no picture")
    assert likely_size(same, PLAIN) == (64, 40)
    assert likely_size(same[:1], PLAIN) == (64, 64)


# What cannot be read


def test_of_many_unreadable_pictures_the_first_are_named():
    pictures = [ListedPicture(f"{number:02}.png", Path(f"{number:02}.png"), "a") for number in range(20)]
    refuse_unreadable(Path("data"), pictures, {})
    with pytest.raises(DataError) as error:
        refuse_unreadable(Path("data"), pictures, dict.fromkeys(range(19, 7, -1), "empty."))
    assert str(error.value).splitlines() == [
        "data: 12 of 20 pictures cannot be read:",
        *(f"  {number:02}.png: empty." for number in range(8, 18)),
        "  … and 2 more",
        "Mend or remove them, or list them in a file and leave them out with --exclude FILE.",
    ]
