"""Decoded pictures on disk: when they are used again, when they are made anew, and where they cannot be kept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyebright import Dataset, load_dataset
from eyebright.data import cache
from eyebright.data.workspace import cache_directory, locked, remove_leftovers, working_directory
from eyebright.errors import DataError, EyebrightError
from eyebright.picture_options import PictureOptions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Eight pictures in two classes."""
    for number in range(8):
        pixels = np.random.default_rng(number).integers(0, 256, (6, 6, 3), np.uint8)
        path = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return tmp_path / "pictures"


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures were decoded, each time that some were."""
    import eyebright.data.picture_sets as module

    found: list[int] = []
    decode_into = module.decode_into

    def counted(target, pictures, *arguments):  # type: ignore[no-untyped-def]
        found.append(len(pictures))
        return decode_into(target, pictures, *arguments)

    monkeypatch.setattr(module, "decode_into", counted)
    return found


def entry_path() -> Path:
    (entry,) = cache.entries()
    return entry.path


# When they are used again


def test_what_was_decoded_is_mapped_and_the_same(folder, decodings):
    first, second = load_dataset(folder), load_dataset(folder)
    assert decodings == [8]
    assert isinstance(second.images.base, np.memmap) or isinstance(second.images, np.memmap)
    assert (second.fingerprint, second.paths, second.class_names) == (first.fingerprint, first.paths, first.class_names)
    np.testing.assert_array_equal(second.groups, first.groups)


def touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def same_length_and_time(path: Path) -> None:
    status, content = path.stat(), bytearray(path.read_bytes())
    path.write_bytes(bytes(content))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: touch(folder / "a" / "0.png"),
        lambda folder: same_length_and_time(folder / "a" / "0.png"),
        lambda folder: (folder / "a" / "0.png").rename(folder / "a" / "00.png"),
        lambda folder: (folder / "a" / "0.png").rename(folder / "b" / "0.png"),
        lambda folder: (folder / "a" / "0.png").unlink(),
        lambda folder: shutil.copy(folder / "a" / "0.png", folder / "b" / "new.png"),
        lambda folder: (folder / "a").rename(folder / "c"),
    ],
    ids=["touched", "changed and set back", "renamed", "moved", "removed", "added", "class renamed"],
)
def test_whatever_changes_among_the_pictures_is_noticed(folder, decodings, change: Callable[[Path], object]):
    load_dataset(folder)
    change(folder)
    load_dataset(folder)
    assert len(decodings) == 2


@pytest.mark.parametrize("option", [{"image_size": 5}, {"fit": "pad"}, {"colour": "grey"}, {"max_pixels": 99}])
def test_other_options_of_decoding_are_another_entry(folder, decodings, option):
    load_dataset(folder)
    load_dataset(folder, options=PictureOptions(**option))
    assert len(decodings) == len(cache.entries()) == 2


def test_the_same_names_elsewhere_are_another_entry(folder, decodings, tmp_path):
    load_dataset(folder)
    shutil.copytree(folder, tmp_path / "copy")  # with the same times
    load_dataset(tmp_path / "copy")
    assert len(decodings) == 2


# What is damaged is made anew


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        *(lambda entry, name=name: (entry / name).unlink() for name in ("images.u8", "index.npz", "entry.json")),
        *(
            lambda entry, name=name: (entry / name).write_bytes(b"")
            for name in ("images.u8", "index.npz", "entry.json")
        ),
        *(lambda entry, name=name: flip(entry / name, 99) for name in ("images.u8", "index.npz", "entry.json")),
        lambda entry: (entry / "entry.json").write_text("[" * 100_000),
        lambda entry: (entry / "entry.json").write_text('{"entry_sha256": 1}'),
        lambda entry: [path.unlink() for path in entry.iterdir()],
    ],
)
def test_a_damaged_entry_is_made_anew(folder, decodings, damage):
    whole = load_dataset(folder).fingerprint
    damage(entry_path())
    assert load_dataset(folder).fingerprint == whole
    assert load_dataset(folder).fingerprint == whole
    assert decodings == [8, 8]


def test_every_byte_of_an_entry_is_verified(folder, decodings):
    load_dataset(folder)
    for path in entry_path().iterdir():
        size = path.stat().st_size
        for place in range(0, size, max(1, size // 12)):
            flip(path, place)
            assert cache.read_entry(entry_path().name) is None
            flip(path, place)
    load_dataset(folder)
    assert decodings == [8]


# The limit


def test_the_least_recently_used_are_removed_where_the_limit_is_passed(folder, monkeypatch, decodings):
    for side in (4, 5, 6):
        load_dataset(folder, options=PictureOptions(image_size=side))
    for path, used in zip((entry.path for entry in reversed(cache.entries())), (100, 300, 200), strict=True):
        os.utime(path, (used, used))  # 4, 6, 5 is the order in which they were used
    sizes = {entry.image_shape[0]: entry.bytes for entry in cache.entries()}
    assert [entry.image_shape[0] for entry in cache.entries()] == [5, 6, 4]
    monkeypatch.setenv("EYEBRIGHT_CACHE_GB", str((sizes[5] + sizes[6]) * 1e-9))
    cache.evict(keep=Path())
    assert [entry.image_shape[0] for entry in cache.entries()] == [5, 6]
    monkeypatch.setenv("EYEBRIGHT_CACHE_GB", "1e-9")
    load_dataset(folder, options=PictureOptions(image_size=7))  # the one in use stays, whatever it takes
    assert [entry.image_shape[0] for entry in cache.entries()] == [7]
    assert decodings == [8] * 4


@pytest.mark.parametrize("limit", ["0", "-1", "nan", "much", ""])
def test_a_limit_that_is_none_is_said_before_the_work(folder, monkeypatch, decodings, limit):
    monkeypatch.setenv("EYEBRIGHT_CACHE_GB", limit)
    with pytest.raises(DataError, match=rf"EYEBRIGHT_CACHE_GB={limit}: give the cache's limit in GB, a number above 0"):
        load_dataset(folder)
    assert decodings == []


# Where they cannot be kept


@pytest.mark.parametrize("place", ["a file", "below a file", "/proc/nowhere"])
def test_a_directory_that_cannot_be_is_named(folder, tmp_path, monkeypatch, place):
    (tmp_path / "file").write_text("")
    directory = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "x"}.get(place, Path(place))
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(directory))
    with pytest.raises(DataError) as error:
        load_dataset(folder)
    assert str(error.value).startswith(f"{directory}: decoded pictures cannot be kept there: ")
    assert "EYEBRIGHT_CACHE" in str(error.value)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from eyebright import load_dataset
from eyebright.errors import EyebrightError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))  # bytes of a file: then writing fails
try:
    load_dataset(Path(sys.argv[1]))
except EyebrightError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def test_a_disk_that_is_full_is_named_and_nothing_is_left(folder):
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, folder], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"DataError: {cache_directory()}: decoded pictures cannot be kept there: File too large"
    )
    assert "Traceback" not in done.stderr
    assert cache.entries() == []
    assert [path for path in cache_directory().iterdir() if path.is_dir()] == []


def as_another_user(action: Callable[[], Dataset]) -> Dataset:
    """Do something as a user who may not write everywhere."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        return action()
    finally:
        os.seteuid(user)


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="this user may read everything")
def test_a_cache_that_may_only_be_read_is_read_and_not_written(folder, decodings, tmp_path):
    first = load_dataset(folder)
    for parent in (*tmp_path.parents[:2], tmp_path, *cache_directory().parents[:2]):
        parent.chmod(0o755)
    cache_directory().chmod(0o555)
    for path in (entry_path(), *entry_path().iterdir()):
        path.chmod(0o555)
    assert as_another_user(lambda: load_dataset(folder)).fingerprint == first.fingerprint
    with pytest.raises(DataError, match="decoded pictures cannot be kept there: Permission denied"):
        as_another_user(lambda: load_dataset(folder, options=PictureOptions(image_size=3)))
    cache_directory().chmod(0o755)
    assert decodings == [8]


def test_without_a_variable_it_is_the_users_cache(monkeypatch):
    monkeypatch.delenv("EYEBRIGHT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_directory().name == "eyebright"
    monkeypatch.setenv("EYEBRIGHT_CACHE", "~/pictures")
    assert cache_directory() == Path("~/pictures").expanduser()


# Several processes


LOAD = """
import sys
from pathlib import Path
from eyebright import load_dataset
print("ready", flush=True)
sys.stdin.readline()
dataset = load_dataset(Path(sys.argv[1]), progress=True)
print(dataset.fingerprint, len(dataset), flush=True)
"""


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], **pipes)
    assert process.stdout.readline() == "ready\n"
    return process


def test_several_processes_that_want_the_same_all_get_it_and_one_entry_is_made(folder):
    processes = [started(LOAD, folder) for _ in range(3)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0] * 3, answers
    assert {out for out, _ in answers} == {f"{load_dataset(folder).fingerprint} 8\n"}
    assert len(cache.entries()) == 1
    assert [
        path.name for path in cache_directory().iterdir() if path.name.startswith(".working-") and path.is_dir()
    ] == []


def test_one_who_has_to_wait_says_so(folder, decodings):
    from eyebright.data.cache_keys import listing_key
    from eyebright.data.containers import open_listing

    with open_listing(folder, PictureOptions()) as listing:
        key = listing_key(listing, PictureOptions())
    with locked(key):
        process = started(LOAD, folder)
        process.stdin.write("go\n")
        process.stdin.flush()
        assert process.stderr.readline() == "Another process reads these pictures: waiting for it.\n"
    out, _ = process.communicate(timeout=120)
    assert out.endswith(" 8\n")


WORK = """
import sys, time
from eyebright.data.workspace import working_directory
with working_directory() as path:
    (path / "half").write_bytes(bytes(1000))
    print("ready", flush=True)
    time.sleep(600)
"""


def test_what_killed_processes_left_is_removed_and_what_others_work_on_stays():
    killed, at_work = started(WORK), started(WORK)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert len(list(cache_directory().glob(".working-*/half"))) == 2
    with working_directory():
        assert len(list(cache_directory().glob(".working-*/half"))) == 1
    at_work.send_signal(signal.SIGKILL)
    at_work.communicate()
    assert remove_leftovers() == 1000
    assert list(cache_directory().iterdir()) == []


def test_an_error_leaves_nothing(folder):
    (folder / "a" / "broken.png").write_bytes(b"no picture")
    with pytest.raises(EyebrightError):
        load_dataset(folder)
    remove_leftovers()
    assert list(cache_directory().iterdir()) == []


def test_what_is_not_the_caches_own_is_neither_listed_nor_removed(folder):
    load_dataset(folder)
    others = [cache_directory() / name for name in ("notes.txt", "0" * 32, "f" * 32, "directory")]
    others[0].write_text("mine")
    for other in others[1:]:
        other.mkdir()
    (others[3] / "entry.json").write_text("{}")
    assert [entry.images for entry in cache.entries()] == [8]
    cache.evict(keep=Path())
    assert all(other.exists() for other in others)


def test_an_entry_says_what_it_was_made_of(folder):
    before = time.time()
    load_dataset(folder)
    (entry,) = cache.entries()
    assert entry.source == str(folder.resolve())
    assert (entry.images, entry.image_shape) == (8, (6, 6, 3))
    assert entry.bytes >= 8 * 6 * 6 * 3
    assert before - 2 <= entry.used <= time.time() + 2
    assert json.loads((entry.path / "entry.json").read_bytes())["class_names"] == ["a", "b"]


def test_of_many_blocks_each_is_verified(folder, decodings, monkeypatch):
    monkeypatch.setattr(cache, "_BLOCK_BYTES", 2 * 6 * 6 * 3)  # of two images
    whole = load_dataset(folder).fingerprint
    for block in range(4):
        flip(entry_path() / "images.u8", block * 2 * 6 * 6 * 3)
        assert load_dataset(folder).fingerprint == whole
        assert len(decodings) == block + 2
    with (entry_path() / "images.u8").open("ab") as file:
        file.write(b"x")
    assert load_dataset(folder).fingerprint == whole
    assert len(decodings) == 6
