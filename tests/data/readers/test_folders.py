"""Folders of pictures: which of them are classes and splits, what is passed over, and what is refused."""

import os
from pathlib import Path

import pytest

from eyebright.data.readers.folders import list_folder
from eyebright.errors import DataError


@pytest.fixture
def make(tmp_path):
    """Write files, empty ones: nothing is decoded here."""

    def write(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        return tmp_path

    return write


def listed(root: Path) -> list[tuple[str, str, str]]:
    """(path, class, split) of each picture, in order."""
    found = list_folder(root)
    assert found is not None
    assert all(picture.file == str(root / picture.path) for picture in found.pictures)
    return sorted((picture.path, picture.class_name, picture.split) for picture in found.pictures)


def test_a_folder_is_a_class_and_what_is_nested_in_it_belongs_to_it(make):
    root = make("cats/1.jpg", "cats/black/young/2.png", "dogs/1.jpg", "dogs/words.txt")
    assert listed(root) == [
        ("cats/1.jpg", "cats", ""),
        ("cats/black/young/2.png", "cats", ""),
        ("dogs/1.jpg", "dogs", ""),
    ]
    assert list_folder(root).name == root.name


@pytest.mark.parametrize("validation", ["val", "valid", "Validation", "dev"])
def test_splits_are_known_by_their_names(make, validation):
    root = make(
        "train/a/1.jpg",
        "train/b/1.jpg",
        f"{validation}/a/2.jpg",
        f"{validation}/b/2.jpg",
        "Test/a/3.jpg",
        "Test/b/x/3.jpg",
    )
    assert {(path.split("/")[0], split) for path, _, split in listed(root)} == {
        ("train", "train"), (validation, "validation"), ("Test", "test")
    }  # fmt: skip
    assert {name for _, name, _ in listed(root)} == {"a", "b"}


def test_a_class_may_be_called_as_a_split_is(make):
    root = make("car/1.jpg", "train/1.jpg", "plane/1.jpg")  # trains, on rails
    assert {name for _, name, _ in listed(root)} == {"car", "train", "plane"}


def test_a_single_folder_is_looked_through(make):
    root = make("archive/pictures/cats/1.jpg", "archive/pictures/dogs/1.jpg", "archive/readme.txt", "__MACOSX/x.jpg")
    assert listed(root) == [("archive/pictures/cats/1.jpg", "cats", ""), ("archive/pictures/dogs/1.jpg", "dogs", "")]
    assert list_folder(root).ignored == {".txt files": 1, "hidden folders": 1}


def test_what_is_no_picture_is_passed_over_and_counted(make):
    root = make(
        "cats/1.jpg", "cats/.DS_Store", "cats/Thumbs.db", "cats/1.xml", "cats/._1.jpg", "dogs/1.jpg",
        "dogs/__MACOSX/1.jpg", "dogs/notes", "labels.txt", ".cache/1.jpg",
    )  # fmt: skip
    assert listed(root) == [("cats/1.jpg", "cats", ""), ("dogs/1.jpg", "dogs", "")]
    assert list_folder(root).ignored == {
        "hidden files": 3, ".xml files": 1, "hidden folders": 2, "files without a suffix": 1, ".txt files": 1
    }  # fmt: skip


def test_where_no_picture_is_there_is_no_listing(make):
    assert list_folder(make("a/readme.txt", "b/.jpg")) is None


def test_the_path_may_be_relative_and_the_name_is_the_directorys(make, monkeypatch):
    root = make("cats/1.jpg", "dogs/1.jpg")
    monkeypatch.chdir(root)
    found = list_folder(Path())
    assert [picture.path for picture in found.pictures] == ["cats/1.jpg", "dogs/1.jpg"]
    assert found.name == root.name
    monkeypatch.chdir(root / "cats")
    assert [picture.path for picture in list_folder(Path("..")).pictures] == ["cats/1.jpg", "dogs/1.jpg"]


def test_names_that_are_no_utf_8_are_read_and_can_be_shown(tmp_path):
    for folder in ("cats", "dogs"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / os.fsdecode(b"caf\xe9\n.jpg")).write_bytes(b"")
    found = list_folder(tmp_path)
    assert [picture.path for picture in found.pictures] == [r"cats/caf\xe9\x0a.jpg", r"dogs/caf\xe9\x0a.jpg"]
    assert all(Path(picture.file).is_file() for picture in found.pictures)


# What is refused


@pytest.mark.parametrize("empty", ["c/readme.txt", "c/.hidden.jpg", "c/nested/x.txt"])
def test_an_empty_class_is_named(make, empty):
    found = list_folder(make("a/1.jpg", "b/1.jpg", empty))
    assert found.empty_classes == ("c",)
    with pytest.raises(DataError, match="the class 'c' has no picture"):
        found.check()


def test_an_empty_class_of_a_split_is_named(make):
    root = make("train/a/1.jpg", "train/b/1.jpg", "test/a/1.jpg", "test/b/x.txt")
    assert list_folder(root).empty_classes == ("test/b",)


def test_pictures_of_no_class_are_refused(make):
    with pytest.raises(DataError, match=r"of which class are the pictures that lie in it \(2: x\.jpg …\)"):
        list_folder(make("a/1.jpg", "b/1.jpg", "x.jpg", "y.jpg"))
    root = make("s/train/a/1.jpg", "s/train/b/1.jpg", "s/train/z.jpg") / "s"
    with pytest.raises(DataError, match=r"train: 1 pictures lie beside the classes' folders \(z\.jpg …\)"):
        list_folder(root)


def test_splits_without_classes_are_refused(make):
    with pytest.raises(DataError, match=r"of which classes are the pictures in test, train.*test/CLASS/"):
        list_folder(make("train/1.jpg", "train/2.jpg", "test/3.jpg"))


def test_classes_beside_splits_are_refused(make):
    with pytest.raises(DataError, match="extra: 1 pictures, and it lies beside test, train: is it a split or a class"):
        list_folder(make("train/a/1.jpg", "test/a/1.jpg", "extra/1.jpg"))
    with pytest.raises(DataError, match="two of the folders train, val, valid are the same split"):
        list_folder(make("other/train/a/1.jpg", "other/val/a/1.jpg", "other/valid/a/1.jpg") / "other")


def test_a_link_to_the_whole_is_no_class(make):
    root = make("a/1.jpg", "b/1.jpg")
    (root / "loop").symlink_to(".")
    found = list_folder(root)
    assert found.empty_classes == ("loop",)
    assert {picture.class_name for picture in found.pictures} == {"a", "b"}


def test_a_directory_of_nothing_but_itself_ends(make):
    root = make("readme.txt")
    (root / "a").symlink_to(".")
    assert list_folder(root) is None


@pytest.mark.parametrize("closed", [".", "a", "a/b"])
def test_a_directory_that_may_not_be_read_is_named(make, closed):
    root = make("r/a/b/1.jpg", "r/c/1.jpg") / "r"
    user, mode = os.geteuid(), (root / closed).stat().st_mode
    for parent in list(root.parents)[:3]:
        parent.chmod(0o755)
    (root / closed).chmod(0)
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(DataError, match=r"this directory cannot be read: Permission denied"):
            list_folder(root)
    finally:
        os.seteuid(user)
        (root / closed).chmod(mode)
