import io
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eyebright.data.archive import extract_members
from eyebright.errors import DownloadError

MEMBERS = ("set/one", "set/two")
GOOD = {"set/one": b"1" * 1000, "set/two": b"2" * 20_000}


def plain(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    return info, content


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.devmajor, info.devminor = kind, target, 1, 5
    return info, b""


def archive(*entries: tuple[tarfile.TarInfo, bytes], mode: str = "w:gz") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def good_archive(mode: str = "w:gz") -> bytes:
    return archive(*(plain(name, content) for name, content in GOOD.items()), mode=mode)


def everything_in(directory: Path) -> dict[str, bytes | None]:
    """What lies in a directory, by relative path; None for what is no plain file."""
    return {
        str(path.relative_to(directory)): path.read_bytes() if path.is_file() and not path.is_symlink() else None
        for path in sorted(directory.rglob("*"))
        if not path.is_dir()
    }


@pytest.fixture
def target(tmp_path):
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def extract(content: bytes, target: Path, members: tuple[str, ...] = MEMBERS, **options: int) -> None:
    path = target.parent / "set.tar.gz"
    path.write_bytes(content)
    extract_members(path, members, target, **options)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_the_named_members_are_extracted_whatever_the_compression(target, mode):
    extract(good_archive(mode), target)
    assert everything_in(target) == GOOD


def test_members_that_are_not_named_are_left_where_they_are(target):
    content = archive(
        plain("set/readme.html", b"no"),
        plain("../outside", b"no"),
        plain("/tmp/eyebright-outside", b"no"),
        plain("set/../../outside", b"no"),
        special("set/link", tarfile.SYMTYPE, "/etc/passwd"),
        special("set/device", tarfile.CHRTYPE),
        *(plain(name, data) for name, data in GOOD.items()),
    )
    extract(content, target)
    assert everything_in(target) == GOOD
    assert sorted(path.name for path in target.parent.iterdir()) == ["set.tar.gz", "target"]
    assert not Path("/tmp/eyebright-outside").exists()


def test_a_link_in_place_of_the_directory_is_not_followed(target):
    outside = target.parent / "outside"
    outside.mkdir()
    content = archive(
        special("set", tarfile.SYMTYPE, str(outside)), *(plain(name, data) for name, data in GOOD.items())
    )
    extract(content, target)
    assert everything_in(target) == GOOD
    assert not everything_in(outside)


def test_extracted_files_have_the_users_own_rights_not_the_archives(target):
    info, content = plain("set/one", b"1")
    info.mode, info.uid = 0o4777, 12_345
    extract(archive((info, content)), target, ("set/one",))
    status = (target / "set/one").stat()
    assert status.st_mode & 0o7111 == 0
    assert status.st_uid == os.getuid()


@pytest.mark.parametrize(
    "member",
    [
        special("set/two", tarfile.SYMTYPE, "/etc/passwd"),
        special("set/two", tarfile.SYMTYPE, "one"),
        special("set/two", tarfile.LNKTYPE, "set/one"),
        special("set/two", tarfile.CHRTYPE),
        special("set/two", tarfile.BLKTYPE),
        special("set/two", tarfile.FIFOTYPE),
        special("set/two", tarfile.DIRTYPE),
    ],
    ids=["link to outside", "link", "hard link", "device", "block device", "pipe", "directory"],
)
def test_a_named_member_that_is_no_plain_file_is_refused(target, member):
    with pytest.raises(DownloadError, match=r"set\.tar\.gz: the member 'set/two' is no plain file; it is refused"):
        extract(archive(plain("set/one", b"1"), member), target)
    assert not (target / "set/two").is_symlink()
    assert not (target / "set/two").exists()


def test_a_member_that_is_too_large_is_refused(target):
    with pytest.raises(DownloadError, match="the member 'set/two' has 20,000 bytes; at most 19,999 are accepted"):
        extract(good_archive(), target, max_member_bytes=19_999)
    extract_members(target.parent / "set.tar.gz", ("set/two",), target, max_member_bytes=20_000)


def test_a_missing_member_is_named(target):
    with pytest.raises(DownloadError, match=r"set\.tar\.gz: it has no member 'set/two'"):
        extract(archive(plain("set/one", b"1")), target)


@pytest.mark.parametrize("content", [b"", b"no archive at all", b"\x1f\x8b\x08\0 not really"])
def test_what_is_no_archive_is_named(target, content):
    with pytest.raises(DownloadError, match=r"set\.tar\.gz: damaged, it cannot be unpacked"):
        extract(content, target)


@settings(deadline=None)
@given(st.sampled_from(["w", "w:gz", "w:xz"]), st.floats(0, 1, exclude_max=True))
def test_a_cut_archive_is_a_download_error_or_gives_every_byte(mode, share):
    content = good_archive(mode)
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "target"
        target.mkdir()
        try:
            extract(content[: int(share * len(content))], target)
        except DownloadError:
            return
        assert everything_in(target) == GOOD


@settings(deadline=None)
@given(st.sampled_from(["w", "w:gz"]), st.integers(min_value=0), st.binary(min_size=1, max_size=4))
def test_an_archive_with_overwritten_bytes_raises_nothing_but_a_download_error(mode, place, new):
    content = bytearray(good_archive(mode))
    place %= len(content)
    content[place : place + len(new)] = new
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "target"
        target.mkdir()
        try:
            extract(bytes(content), target)
        except DownloadError:
            return
        assert set(everything_in(target)) == set(GOOD)
