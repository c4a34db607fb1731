"""Tables of pictures: CSV, TSV and Parquet, as people and programs write them, and what is refused."""

import json
import os
from pathlib import Path

import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from eyebright.data.listing import Listing
from eyebright.data.readers.tables import list_table
from eyebright.errors import DataError
from eyebright.picture_options import PictureOptions

PLAIN = PictureOptions()


@pytest.fixture
def write(tmp_path):
    """Write a table beside a few files that stand for pictures: nothing is decoded here."""
    for name in ("a.jpg", "b.jpg", "cats/c.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")

    def write(content: str | bytes | pyarrow.Table, name: str = "table.csv") -> Path:
        path = tmp_path / name
        if isinstance(content, pyarrow.Table):
            parquet.write_table(content, path)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


@pytest.fixture
def scratch(tmp_path):
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def rows(listing: Listing) -> list[tuple[str, str]]:
    assert all(Path(picture.file).is_file() for picture in listing.pictures)
    return [(picture.path, picture.class_name) for picture in listing.pictures]


AB = [("a.jpg", "x"), ("b.jpg", "y")]


# Text


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("image,label\na.jpg,x\nb.jpg,y\n", "table.csv"),
        ("\ufeffimage,label\r\na.jpg,x\r\nb.jpg,y\r\n", "table.csv"),
        ("image,label\ra.jpg,x\rb.jpg,y", "table.csv"),
        ("image;label\na.jpg;x\nb.jpg;y", "table.CSV"),
        ("image\tlabel\na.jpg\tx\nb.jpg\ty\n", "table.csv"),
        ("image\tlabel\na.jpg\tx\nb.jpg\ty\n", "table.tsv"),
        (' File-Name , CLASS \n "a.jpg", x\n\n  \n, \n"b.jpg"," y "\n'.replace(' "a.jpg"', '"a.jpg"'), "table.csv"),
        ('id,note,image,label\n1,"two\nlines",./a.jpg,x\n2,"a ""quoted"", word",.//b.jpg,y\n', "table.csv"),
        ("image,label,,\na.jpg,x,,\nb.jpg,y,,\n", "table.csv"),
    ],
    ids=["plain", "BOM and CRLF", "CR", "semicolons", "tabs", "TSV", "spaces", "quoted lines", "empty columns"],
)
def test_text_tables_are_read_as_programs_write_them(write, content, name):
    assert rows(list_table(write(content, name), PLAIN)) == AB


def test_characters_that_end_lines_elsewhere_do_not_end_rows(write):
    table = write("image,label,note\na.jpg,x,one\x0bb\x0cc\x1cd\u2028e\x85f\nb.jpg,y,\n")
    assert rows(list_table(table, PLAIN)) == AB


def test_windows_separators_lead_to_the_file_and_a_file_with_a_backslash_stays_itself(write, tmp_path):
    assert rows(list_table(write("image,label\ncats\\c.jpg,x\n.\\a.jpg,y\n"), PLAIN)) == [
        ("cats/c.jpg", "x"),
        ("a.jpg", "y"),
    ]
    (tmp_path / "cats\\c.jpg").write_bytes(b"")
    assert rows(list_table(write("image,label\ncats\\c.jpg,x\n"), PLAIN)) == [("cats\\c.jpg", "x")]


def test_columns_may_be_named_and_groups_and_splits_are_read(write):
    table = write("who,what,where,part\np1,x,a.jpg,Train\np1,y,b.jpg,val\n,y,cats/c.jpg,TEST\n")
    options = PictureOptions(image_column="where", label_column="what", group_column="who", split_column="part")
    found = list_table(table, options)
    assert [(p.split, p.group) for p in found.pictures] == [("train", "p1"), ("validation", "p1"), ("test", "")]
    assert (found.name, found.root) == ("table", table)


def test_a_choice_between_columns_is_said(write):
    found = list_table(write("image,class,species,label\na.jpg,1,2,x\nb.jpg,1,2,y\n"), PLAIN)
    assert rows(found) == AB
    assert found.notes == (
        "table.csv: the column 'label' is taken for the label, not class, species (--label-column says another).",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"which column is the image\? Its first line, or schema, has none"),
        ("\n", "which column is the image"),
        ("a,b\n1,2\n", r"which column is the image\? .* has a, b\. Say it with --image-column"),
        ("image,b\na.jpg,2\n", "which column is the label"),
        ("image,image,label\na.jpg,b.jpg,x\n", "two columns are called 'image'"),
        ("image,label\na.jpg\n", r"line 2: 1 cells where the first line has 2"),
        ("image,label\na.jpg,x\nb.jpg,y,z\n", r"line 3: 3 cells where the first line has 2"),
        ('image,note,label\na.jpg,"1\n2",x\nb.jpg,\n', r"line 4: 2 cells"),
        ('image,label\na.jpg,"x\nb.jpg,y\n', "line 2: unexpected end of data"),
        ('image,label\n"a".jpg,x\n', "line 2: ',' expected after '\"'"),
        ("image,label\na.jpg,\n", "line 2: no class in the column 'label'"),
        ("image,label\n,x\n", "line 2: no picture in the column 'image'"),
        ("image,label\n.,x\n", "line 2: '.' in the column 'image' is no path of a picture"),
        ("image,label\na\0.jpg,x\n", "line 2: .* is no path of a picture"),
        (
            "image,label,split\na.jpg,x,train\nb.jpg,x,\n",
            "line 3: '' in the column 'split' is none of train, validation",
        ),
        ("image,label\na.jpg,x\nb.jpg,x\n./a.jpg,x\n", r"line 4: a\.jpg stands in .*line 2, too"),
        ("image,label\ncats/c.jpg,x\ncats/../cats/c.jpg,x\n", r"line 3: .* stands in .*line 2, too"),
        ("image,label\n" + "x" * 200_000 + ",y\n", "line 2: field larger than field limit"),
        (b"image,label\ncaf\xe9.jpg,x\n", r"no text in UTF-8 \(byte 15\)"),
        ("image,label\n".encode("utf-16"), "no text in UTF-8"),
    ],
)
def test_a_mistake_is_named_with_its_place(write, content, message):
    with pytest.raises(DataError, match=rf"table\.csv[:,] {message}"):
        list_table(write(content), PLAIN)


def test_a_column_that_is_not_there_is_named_with_the_nearest(write):
    with pytest.raises(DataError, match=r"it has no column 'lable'\. Did you mean 'label'\?"):
        list_table(write("image,label\na.jpg,x\n"), PictureOptions(label_column="lable"))


def test_a_table_without_rows_has_no_pictures(write):
    with pytest.raises(DataError, match=r"table\.csv: no picture is in it"):
        list_table(write("image,label\n"), PLAIN).check()


@pytest.mark.parametrize("kind", ["missing.csv", "directory", "pipe.csv"])
def test_what_is_no_file_is_no_table(tmp_path, kind):
    if kind == "pipe.csv":
        os.mkfifo(tmp_path / kind)
    (tmp_path / "directory").mkdir()
    with pytest.raises(DataError, match="missing" if kind == "missing.csv" else "no regular file|no picture"):
        list_table(tmp_path / kind, PLAIN).check()


@settings(deadline=None, max_examples=200)
@given(st.one_of(st.text(st.characters(codec="utf-8"), max_size=60), st.binary(max_size=60)), st.booleans())
def test_every_text_is_a_table_or_a_data_error(tmp_path_factory, content, with_names):
    table = tmp_path_factory.mktemp("table") / "table.csv"
    encoded = content.encode() if isinstance(content, str) else content
    table.write_bytes(b"image,label\n" * with_names + encoded)
    try:
        list_table(table, PLAIN)
    except DataError as error:
        assert "table.csv" in str(error)  # noqa: PT017 - most are no table


# Where paths may lead


@pytest.mark.parametrize(
    "path", ["../secret.jpg", "cats/../../secret.jpg", "ABSOLUTE", "link/secret.jpg", "secret-link.jpg"]
)
def test_a_path_that_leads_out_is_refused_unless_it_is_allowed(tmp_path, path):
    root = tmp_path / "root"
    (root / "cats").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(b"")
    (root / "link").symlink_to("..")
    (root / "secret-link.jpg").symlink_to("../secret.jpg")
    written = str(tmp_path / "secret.jpg") if path == "ABSOLUTE" else path
    table = root / "table.csv"
    table.write_text(f"image,label\n{written},x\n")
    with pytest.raises(DataError, match=r"table\.csv, line 2: .* leads out of the directory .*--allow-outside"):
        list_table(table, PLAIN)
    assert rows(list_table(table, PictureOptions(allow_outside=True))) == [(written, "x")]


def test_absolute_paths_and_links_within_the_directory_are_fine(tmp_path, write):
    (tmp_path / "more").symlink_to("cats")
    table = write(f"image,label\n{tmp_path}/a.jpg,x\nmore/c.jpg,y\n")
    assert rows(list_table(table, PLAIN)) == [(f"{tmp_path}/a.jpg", "x"), ("more/c.jpg", "y")]


# Parquet


def hugging_face(table: pyarrow.Table, names: list[str]) -> pyarrow.Table:
    """With the metadata that the library `datasets` writes beside a column of class labels."""
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def embedded(*contents: bytes | None, labels: object = None, paths: list[str | None] | None = None) -> pyarrow.Table:
    images = [{"bytes": c, "path": p} for c, p in zip(contents, paths or [None] * len(contents), strict=True)]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    return pyarrow.table({"image": pyarrow.array(images, kind), "label": labels or list(range(len(contents)))})


def test_pictures_in_a_table_are_read_with_the_names_of_their_classes(write, scratch):
    table = write(hugging_face(embedded(b"one", b"two", paths=["1.png", None]), ["cat", "dog"]), "t.parquet")
    found = list_table(table, PLAIN, scratch)
    assert rows(found) == [("t.parquet, row 1: 1.png", "cat"), ("t.parquet, row 2: picture", "dog")]
    assert [Path(picture.file).read_bytes() for picture in found.pictures] == [b"one", b"two"]
    assert all(map(found.is_copy, found.pictures))


def test_a_column_of_bytes_is_one_of_pictures(write, scratch):
    table = write(pyarrow.table({"image": [b"one", b"two"], "label": ["x", "y"]}), "t.parquet")
    found = list_table(table, PLAIN, scratch)
    assert [Path(picture.file).read_bytes() for picture in found.pictures] == [b"one", b"two"]


def test_paths_in_parquet_are_those_of_files(write, scratch):
    paths = ["a.jpg", "./b.jpg"]
    as_text = write(pyarrow.table({"path": paths, "class": ["x", "y"]}), "1.parquet")
    as_struct = write(embedded(None, None, labels=["x", "y"], paths=paths), "2.parquet")
    for table in (as_text, as_struct):
        found = list_table(table, PLAIN, scratch)
        assert rows(found) == AB
        assert not any(map(found.is_copy, found.pictures))


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([1, 0], ["1", "0"]),
        ([True, False], ["True", "False"]),
        ([b"x", b"y"], ["x", "y"]),
        ([0.5, 2.0], ["0.5", "2.0"]),
    ],
)
def test_labels_of_every_simple_type_become_names(write, scratch, labels, names):
    table = write(embedded(b"1", b"2", labels=labels), "t.parquet")
    assert [picture.class_name for picture in list_table(table, PLAIN, scratch).pictures] == names


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (embedded(b"1", b"2", labels=["x", None]), "row 2: no class in the column 'label'"),
        (embedded(b"1", b"2", labels=[1.0, float("nan")]), "row 2: no class in the column 'label'"),
        (embedded(b"1", labels=[["x", "y"]]), "row 1: the column 'label' has lists"),
        (
            hugging_face(embedded(b"1", b"2", labels=[0, -1]), ["a", "b"]),
            "row 2: -1 in the column 'label' names no class",
        ),
        (
            hugging_face(embedded(b"1", b"2", labels=[0, 2]), ["a", "b"]),
            "row 2: 2 in the column 'label' names no class",
        ),
        (embedded(None, b"2", labels=["x", "y"]), "row 1: no picture in the column 'image'"),
        (pyarrow.table({"image": [1], "label": ["x"]}), "row 1: '1' in the column 'image' is no path"),
        (pyarrow.table({"a": [1]}), "which column is the image"),
    ],
)
def test_a_mistake_in_parquet_is_named_with_its_row(write, scratch, table, message):
    with pytest.raises(DataError, match=rf"t\.parquet[:,] {message}"):
        list_table(write(table, "t.parquet"), PLAIN, scratch)


def test_values_that_are_no_numbers_belong_to_no_group(write, scratch):
    table = embedded(b"1", b"2", b"3", labels=["x", "x", "y"]).append_column("who", [[1.0, float("nan"), None]])
    found = list_table(write(table, "t.parquet"), PictureOptions(group_column="who"), scratch)
    assert [picture.group for picture in found.pictures] == ["1.0", "", ""]


def test_a_directory_of_parquet_files_has_the_splits_of_their_names(write, tmp_path, scratch):
    for number, name in enumerate(
        ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001", "validation")
    ):
        write(embedded(b"%d" % number, labels=["x"]), f"scratch/{name}.parquet")
    (tmp_path / "copies").mkdir()
    found = list_table(scratch, PLAIN, tmp_path / "copies")
    assert sorted((p.split, Path(p.file).read_bytes()) for p in found.pictures) == [
        ("test", b"2"), ("train", b"0"), ("train", b"1"), ("validation", b"3")
    ]  # fmt: skip
    write(embedded(b"9", labels=["x"]), "scratch/other.parquet")
    with pytest.raises(DataError, match=r"'other\.parquet' does not\. Rename it"):
        list_table(scratch, PLAIN, tmp_path / "copies")


def test_damaged_parquet_is_a_data_error_whatever_is_damaged(write, scratch):
    table = write(
        hugging_face(embedded(*[bytes([n]) * 500 for n in range(9)]), [str(n) for n in range(9)]), "t.parquet"
    )
    content = table.read_bytes()
    read = 0
    for place in range(0, len(content), 41):
        for damaged in (content[:place], content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]):
            table.write_bytes(damaged)
            try:
                read += len(list_table(table, PLAIN, scratch).pictures) > 0
            except DataError as error:
                assert "t.parquet" in str(error)  # noqa: PT017 - many bytes are of the pictures
    assert read > 0


def test_a_few_bytes_that_stand_for_very_many_are_refused(write, scratch, monkeypatch):
    monkeypatch.setattr("eyebright.data.allowance._ALWAYS_ALLOWED", 2**20)
    table = write(embedded(*[bytes(2**16)] * 200, labels=["x"] * 200), "t.parquet")
    assert table.stat().st_size < 2**16
    with pytest.raises(DataError, match=r"t\.parquet: unpacked it would be far larger than an honest file"):
        list_table(table, PLAIN, scratch)


def test_a_disk_that_is_full_is_said(write, scratch, monkeypatch):
    (scratch / "0").mkdir()  # where the first picture is to be written
    with pytest.raises(DataError, match=r"t\.parquet, row 1: its picture cannot be unpacked to .*: Is a directory"):
        list_table(write(embedded(b"1"), "t.parquet"), PLAIN, scratch)
    monkeypatch.setattr("eyebright.data.allowance._SPACE_LEFT", 2**62)
    with pytest.raises(DataError, match=r"t\.parquet: there is no room in "):
        list_table(write(embedded(b"1"), "t.parquet"), PLAIN, scratch)
