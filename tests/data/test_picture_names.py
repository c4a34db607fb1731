"""Names of files and folders: their order, what they mean, how they are shown, and the walk over them."""

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eyebright.data.picture_names import is_picture, natural_key, plain_path, shown_path, split_of, walk
from eyebright.errors import DataError


def write(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")


def test_numbers_in_names_count_as_numbers():
    names = ["b2", "b10", "B1", "a", "10", "9", "a007", "a7b", "ä", "z", "2 b", "2 a", ""]
    expected = ["", "2 a", "2 b", "9", "10", "a", "a007", "a7b", "B1", "b2", "b10", "z", "ä"]
    assert sorted(names, key=natural_key) == expected


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=8))
def test_every_name_has_a_place_and_it_depends_on_nothing_else(names):
    ordered = sorted(names, key=natural_key)
    assert ordered == sorted(names[1:] + names[:1], key=natural_key)
    assert sorted(set(names), key=natural_key) == list(dict.fromkeys(ordered))


def test_a_name_of_thousands_of_digits_has_a_place():
    assert sorted(["9" * 9_999, "1" + "0" * 9_999], key=natural_key)[0] == "9" * 9_999


@pytest.mark.parametrize(
    ("name", "split"),
    [("train", "train"), ("Training", "train"), ("val", "validation"), ("VALID", "validation"), (" dev ", "validation"),
     ("validation", "validation"), ("test", "test"), ("testing", "test"), ("tests", None), ("", None)],
)  # fmt: skip
def test_splits_have_usual_names(name, split):
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("path", "shown"),
    [("a b/ü.jpg", "a b/ü.jpg"), ("a\nb.jpg", r"a\x0ab.jpg"), ("a\x1b[2J.jpg", r"a\x1b[2J.jpg"),
     (os.fsdecode(b"caf\xe9.jpg"), r"caf\xe9.jpg"), ("1\u202fAM.png", "1\u202fAM.png"), ("a\u2028b", r"a\x2028b")],
)  # fmt: skip
def test_a_path_is_shown_in_one_line_that_can_be_written(path, shown):
    assert shown_path(path) == shown
    shown_path(path).encode()


@pytest.mark.parametrize(
    ("path", "plain"),
    [("./a.jpg", "a.jpg"), ("a//b/./c.jpg", "a/b/c.jpg"), ("/a/../b", "/a/../b"), (".", ""), ("a/", "a")],
)
def test_parts_that_lead_nowhere_are_left_out(path, plain):
    assert plain_path(path) == plain


def test_what_is_no_picture_is_counted():
    ignored: Counter[str] = Counter()
    names = [
        "1.JPG",
        "2.jpeg",
        "3.tar",
        "4",
        ".5.jpg",
        "Thumbs.db",
        "thumbs.DB",
        "6.txt",
        "7.txt",
        "8.heic",
        "desktop.ini",
    ]
    assert [name for name in names if is_picture(name, ignored)] == ["1.JPG", "2.jpeg", "8.heic"]
    assert ignored == {".tar files": 1, "files without a suffix": 1, "hidden files": 4, ".txt files": 2}


def test_the_walk_passes_hidden_folders_over_and_counts_them(tmp_path):
    write(tmp_path, "b/2.png", "a/1.png", "0.png", ".git/x.png", "__MACOSX/y.png", "a/@eaDir/z.png", "a/words.txt")
    ignored: Counter[str] = Counter()
    assert [Path(path).relative_to(tmp_path).as_posix() for path in walk(tmp_path, ignored)] == [
        "0.png",
        "a/1.png",
        "b/2.png",
    ]
    assert ignored == {"hidden folders": 3, ".txt files": 1}


@pytest.mark.parametrize("target", [".", "..", "../..", "../other"])
def test_links_are_followed_once_and_never_upwards(tmp_path, target):
    write(tmp_path, "root/cats/1.png", "root/other/2.png")
    (tmp_path / "root" / "cats" / "link").symlink_to(target)
    (tmp_path / "root" / "cats" / "twice").symlink_to(target)
    ignored: Counter[str] = Counter()
    found = [Path(path).name for path in walk(tmp_path / "root" / "cats", ignored)]
    assert found == (["1.png", "2.png"] if target == "../other" else ["1.png"])
    assert ignored == {"links to folders that are read already": 1 if target == "../other" else 2}


def test_a_folder_that_is_a_link_itself_is_walked(tmp_path):
    write(tmp_path, "elsewhere/1.png")
    (tmp_path / "cats").symlink_to("elsewhere")
    assert [Path(path).name for path in walk(tmp_path / "cats", Counter())] == ["1.png"]


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="this user may read everything")
def test_a_folder_that_may_not_be_read_is_an_error_that_names_it(tmp_path):
    write(tmp_path, "cats/closed/1.png")
    closed = tmp_path / "cats" / "closed"
    closed.chmod(0)
    user = os.geteuid()
    for parent in (tmp_path, *list(tmp_path.parents)[:2]):
        parent.chmod(0o755)
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(DataError, match="closed: this directory cannot be read: Permission denied"):
            walk(tmp_path / "cats", Counter())
    finally:
        os.seteuid(user)
        closed.chmod(0o700)
