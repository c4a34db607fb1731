"""From folders, tables and archives to a data set: the same one, in whatever the pictures lie."""

from __future__ import annotations

import csv
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eyebright import load_dataset
from eyebright.data import cache
from eyebright.data.containers import open_listing, packed_files
from eyebright.data.decode import decode_image
from eyebright.data.workspace import cache_directory
from eyebright.errors import DataError, SettingsError
from eyebright.picture_options import PictureOptions

CLASSES = ("bee", "ant 2", "ant 10")
NATURAL = ("ant 2", "ant 10", "bee")


def picture(seed: int, size: tuple[int, int] = (12, 12)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Nine pictures, three a class."""
    for number in range(9):
        path = tmp_path / "pictures" / CLASSES[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number).save(path)
    return tmp_path / "pictures"


def rows_of(folder: Path) -> list[tuple[str, str]]:
    return [(path.relative_to(folder.parent).as_posix(), path.parent.name) for path in sorted(folder.rglob("*.png"))]


def as_table(folder: Path) -> Path:
    table = folder.parent / "table.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows([("File Name", "Class"), *reversed(rows_of(folder))])
    return table


def as_parquet(folder: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = rows_of(folder)
    images = [{"bytes": (folder.parent / path).read_bytes(), "path": Path(path).name} for path, _ in rows]
    table = folder.parent / "table.parquet"
    parquet.write_table(pyarrow.table({"image": images, "label": [label for _, label in rows]}), table)
    return table


def as_zip(folder: Path) -> Path:
    archive = folder.parent / "pictures.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path, label in rows_of(folder):
            file.write(folder.parent / path, f"{label}/{Path(path).name}")
    return archive


def as_tar(folder: Path) -> Path:
    archive = folder.parent / "pictures.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, "pictures")
    return archive


def as_parquet_directory(folder: Path) -> Path:
    """As Hugging Face has it: files in a directory `data`, several of them, and beside it a readme."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    directory = folder.parent / "repository"
    (directory / "data").mkdir(parents=True)
    (directory / "README.md").write_text("words")
    rows = rows_of(folder)
    for part in range(2):
        images = [{"bytes": (folder.parent / path).read_bytes(), "path": None} for path, _ in rows[part::2]]
        table = pyarrow.table({"image": images, "label": [label for _, label in rows[part::2]]})
        parquet.write_table(table, directory / "data" / f"part-{part}.parquet")
    return directory


def as_zipped_table(folder: Path) -> Path:
    """In a folder of its own, with the table beside the folder of the pictures."""
    archive = folder.parent / "table.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path, _ in rows_of(folder):
            file.write(folder.parent / path, f"set/{path}")
        file.write(as_table(folder), "set/labels.csv")
    return archive


def as_folder_with_table(folder: Path) -> Path:
    """Pictures in one folder, which is no class, and a table beside it."""
    directory = folder.parent / "both"
    (directory / "images").mkdir(parents=True)
    with (directory / "labels.tsv").open("w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(("path", "label"))
        for path, label in rows_of(folder):
            shutil.copy(folder.parent / path, directory / "images")
            writer.writerow((f"images/{Path(path).name}", label))
    return directory


CONTAINERS = [as_table, as_parquet, as_zip, as_tar, as_parquet_directory, as_zipped_table, as_folder_with_table]


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_same_pictures_have_the_same_fingerprint_in_whatever_they_lie(container, folder):
    plain = load_dataset(folder)
    packed = load_dataset(container(folder))
    assert plain.class_names == packed.class_names == NATURAL
    assert plain.image_shape == (12, 12, 3)
    assert packed.fingerprint == plain.fingerprint
    assert sorted(path.rpartition("/")[2] for path in plain.paths) == [f"{number}.png" for number in range(9)]


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_second_start_decodes_nothing_and_says_the_same(container, folder, monkeypatch):
    path = container(folder)
    first = load_dataset(path)
    monkeypatch.setattr("eyebright.data.picture_sets.decode_into", None)
    second = load_dataset(path)
    assert (second.fingerprint, second.paths, second.notes) == (first.fingerprint, first.paths, first.notes)
    assert len(cache.entries()) == 1
    assert [path for path in cache_directory().iterdir() if path.name.startswith(".working-")] == []


@pytest.mark.parametrize("container", [as_parquet, as_zip, as_tar, as_parquet_directory])
def test_another_archive_of_the_same_name_is_noticed(container, folder):
    first = load_dataset(path := container(folder))
    (folder / "bee" / "0.png").unlink()
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    second = load_dataset(container(folder))
    assert (len(first), len(second)) == (9, 8)


def test_pixels_labels_and_paths_belong_together(folder):
    dataset = load_dataset(folder)
    for index, path in enumerate(dataset.paths):
        np.testing.assert_array_equal(dataset.images[index], np.asarray(Image.open(folder / path)))
        assert dataset.class_names[dataset.labels[index]] == path.split("/")[0]


def test_the_second_start_reads_the_cache_and_a_changed_picture_is_noticed(folder, monkeypatch):
    first = load_dataset(folder)
    (entry,) = cache.entries()
    monkeypatch.setattr("eyebright.data.picture_sets.decode_into", None)  # the second start decodes nothing
    assert load_dataset(folder).fingerprint == first.fingerprint
    monkeypatch.undo()
    monkeypatch.setenv("EYEBRIGHT_CACHE", str(entry.path.parent))
    picture(99).save(folder / "bee" / "0.png")
    assert load_dataset(folder).fingerprint != first.fingerprint
    assert len(cache.entries()) == 2


@pytest.mark.parametrize("fit", ["crop", "stretch", "pad"])
@pytest.mark.parametrize("colour", ["auto", "grey", "rgb"])
def test_each_image_is_what_decoding_it_alone_gives(tmp_path, fit, colour):
    """So that a picture is the same in training, in predict and in the server."""
    for number, (size, mode) in enumerate([((12, 9), "RGB"), ((70, 33), "RGBA"), ((8, 8), "L"), ((5, 40), "P")]):
        path = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(number, size).convert(mode).save(path)
    options = PictureOptions(image_size="10x7", fit=fit, colour=colour)
    dataset = load_dataset(tmp_path / "pictures", options=options)
    assert dataset.image_shape == (10, 7, 1 if colour == "grey" else 3)
    for image, path in zip(dataset.images, dataset.paths, strict=True):
        np.testing.assert_array_equal(image, decode_image(tmp_path / "pictures" / path, dataset.image_shape, fit))


@pytest.mark.parametrize("modes", [("L", "LA", "1"), ("L", "I;16", "L"), ("L", "RGB", "L")])
def test_pictures_that_are_all_grey_in_their_files_stay_grey(tmp_path, modes):
    for number in range(6):
        path = tmp_path / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = picture(number, (9, 9)).convert("L")
        mode = modes[number % 3]
        deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
        (deep if mode == "I;16" else grey.convert(mode)).save(path)
    dataset = load_dataset(tmp_path / "pictures")
    assert dataset.image_shape == (9, 9, 3 if "RGB" in modes else 1)
    for image, path in zip(dataset.images, dataset.paths, strict=True):
        np.testing.assert_array_equal(image, decode_image(tmp_path / "pictures" / path, dataset.image_shape))


def test_one_picture_of_another_size_brings_all_to_64(folder, monkeypatch):
    monkeypatch.setattr("eyebright.data.pictures._LOOKED_AT", 1)  # it is met while the others are decoded
    assert load_dataset(folder).image_shape == (12, 12, 3)
    picture(1, (12, 13)).save(folder / "bee" / "another.png")
    assert load_dataset(folder).image_shape == (64, 64, 3)


def test_given_splits_are_kept_whatever_their_folders_are_called(folder, tmp_path):
    for split in ("Train", "valid", "testing"):
        shutil.copytree(folder, tmp_path / "split" / split)
    dataset = load_dataset(tmp_path / "split")
    assert {name: len(indices) for name, indices in dataset.splits.items()} == {"train": 9, "validation": 9, "test": 9}


def test_unreadable_pictures_are_named_all_together_and_may_be_excluded(folder, tmp_path):
    (folder / "bee" / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    (folder / "bee" / "empty.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"2 of 11 pictures cannot be read:\n  bee/broken.jpg: .*\n  bee/empty.png: "):
        load_dataset(folder)
    (tmp_path / "out.txt").write_text("bee/broken.jpg\n# a comment\nbee/empty.png\n")
    dataset = load_dataset(folder, options=PictureOptions(exclude=str(tmp_path / "out.txt")))
    assert len(dataset) == 9
    assert dataset.notes == (f"2 pictures left out by {tmp_path / 'out.txt'}.",)


def test_pictures_with_the_same_pixels_stay_on_one_side_of_a_split(folder):
    shutil.copy(folder / "bee" / "0.png", folder / "bee" / "copy.png")
    dataset = load_dataset(folder)
    twins = [dataset.paths.index(path) for path in ("bee/0.png", "bee/copy.png")]
    assert dataset.groups is not None
    assert set(np.flatnonzero(dataset.groups >= 0)) == set(twins)


def test_names_that_are_no_utf_8_and_lines_in_them_go_through(folder):
    odd = folder / "bee" / os.fsdecode(b"caf\xe9\n.png")
    (folder / "bee" / "0.png").rename(odd)
    dataset = load_dataset(folder)
    assert r"bee/caf\xe9\x0a.png" in dataset.paths
    assert load_dataset(folder).paths == dataset.paths


def test_forms_of_unicode_do_not_part_what_is_one(folder, tmp_path):
    """A Mac writes é as two characters, and so do its archives."""
    (folder / "bee").rename(folder / "caf\u00e9")
    archive = as_zip(folder)
    first = load_dataset(folder)
    (folder / "caf\u00e9").rename(folder / "cafe\u0301")
    assert load_dataset(folder).class_names == load_dataset(archive).class_names == ("ant 2", "ant 10", "caf\u00e9")
    assert load_dataset(folder).fingerprint == first.fingerprint


# What lies in a directory


def test_a_table_beside_the_folders_of_classes_is_left_aside_and_that_is_said(folder):
    (folder / "labels.csv").write_text("image,label\nbee/0.png,x\nant 2/1.png,y\n")
    dataset = load_dataset(folder)
    assert len(dataset) == 9
    assert dataset.notes[0] == "labels.csv: not read, as the folders are the classes. To use a table, give its path."
    by_table = load_dataset(folder, options=PictureOptions(label_column="label"))
    assert by_table.class_names == load_dataset(folder / "labels.csv").class_names == ("x", "y")


def test_folders_of_splits_without_classes_are_read_by_the_table(folder, tmp_path):
    for split, name in (("train", "bee"), ("test", "ant 2")):
        shutil.copytree(folder / name, tmp_path / "set" / split)
    rows = [(path.relative_to(tmp_path / "set"), path.stem) for path in sorted((tmp_path / "set").rglob("*.png"))]
    lines = [f"{path},{number % 2},{path.parent}\n" for number, (path, _) in enumerate(rows)]
    (tmp_path / "set" / "labels.csv").write_text("path,label,split\n" + "".join(lines))
    dataset = load_dataset(tmp_path / "set")
    assert {name: len(places) for name, places in dataset.splits.items()} == {"train": 3, "test": 3}


def test_which_of_several_tables_is_asked(folder, tmp_path):
    directory = as_folder_with_table(folder)
    (directory / "more.csv").write_text("image,label\n")
    (directory / "._more.csv").write_bytes(b"of a Mac")
    with pytest.raises(DataError, match=r"several tables \(labels\.tsv, more\.csv\)\. Give the path of one"):
        load_dataset(directory)


@pytest.mark.parametrize("content", [{}, {"readme.txt": "words"}, {"a/readme.txt": "words", "b/c/x.txt": "words"}])
def test_a_directory_of_nothing_is_named(tmp_path, content):
    for name, text in content.items():
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_text(text)
    (tmp_path / "set").mkdir(exist_ok=True)
    with pytest.raises(DataError, match=r"set: no data set is recognised in it\. Recognised are: folders of pictures"):
        load_dataset(tmp_path / "set")


def test_what_is_wrong_in_an_archive_is_named_as_in_the_archive(folder, tmp_path):
    (folder / "bee" / "broken.png").write_bytes(b"no picture")
    archive = as_zip(folder)
    with pytest.raises(
        DataError, match=r"pictures\.zip: 1 of 10 pictures cannot be read:\n  bee/broken\.png: no picture"
    ):
        load_dataset(archive)
    (tmp_path / "out.txt").write_text("bee/broken.png\n")
    excluded = load_dataset(archive, options=PictureOptions(exclude=str(tmp_path / "out.txt")))
    assert len(excluded) == 9
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("labels.csv", "image,label\n../x.png,a\n")
    with pytest.raises(
        DataError, match=r"pictures\.zip: labels\.csv, line 2: \.\./x\.png leads out of the directory"
    ) as error:
        load_dataset(archive)
    assert ".working-" not in str(error.value)


def test_a_list_of_exclusions_that_is_not_there_or_was_changed_is_noticed(folder, tmp_path):
    archive, out = as_zip(folder), tmp_path / "out.txt"
    options = PictureOptions(exclude=str(out))
    with pytest.raises(DataError, match=r"out\.txt: the list of exclusions cannot be read: No such file"):
        load_dataset(archive, options=options)
    for many in (1, 2):
        out.write_text("".join(f"bee/{number}.png\n" for number in (0, 3)[:many]))
        assert len(load_dataset(archive, options=options)) == 9 - many


def test_pictures_that_a_table_names_and_that_are_not_there_are_named_together(folder):
    table = as_table(folder)
    (folder / "bee" / "0.png").unlink()
    (folder / "bee" / "3.png").unlink()
    with pytest.raises(
        DataError, match=r"table\.csv: 2 of 9 pictures cannot be read:\n  pictures/bee/0\.png: No such file"
    ):
        load_dataset(table)


def test_a_picture_beside_parquet_that_changes_is_noticed(folder):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = folder.parent / "paths.parquet"
    rows = rows_of(folder)
    parquet.write_table(pyarrow.table({"image": [p for p, _ in rows], "label": [c for _, c in rows]}), table)
    first = load_dataset(table)
    assert load_dataset(table).fingerprint == first.fingerprint
    picture(99).save(folder / "bee" / "0.png")
    assert load_dataset(table).fingerprint != first.fingerprint
    assert len(cache.entries()) == 2


@pytest.mark.parametrize("name", ["pipe.zip", "pipe.csv", "pipe.parquet", "pipe.tar.gz"])
def test_a_pipe_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name}: this is no regular file"):
        load_dataset(tmp_path / name)


def test_a_picture_that_is_a_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / "bee" / "pipe.png")
    assert stat.S_ISFIFO((folder / "bee" / "pipe.png").stat().st_mode)
    with pytest.raises(DataError, match=r"bee/pipe\.png: this is no regular file, not a picture"):
        load_dataset(folder)


def test_broken_links_are_named(folder):
    (folder / "bee" / "gone.png").symlink_to("nowhere.png")
    with pytest.raises(DataError, match=r"bee/gone\.png: No such file"):
        load_dataset(folder)


def test_groups_by_a_pattern_and_by_a_column_contradict_each_other(folder):
    with pytest.raises(SettingsError, match="--group-regex: the groups come from --group-column already"):
        load_dataset(folder, options=PictureOptions(group_regex="x", group_column="y"))


def test_groups_are_read_off_paths(folder):
    dataset = load_dataset(folder, options=PictureOptions(group_regex=r"(\d+ ?|bee)/"))
    groups = dict(zip(dataset.paths, dataset.groups.tolist(), strict=True))
    assert {groups[path] for path in dataset.paths if path.startswith("bee")} == {2}
    assert sorted(groups.values()) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_classes_that_are_alike_or_alone_are_refused_before_anything_is_decoded(folder, monkeypatch):
    monkeypatch.setattr("eyebright.data.picture_sets.decode_into", None)
    shutil.copytree(folder / "bee", folder / "Bee")
    with pytest.raises(DataError, match="the classes 'Bee' and 'bee' differ in case alone"):
        load_dataset(folder)
    shutil.copytree(folder / "bee", folder.parent / "alone" / "bee")
    with pytest.raises(DataError, match="all pictures are of the class 'bee'"):
        load_dataset(folder.parent / "alone")


def test_what_cannot_be_learnt_from_can_still_be_looked_at(folder):
    shutil.copytree(folder / "bee", folder / "Bee")
    (folder / "empty").mkdir()
    with open_listing(folder, PictureOptions(), checked=False) as listing:
        assert listing.empty_classes == ("empty",)
        assert set(listing.class_names) == {"Bee", "bee", "ant 2", "ant 10"}
        assert all(Path(picture.file).is_file() for picture in listing.pictures)


def test_the_files_of_an_archive_are_there_as_long_as_it_is_open(folder):
    archive = as_zip(folder)
    assert packed_files(archive, PictureOptions()) == [archive]
    assert packed_files(folder, PictureOptions()) == []
    with open_listing(archive, PictureOptions()) as listing:
        files = [Path(picture.file) for picture in listing.pictures]
        assert all(file.is_file() for file in files)
        assert all(map(listing.is_copy, listing.pictures))
    assert not any(file.exists() for file in files)


def test_what_was_passed_over_is_told_in_short(folder):
    for number in range(9):
        (folder / "bee" / f"x.k{number}").touch()
        (folder / "bee" / f"{number}.txt").touch()
    assert load_dataset(folder).notes == (
        "Passed over: 9 .txt files, 1 .k0 file, 1 .k1 file, 1 .k2 file, 1 .k3 file, 5 files of other kinds.",
    )


def test_progress_is_shown_on_standard_error(folder, capsys):
    load_dataset(folder, progress=True)
    assert capsys.readouterr().out == ""
