"""Pictures, tables and archives that the user can mend: exit code 2, one message that names the file, no run."""

import io
import os
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def folder(root, more=()):
    """A folder of eight sound pictures in two classes, and more files."""
    files = {f"{'ab'[number % 2]}/{number}.png": png(number) for number in range(8)}
    for name, content in {**files, **dict(more)}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def picture(content: bytes, name: str = "a/broken.png"):
    return lambda root: folder(root / "pictures", {name: content})


def table(text: str):
    def make(root):
        folder(root)
        (root / "table.csv").write_text(text)
        return root / "table.csv"

    return make


def archive(name: str, content: bytes | dict[str, bytes]):
    def make(root):
        root.mkdir(exist_ok=True)
        if isinstance(content, bytes):
            (root / name).write_bytes(content)
        elif name.endswith("zip"):
            with zipfile.ZipFile(root / name, "w") as file:
                for member, what in content.items():
                    file.writestr(member, what)
        else:
            with tarfile.open(root / name, "w:gz") as file:
                for member, what in content.items():
                    info = tarfile.TarInfo(member)
                    info.size = len(what)
                    file.addfile(info, io.BytesIO(what))
        return root / name

    return make


def with_link(root):
    folder(root / "pictures")
    (root / "pictures" / "a" / "link.png").symlink_to("nowhere")
    return root / "pictures"


def with_pipe(root):
    folder(root / "pictures")
    os.mkfifo(root / "pictures" / "a" / "pipe.png")
    return root / "pictures"


def with_empty_class(root):
    folder(root / "pictures")
    (root / "pictures" / "c").mkdir()
    return root / "pictures"


NO_PICTURE = "no picture that can be read"
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
ZEROS = {"a/1.png": bytes(4_000_000)}
BAD = {
    "truncated": (picture(png(0)[:60]), "a/broken.png: truncated PNG (60 of at least"),
    "empty": (picture(b""), "a/broken.png: empty (0 bytes)"),
    "words": (picture(b"no picture"), f"a/broken.png: {NO_PICTURE}"),
    "a web page": (picture(b"<!DOCTYPE html>", "a/x.jpg"), f"a/x.jpg: {NO_PICTURE}: it begins like a web page"),
    "heic": (picture(HEIC, "a/x.heic"), f"a/x.heic: {NO_PICTURE}: it begins like HEIC. Convert it to JPEG or PNG."),
    "a broken link": (with_link, "a/link.png: No such file or directory"),
    "a pipe": (with_pipe, "a/pipe.png: this is no regular file, not a picture"),
    "an empty class": (with_empty_class, "the class 'c' has no picture"),
    "a loose picture": (picture(png(1), "loose.png"), "of which class are the pictures that lie in it (1: loose.png"),
    "classes alike": (picture(png(1), "A/1.png"), "the classes 'A' and 'a' differ in case alone"),
    "no folders": (lambda root: folder(root) / "a", "of which class are the pictures that lie in it"),
    "no file": (
        table("image,label\na/0.png,x\nnone.png,y\n"),
        "table.csv: 1 of 2 pictures cannot be read:\n  none.png: ",
    ),
    "outside": (table("image,label\n../x.png,x\n"), "table.csv, line 2: ../x.png leads out of the directory"),
    "no column": (table("a,b\n1,2\n"), "table.csv: which column is the image?"),
    "no rows": (table("image,label\n"), "table.csv: no picture is in it"),
    "a short row": (table("image,label\na/0.png\n"), "table.csv, line 2: 1 cells where the first line has 2"),
    "a picture twice": (table("image,label\na/0.png,x\n./a/0.png,y\n"), "table.csv, line 3: a/0.png stands in"),
    "no zip": (archive("x.zip", b"words"), "x.zip: cannot be unpacked"),
    "no tar": (archive("x.tar.gz", b"words"), "x.tar.gz: cannot be unpacked"),
    "a path out of a zip": (archive("x.zip", {"../1.png": b""}), "x.zip: the member '../1.png' leads out"),
    "a path out of a tar": (archive("x.tgz", {"/1.png": b""}), "x.tgz: the member '/1.png' leads out of the archive"),
    "a bomb": (archive("x.tgz", ZEROS), "x.tgz: unpacked it would be far larger than an honest file"),
    "no Parquet": (archive("x.parquet", b"PAR1 words"), "x.parquet: no Parquet file that can be read"),
    "nothing": (lambda root: root, "no data set is recognised in it"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_bad_is_named_and_nothing_is_trained(name, command, tmp_path, monkeypatch):
    monkeypatch.setattr("eyebright.data.allowance._ALWAYS_ALLOWED", 2**20)
    make, words = BAD[name]
    (tmp_path / "data").mkdir()
    code, out, err = command("train", make(tmp_path / "data"), "--run-dir", tmp_path / "run", "--quiet")
    assert (code, out) == (2, "")
    assert err.startswith("DataError: ")
    assert words in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()


def test_options_of_pictures_that_are_none_are_named(command, tmp_path):
    data = folder(tmp_path / "data")
    for options, words in (
        (("--exclude", tmp_path / "none.txt"), "none.txt: the list of exclusions cannot be read"),
        (("--max-pixels", 3), "8 of 8 pictures cannot be read:\n  a/0.png: more than 3 pixels"),
        (("--group-regex", "x"), "--group-regex 'x' matches nothing in a/0.png, "),
    ):
        code, _, err = command("train", data, "--run-dir", tmp_path / "run", "--quiet", *options)
        assert (code, words in err) == (2, True), err
    assert not (tmp_path / "run").exists()
