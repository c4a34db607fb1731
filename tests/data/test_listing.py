"""What is said of the pictures of a data set before one of them is decoded."""

import os
from pathlib import Path

import pytest

from eyebright.data.listing import ListedPicture, Listing, read_exclusions
from eyebright.errors import DataError

ROOT = Path("data")


def listing(*paths: str, **attributes: object) -> Listing:
    """Pictures, each of the class that its folder is called."""
    pictures = [ListedPicture(path, str(ROOT / path), path.rpartition("/")[0]) for path in paths]
    return Listing("data", ROOT, tuple(pictures), **attributes)


def test_classes_come_in_natural_order():
    assert listing("b/1", "a10/1", "a9/1", "A8/1", "b/2").class_names == ("A8", "a9", "a10", "b")


# What is left out


@pytest.mark.parametrize("written", ["cats/1.jpg", "./cats//1.jpg", "cats\\1.jpg", "data/cats/1.jpg", "ABSOLUTE"])
def test_a_picture_is_left_out_however_its_path_is_written(written):
    if written == "ABSOLUTE":
        written = str(Path("data/cats/1.jpg").absolute())
    kept = listing("cats/1.jpg", "cats/2.jpg", "dogs/1.jpg").without([written], "out.txt")
    assert [picture.path for picture in kept.pictures] == ["cats/2.jpg", "dogs/1.jpg"]
    assert kept.notes == ("1 pictures left out by out.txt.",)


def test_what_is_not_there_and_classes_that_vanish_are_said():
    whole = listing("cats/1.jpg", "dogs/1.jpg", "dogs/2.jpg", notes=("A note.",))
    kept = whole.without(["cats/1.jpg", "cow/1.jpg", *(f"{n}.jpg" for n in range(9))], "out.txt")
    assert kept.notes == (
        "A note.",
        "1 pictures left out by out.txt.",
        "out.txt leaves no picture of cats: no class of that name is learnt.",
        "out.txt: no picture of these data is called 0.jpg, 1.jpg, 2.jpg, 3.jpg, 4.jpg and 5 more.",
    )


def test_a_list_of_exclusions_has_comments_a_byte_order_mark_and_any_line_ends(tmp_path):
    path = tmp_path / "out.txt"
    path.write_bytes(b"\xef\xbb\xbfa.jpg\r\n# a comment\n\n  b c.jpg  \n./#1.jpg\ncaf\xe9.jpg")
    assert read_exclusions(path) == ["a.jpg", "b c.jpg", "./#1.jpg", os.fsdecode(b"caf\xe9.jpg")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        ("", "cannot be read: Is a directory"),
        ("a.jpg\n".encode("utf-16"), "no text in UTF-8"),
    ],
)
def test_a_list_of_exclusions_that_is_none_is_named(tmp_path, content, message):
    path = tmp_path / "out.txt"
    if content == "":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"out\.txt: the list of exclusions (is )?{message}"):
        read_exclusions(path)


# Groups


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [(r"p\d+", ["p1", "p1", "p2"]), (r"(p)\d+", ["p", "p", "p"]), (r"(?:cats|dogs)/(p\d)_(\d)", ["p1", "p1", "p2"])],
)
def test_groups_are_read_off_the_paths(pattern, groups):
    grouped = listing("cats/p1_1.jpg", "dogs/p1_2.jpg", "dogs/p2_1.jpg").grouped_by(pattern)
    assert [picture.group for picture in grouped.pictures] == groups


@pytest.mark.parametrize("pattern", [r"(p1)", r"p1", r"dogs/(p1)?", r"()"])
def test_a_picture_of_no_group_is_an_error(pattern):
    with pytest.raises(DataError, match=r"data: --group-regex .* matches nothing in .*dogs/x\.jpg"):
        listing("cats/p1_1.jpg", "dogs/x.jpg").grouped_by(pattern)


# What nothing can be learnt from


@pytest.mark.parametrize(
    ("one", "other", "how"),
    [
        ("Cat", "cat", "case"),
        ("caf\u00e9", "cafe\u0301", "the form of their Unicode characters"),
        ("cat", "cat ", "spaces around them"),
        ("m2", "m\u00b2", "the form of their characters"),
        ("Stra\u00dfe", "STRASSE", "case"),
    ],
)
def test_classes_that_look_alike_are_named(one, other, how):
    with pytest.raises(DataError, match=f"data: the classes .* differ in {how} alone"):
        listing(f"{one}/1", f"{other}/1", "z/1").check()


@pytest.mark.parametrize("name", [" ", "a\tb", "a\x1bb", os.fsdecode(b"caf\xe9")])
def test_a_class_that_cannot_be_printed_is_named(name):
    with pytest.raises(DataError, match=r"data: the class name .* is empty or has characters that cannot be printed"):
        listing(f"{name}/1", "z/1").check()


def test_no_pictures_a_single_class_and_an_empty_one_are_errors():
    with pytest.raises(DataError, match=r"data: no picture is in it \(passed over: 3 \.txt files\)"):
        listing(ignored={".txt files": 3}).check()
    with pytest.raises(DataError, match="data: all pictures are of the class 'a'; a classifier needs at least two"):
        listing("a/1", "a/2").check()
    with pytest.raises(DataError, match=r"data: the class 'train/c' has no picture: .* \(2 such folders\)"):
        listing("a/1", "b/2", empty_classes=("train/c", "test/c")).check()
    listing("a/1", "b/2").check()


def test_class_names_come_in_one_form():
    named = listing("cafe\u0301/1", " tea /2", "milk/3").with_plain_names()
    assert [picture.class_name for picture in named.pictures] == ["caf\u00e9", "tea", "milk"]
    assert [picture.path for picture in named.pictures] == ["cafe\u0301/1", " tea /2", "milk/3"]
