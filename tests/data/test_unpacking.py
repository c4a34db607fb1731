"""Archives of pictures: honest ones in every form, and those that someone has made with care."""

import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.data.unpacking import is_archive, unpack
from eyebright.errors import DataError

CONTENT = {"cats/1.jpg": b"one" * 400, "cats/2.PNG": b"two", "dogs/1.jpg": b"", "labels.csv": b"image,label\n"}
BESIDE = {"readme.txt": b"words", "__MACOSX/cats/._1.jpg": b"x", "cats/.DS_Store": b"x", "._labels.csv": b"x"}
EMPTY_FOLDER = "birds/"


def zipped(
    members: dict[str, bytes],
    compression: int = zipfile.ZIP_DEFLATED,
    change: Callable[[zipfile.ZipInfo], None] | None = None,
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = compression
            if change is not None:
                change(info)
            file.writestr(info, content)
    return buffer.getvalue()


def tarred(members: dict[str, bytes], mode: str = "w:", **options: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **options) as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name.rstrip("/"))
            if name.endswith("/"):
                info.type = tarfile.DIRTYPE
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def unpacked(
    content: bytes, directory: Path, name: str = "pictures.zip"
) -> tuple[dict[str, bytes | None], dict[str, int]]:
    """(what came out, by path, None for a folder; what was passed over)."""
    archive, target = directory / name, directory / "target"
    archive.write_bytes(content)
    target.mkdir()
    ignored = unpack(archive, target, (".csv",))
    assert not any(path.is_symlink() for path in directory.rglob("*"))
    return {
        path.relative_to(target).as_posix(): None if path.is_dir() else path.read_bytes() for path in target.rglob("*")
    }, ignored


ARCHIVES = {
    "deflated.zip": zipped,
    "stored.zip": lambda members: zipped(members, zipfile.ZIP_STORED),
    "bzip2.zip": lambda members: zipped(members, zipfile.ZIP_BZIP2),
    "a.tar": tarred,
    "a.tar.gz": lambda members: tarred(members, "w:gz"),
    "a.tgz": lambda members: tarred(members, "w:gz", format=tarfile.USTAR_FORMAT),
    "a.tar.bz2": lambda members: tarred(members, "w:bz2", format=tarfile.GNU_FORMAT),
    "A.TAR.XZ": lambda members: tarred(members, "w:xz", format=tarfile.PAX_FORMAT),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_pictures_tables_and_folders_are_unpacked_and_the_rest_is_counted(tmp_path, name):
    assert is_archive(Path(name))
    content = ARCHIVES[name]({**CONTENT, **BESIDE, EMPTY_FOLDER: b""})
    found, ignored = unpacked(content, tmp_path, name)
    assert found == {**CONTENT, "cats": None, "dogs": None, "birds": None}
    assert ignored == {".txt files": 1, "hidden files": 3}


@pytest.mark.parametrize(("form", "name"), [("zip", "pictures.tar"), ("tar", "pictures.zip")])
def test_what_an_archive_is_says_its_content_not_its_name(tmp_path, form, name):
    content = zipped(CONTENT) if form == "zip" else tarred(CONTENT)
    assert set(unpacked(content, tmp_path, name)[0]) >= set(CONTENT)


def test_a_tar_file_with_a_zip_file_at_its_end_is_a_tar_file(tmp_path):
    content = tarred({**CONTENT, "more.zip": zipped({"evil/1.jpg": b"x"}, zipfile.ZIP_STORED)})
    assert set(unpacked(content, tmp_path, "a.tar")[0]) == {*CONTENT, "cats", "dogs"}


@pytest.mark.parametrize("marked", [True, False])
def test_names_are_utf_8_also_where_it_is_not_said(tmp_path, marked):
    content = zipped({"caf\u00e9/1.jpg": b"1"})
    if not marked:  # as macOS writes them
        utf8 = "caf\u00e9/1.jpg".encode()
        content = zipped({"x" * len(utf8): b"1"}).replace(b"x" * len(utf8), utf8)
    assert "caf\u00e9/1.jpg" in unpacked(content, tmp_path)[0]


def test_names_of_an_old_code_page_stay_what_they_were(tmp_path):
    content = zipped({"caf?/1.jpg": b"1"}).replace(b"caf?", b"caf\x82")  # of code page 437
    assert "caf\u00e9/1.jpg" in unpacked(content, tmp_path)[0]


def test_windows_separators_are_those_of_folders(tmp_path):
    assert "cats/1.jpg" in unpacked(zipped({"cats\\1.jpg": b"1"}), tmp_path)[0]


# What someone has made with care


@pytest.mark.parametrize("form", [zipped, tarred])
@pytest.mark.parametrize(
    "name",
    [
        *("../1.jpg", "cats/../../1.jpg", "/tmp/1.jpg", "a/..", "../"),
        *("C:/1.jpg", "C:1.jpg", "\\\\server\\share\\1.jpg", "..\\1.jpg"),
    ],
)
def test_a_path_that_leads_out_is_refused(tmp_path, form, name):
    with pytest.raises(DataError, match=r"pictures\.zip: the member .* leads out of the archive"):
        unpacked(form({"cats/1.jpg": b"1", name: b"2"}), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"pictures.zip", "target"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE])
def test_links_and_devices_in_a_tar_file_are_refused(tmp_path, kind):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        info = tarfile.TarInfo("cats/1.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        file.addfile(info)
    with pytest.raises(DataError, match=r"the member 'cats/1\.jpg' is a link or no plain file"):
        unpacked(buffer.getvalue(), tmp_path, "a.tar")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_in_a_zip_file_are_refused(tmp_path, kind):
    def change(info: zipfile.ZipInfo) -> None:
        info.external_attr = (kind | 0o777) << 16

    with pytest.raises(DataError, match=r"the member 'cats/1\.jpg' is a link or no plain file"):
        unpacked(zipped({"cats/1.jpg": b"/etc/passwd"}, change=change), tmp_path)


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("form", ["zip", "tar"])
def test_two_members_of_one_name_are_refused(tmp_path, form):
    buffer = io.BytesIO()
    if form == "zip":
        with zipfile.ZipFile(buffer, "w") as file:
            file.writestr("a/1.jpg", b"1")
            file.writestr("a/1.jpg", b"2")
    else:
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            tar.addfile(tarfile.TarInfo("a/1.jpg"))
            tar.addfile(tarfile.TarInfo("a//1.jpg"))
    with pytest.raises(DataError, match=r"two members have the name 'a/"):
        unpacked(buffer.getvalue(), tmp_path)


def test_a_file_where_a_folder_is_needed_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match=r"pictures\.zip"):
        unpacked(tarred({"a.jpg": b"1", "a.jpg/b.jpg": b"2"}), tmp_path)


@pytest.mark.parametrize("name", ["a/1.jpg", "zeros.txt"])
@pytest.mark.parametrize("form", ["zip", "gz", "xz"])
def test_a_bomb_is_refused_by_its_ratio(tmp_path, monkeypatch, form, name):
    monkeypatch.setattr("eyebright.data.allowance._ALWAYS_ALLOWED", 2**20)
    members = {"b/1.jpg": b"1", name: bytes(2**23)}
    content = zipped(members) if form == "zip" else tarred(members, f"w:{form}")
    if form == "zip" and name == "zeros.txt":  # what is no picture is not even decompressed
        assert unpacked(content, tmp_path)[1] == {".txt files": 1}
        return
    with pytest.raises(DataError, match=r"pictures\.zip: unpacked it would be far larger than an honest file"):
        unpacked(content, tmp_path)
    written = [path.stat().st_size for path in tmp_path.rglob("*.jpg")]
    assert sum(written) <= 2**21


def test_a_zip_file_that_lies_about_sizes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("eyebright.data.allowance._ALWAYS_ALLOWED", 2**20)
    true = struct.pack("<I", 2**23)
    content = zipped({"a/1.jpg": bytes(2**23)}).replace(true, struct.pack("<I", 100))
    with pytest.raises(DataError, match=r"pictures\.zip"):
        unpacked(content, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.jpg")) <= 2**20


@pytest.mark.parametrize("form", [zipped, tarred])
def test_a_bomb_is_refused_by_its_count(tmp_path, monkeypatch, form):
    monkeypatch.setattr("eyebright.data.allowance.MOST_FILES", 50)
    with pytest.raises(DataError, match=r"pictures\.zip: it has more than 50 files"):
        unpacked(form({f"a/{number}.txt": b"" for number in range(51)}), tmp_path)


def test_very_many_empty_files_in_a_few_bytes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("eyebright.data.allowance._ALWAYS_ALLOWED", 2**18)
    content = tarred({f"a/{number}.jpg": b"" for number in range(1_000)}, "w:xz")
    with pytest.raises(DataError, match="far larger than an honest file"):
        unpacked(content, tmp_path, "a.tar.xz")


def test_what_comes_after_the_end_of_a_tar_file_is_not_read_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr("eyebright.data.allowance._ALWAYS_ALLOWED", 2**20)
    plain = tarred({"a/1.jpg": b"1"}) + bytes(2**24)
    with pytest.raises(DataError, match="far larger than an honest file"):
        unpacked(lzma.compress(plain), tmp_path, "a.tar.xz")


# What is damaged


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_cut_archive_is_a_data_error_or_everything_is_there(tmp_path_factory, name):
    content = ARCHIVES[name](CONTENT)
    for end in [*range(0, len(content), max(1, len(content) // 60)), len(content) - 1]:
        try:
            found, _ = unpacked(content[:end], tmp_path_factory.mktemp("cut"), name)
        except DataError:
            continue
        assert {path: what for path, what in found.items() if what is not None} == CONTENT


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(ARCHIVES)), st.integers(min_value=0), st.binary(min_size=1, max_size=6))
def test_a_damaged_archive_is_a_data_error_or_unpacks_to_something(tmp_path_factory, name, place, new):
    content = bytearray(ARCHIVES[name]({**CONTENT, **BESIDE}))
    place %= len(content)
    content[place : place + len(new)] = new
    try:
        unpacked(bytes(content), tmp_path_factory.mktemp("damaged"), name)
    except DataError as error:
        assert name in str(error)  # noqa: PT017 - some damages harm nothing


@pytest.mark.parametrize("form", ["zip", "gz", "xz", "bz2"])
def test_a_flipped_bit_in_a_picture_is_noticed(tmp_path_factory, form):
    noise = np.random.default_rng(0).integers(0, 256, 5_000, np.uint8).tobytes()
    content = zipped({"a/1.jpg": noise}) if form == "zip" else tarred({"a/1.jpg": noise}, f"w:{form}")
    for place in range(300, 5_000, 500):
        damaged = bytearray(content)
        damaged[place] ^= 4
        with pytest.raises(DataError, match="a: cannot be unpacked"):
            unpacked(bytes(damaged), tmp_path_factory.mktemp("flipped"), "a")


def test_encrypted_members_are_said(tmp_path):
    content = bytearray(zipped({"a/1.jpg": b"1"}))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    with pytest.raises(DataError, match=r"is encrypted, password required.*Unpack it yourself"):
        unpacked(bytes(content), tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"words", b"PK\x03\x04", b"PK", b"\x1f\x8b", zlib.compress(b"x"), bytes(2_000)]
)
def test_what_is_no_archive_is_a_data_error(tmp_path, content):
    if content == bytes(2_000):  # nothing but the end of a tar file
        assert unpacked(content[:1_536], tmp_path) == ({}, {})
    else:
        with pytest.raises(DataError, match=r"pictures\.zip: "):
            unpacked(content, tmp_path)


def test_a_disk_that_is_full_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("eyebright.data.allowance._SPACE_LEFT", 2**62)
    with pytest.raises(DataError, match=r"pictures\.zip: there is no room in .* from 'cats/1\.jpg' on"):
        unpacked(zipped(CONTENT), tmp_path)


def test_a_name_that_the_system_cannot_hold_is_said(tmp_path):
    with pytest.raises(DataError, match=r"'x+/1\.jpg' cannot be unpacked to .*: File name too long"):
        unpacked(tarred({f"{'x' * 300}/1.jpg": b"1"}, format=tarfile.PAX_FORMAT), tmp_path)
