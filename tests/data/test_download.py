import gzip
import hashlib
import io
import json
import logging
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from eyebright.data.catalog import CatalogEntry, CatalogFile
from eyebright.data.download import Patience, fetch
from eyebright.errors import DownloadError, MissingExtraError

ONE_TRY = Patience(retries=0)
# Half a megabyte that no compression makes smaller, and one that shrinks to nothing.
MEMBERS = {"tiny/pictures": random.Random(0).randbytes(500_000) + bytes(1_000_000), "tiny/names": b"cat\ndog\n"}


def archive(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = archive({"tiny/readme.html": b"not wanted", **MEMBERS})
FILES = {"images.gz": gzip.compress(b"images" * 50_000, mtime=0), "labels.gz": gzip.compress(b"labels", mtime=0)}


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def packed(server, content: bytes = ARCHIVE, members: tuple[str, ...] = tuple(MEMBERS)) -> CatalogEntry:
    """A data set whose download is an archive."""
    file = CatalogFile(server.url("/tiny.tar.gz"), sha256(content), len(content), members)
    return CatalogEntry("tiny", "", 2, (1, 1, 1), ("cat", "dog"), "", "", (file,), (("tiny",),))


def unpacked(server) -> CatalogEntry:
    """A data set whose downloads are used as they are."""
    files = tuple(CatalogFile(server.url(f"/{name}"), sha256(data), len(data)) for name, data in FILES.items())
    return CatalogEntry("tiny", "", 2, (1, 1, 1), ("cat", "dog"), "", "", files, (tuple(FILES),))


# Answers of the server


def whole(content, status=200):
    def answer(handler):
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def cut(content, announced=True):
    """The connection ends midway."""

    def answer(handler):
        handler.send_response(200)
        if announced:
            handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])

    return answer


def stalled(content):
    """It stays open midway, and nothing more comes."""

    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.wfile.flush()
        handler.server.stopping.wait(60)

    return answer


def nonsense(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "a few")
    handler.end_headers()


def silent(handler):
    handler.server.stopping.wait(60)


def in_turn(*answers):
    left = list(answers)
    return lambda handler: left.pop(0)(handler)


def everything_in(directory: Path) -> dict[str, bytes]:
    """Files by relative path; the lock, which stays, left out."""
    files = [path for path in directory.rglob("*") if not path.is_dir() and path.name != ".tiny.lock"]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def directories_in(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_dir())


# What succeeds


def test_an_archive_arrives_as_its_named_members_and_nothing_else(server, tmp_path):
    server.answers["/tiny.tar.gz"] = whole(ARCHIVE)
    fetch(packed(server), tmp_path / "made" / "for it")
    assert everything_in(tmp_path / "made" / "for it") == {f"tiny/{name}": data for name, data in MEMBERS.items()}
    assert directories_in(tmp_path / "made" / "for it") == ["tiny", "tiny/tiny"]


def test_files_that_are_no_archive_arrive_as_they_are_and_others_may_read_them(server, tmp_path):
    server.answers |= {f"/{name}": whole(data) for name, data in FILES.items()}
    fetch(unpacked(server), tmp_path)
    assert everything_in(tmp_path) == {f"tiny/{name}": data for name, data in FILES.items()}
    assert all((tmp_path / "tiny" / name).stat().st_mode & 0o777 == 0o644 for name in FILES)


def test_what_is_there_is_not_downloaded_again(server, tmp_path):
    server.answers["/tiny.tar.gz"] = whole(ARCHIVE)
    fetch(packed(server), tmp_path)
    fetch(packed(server), tmp_path)
    assert server.paths == ["/tiny.tar.gz"]


def test_a_server_that_is_busy_twice_is_asked_a_third_time(server, tmp_path):
    server.answers["/tiny.tar.gz"] = in_turn(whole(b"busy", 503), cut(ARCHIVE), whole(ARCHIVE))
    fetch(packed(server), tmp_path, patience=Patience(retries=2))
    assert len(server.paths) == 3
    assert len(everything_in(tmp_path)) == 2


def test_a_redirection_is_followed(server, tmp_path):
    def moved(handler):
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    server.answers |= {"/tiny.tar.gz": moved, "/elsewhere": whole(ARCHIVE)}
    fetch(packed(server), tmp_path)
    assert len(everything_in(tmp_path)) == 2


def test_a_server_that_would_compress_is_asked_for_the_bytes_as_they_are(server, tmp_path):
    def compressing(handler):
        handler.send_response(200)
        if "gzip" in handler.headers.get("Accept-Encoding", ""):
            handler.send_header("Content-Encoding", "gzip")  # as some servers say of any .gz
        handler.send_header("Content-Length", str(len(ARCHIVE)))
        handler.end_headers()
        handler.wfile.write(ARCHIVE)

    server.answers["/tiny.tar.gz"] = compressing
    fetch(packed(server), tmp_path, patience=ONE_TRY)
    assert len(everything_in(tmp_path)) == 2


def test_nothing_is_written_to_the_terminal_unasked(server, tmp_path, capfd):
    level = logging.getLogger("pooch").level
    server.answers["/tiny.tar.gz"] = in_turn(whole(b"busy", 503), whole(ARCHIVE))
    fetch(packed(server), tmp_path, patience=Patience(retries=1))
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("pooch").level == level


def test_progress_is_shown_on_standard_error(server, tmp_path, capfd):
    server.answers["/tiny.tar.gz"] = in_turn(cut(ARCHIVE), whole(ARCHIVE))
    fetch(packed(server), tmp_path, patience=Patience(retries=1), progress=True)
    out, error = capfd.readouterr()
    assert out == ""
    assert "tiny.tar.gz" in error
    size = f"{len(ARCHIVE) / 1000:.1f}"
    assert f"{size}/{size} kB" in error


# What fails: the message, nothing half-made, and a good download afterwards

FAILURES = {
    "cut": (cut(ARCHIVE), "the connection broke off midway"),
    "cut, its length unknown": (cut(ARCHIVE, announced=False), "what arrived is another file (SHA-256 "),
    "wrong bytes": (whole(ARCHIVE[:-1] + b"!"), "what arrived is another file (SHA-256 "),
    "a web page": (whole(b"<html>Please log in</html>"), f"(SHA-256 {sha256(b'<html>Please log in</html>')}, expected"),
    "empty": (whole(b""), f"(SHA-256 {sha256(b'')}, expected {sha256(ARCHIVE)})"),
    "stalled": (stalled(ARCHIVE), "nothing came for 1 s"),
    "silent": (silent, "nothing came for 1 s"),
    "busy": (whole(b"busy", 503), "the server answered 503 Service Unavailable"),
    "nonsense": (nonsense, "could not be downloaded: "),
    "not there": (whole(b"gone", 404), "the server answered 404 Not Found"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_download_says_why_and_leaves_nothing(server, tmp_path, name):
    answer, reason = FAILURES[name]
    server.answers["/tiny.tar.gz"] = answer
    entry = packed(server)
    # A short timeout only where the server says nothing: the machine may be busy.
    patience = Patience(retries=0, timeout=1) if name in ("stalled", "silent") else ONE_TRY
    with pytest.raises(DownloadError) as caught:
        fetch(entry, tmp_path, patience=patience)
    message = str(caught.value)
    assert message.startswith(f"tiny: {server.url('/tiny.tar.gz')} could not be downloaded: ")
    assert reason in message
    assert "It was tried 1 time; nothing half-written was left." in message
    assert message.endswith(f"put it there: {tmp_path / 'tiny' / 'tiny.tar.gz'}")
    assert entry.found_in(tmp_path) is None
    assert everything_in(tmp_path) == {}
    assert directories_in(tmp_path) == []

    server.answers["/tiny.tar.gz"] = whole(ARCHIVE)
    fetch(entry, tmp_path, patience=ONE_TRY)
    assert entry.found_in(tmp_path) == tmp_path / "tiny" / "tiny"


def test_the_tries_are_counted(server, tmp_path):
    server.answers["/tiny.tar.gz"] = whole(b"wrong")
    with pytest.raises(DownloadError, match="It was tried 2 times"):
        fetch(packed(server), tmp_path, patience=Patience(retries=1))
    assert len(server.paths) == 2


def test_a_server_that_cannot_be_reached_is_named(server, tmp_path):
    entry = packed(server)
    file = CatalogFile("http://127.0.0.1:9/tiny.tar.gz", entry.files[0].sha256, 1, entry.files[0].members)
    entry = CatalogEntry("tiny", "", 2, (1, 1, 1), ("cat", "dog"), "", "", (file,), entry.forms)
    with pytest.raises(DownloadError, match=r"http://127\.0\.0\.1:9/tiny\.tar\.gz .*: the server cannot be reached\."):
        fetch(entry, tmp_path, patience=ONE_TRY)
    assert everything_in(tmp_path) == {}


def test_of_several_files_those_that_arrived_whole_stay(server, tmp_path):
    server.answers |= {"/images.gz": whole(FILES["images.gz"]), "/labels.gz": cut(FILES["labels.gz"])}
    entry = unpacked(server)
    with pytest.raises(DownloadError, match=r"labels\.gz"):
        fetch(entry, tmp_path, patience=ONE_TRY)
    assert everything_in(tmp_path) == {"tiny/images.gz": FILES["images.gz"]}
    assert entry.found_in(tmp_path) is None

    server.answers["/labels.gz"] = whole(FILES["labels.gz"])
    fetch(entry, tmp_path, patience=ONE_TRY)
    assert entry.found_in(tmp_path) == tmp_path / "tiny"
    assert server.paths == ["/images.gz", "/labels.gz", "/labels.gz"]


@pytest.mark.parametrize(
    ("kind", "target"),
    [(tarfile.SYMTYPE, "/etc/passwd"), (tarfile.LNKTYPE, "tiny/pictures"), (tarfile.CHRTYPE, "")],
    ids=["link", "hard link", "device"],
)
def test_an_archive_with_a_member_that_is_refused_leaves_nothing(server, tmp_path, kind, target):
    buffer = io.BytesIO(archive({"tiny/pictures": b"1"}))
    uncompressed = io.BytesIO(gzip.decompress(buffer.getvalue()))
    with tarfile.open(fileobj=uncompressed, mode="a") as tar:
        info = tarfile.TarInfo("tiny/names")
        info.type, info.linkname = kind, target
        tar.addfile(info)
    hostile = uncompressed.getvalue()
    server.answers["/tiny.tar.gz"] = whole(hostile)
    with pytest.raises(DownloadError, match="the member 'tiny/names' is no plain file"):
        fetch(packed(server, hostile), tmp_path, patience=ONE_TRY)
    assert everything_in(tmp_path) == {}
    assert directories_in(tmp_path) == []


def test_an_archive_without_a_named_member_leaves_nothing(server, tmp_path):
    poor = archive({"tiny/pictures": b"1"})
    server.answers["/tiny.tar.gz"] = whole(poor)
    with pytest.raises(DownloadError, match=r"tiny\.tar\.gz: it has no member 'tiny/names'"):
        fetch(packed(server, poor), tmp_path, patience=ONE_TRY)
    assert directories_in(tmp_path) == []


def test_a_place_that_cannot_be_written_is_named(server, tmp_path):
    (tmp_path / "data").write_text("a file where the directory should be")
    with pytest.raises(
        DownloadError, match=r"data/tiny cannot be written: File exists\. .*--data-dir or EYEBRIGHT_DATA"
    ):
        fetch(packed(server), tmp_path / "data", patience=ONE_TRY)


@pytest.mark.parametrize("limit", [1_000, 1_000_000], ids=["while downloading", "while unpacking"])
def test_a_full_disk_is_named_and_nothing_stays(server, tmp_path, limit):
    assert len(ARCHIVE) < 1_000_000 < len(MEMBERS["tiny/pictures"])
    server.answers["/tiny.tar.gz"] = whole(ARCHIVE)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(DownloadError, match="tiny cannot be written: File too large"):
            fetch(packed(server), tmp_path, patience=ONE_TRY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert everything_in(tmp_path) == {}
    assert directories_in(tmp_path) == []


# By hand


def test_an_archive_that_was_put_there_by_hand_is_unpacked_and_kept(server, tmp_path):
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "tiny.tar.gz").write_bytes(ARCHIVE)
    fetch(packed(server), tmp_path, patience=ONE_TRY)
    assert server.paths == []
    assert set(everything_in(tmp_path)) == {"tiny/tiny.tar.gz", "tiny/tiny/pictures", "tiny/tiny/names"}


def test_a_wrong_file_that_was_put_there_by_hand_is_named_and_kept(server, tmp_path):
    by_hand = tmp_path / "tiny" / "tiny.tar.gz"
    by_hand.parent.mkdir()
    by_hand.write_bytes(ARCHIVE[:100])
    message = (
        f"tiny: {by_hand}: this is not the file of the catalogue (100 bytes of {len(ARCHIVE):,}; SHA-256 "
        f"{sha256(ARCHIVE[:100])}, expected {sha256(ARCHIVE)}). Remove it to have it downloaded."
    )
    with pytest.raises(DownloadError, match=re.escape(message)):
        fetch(packed(server), tmp_path, patience=ONE_TRY)
    assert everything_in(tmp_path) == {"tiny/tiny.tar.gz": ARCHIVE[:100]}
    assert server.paths == []


# Several processes, and processes that are killed

FETCH = """
import json, sys
from pathlib import Path
from eyebright.data.catalog import CatalogEntry, CatalogFile
from eyebright.data.download import fetch
url, sha256, members, data_dir = json.loads(sys.argv[1])
file = CatalogFile(url, sha256, 1, tuple(members))
fetch(CatalogEntry("tiny", "", 2, (1, 1, 1), ("cat", "dog"), "", "", (file,), (("tiny",),)), Path(data_dir))
"""


def fetching(server, data_dir):
    arguments = [server.url("/tiny.tar.gz"), sha256(ARCHIVE), list(MEMBERS), str(data_dir)]
    return subprocess.Popen([sys.executable, "-c", FETCH, json.dumps(arguments)])


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_of_two_processes_one_downloads_and_both_find_it(server, tmp_path):
    def slowly(handler):
        handler.server.stopping.wait(0.5)
        whole(ARCHIVE)(handler)

    server.answers["/tiny.tar.gz"] = slowly
    processes = [fetching(server, tmp_path) for _ in range(2)]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert server.paths == ["/tiny.tar.gz"]
    assert everything_in(tmp_path) == {f"tiny/{name}": data for name, data in MEMBERS.items()}


def test_what_a_killed_process_leaves_is_not_taken_for_data_and_goes_with_the_next(server, tmp_path):
    server.answers["/tiny.tar.gz"] = stalled(ARCHIVE)
    process = fetching(server, tmp_path)
    wait_for(lambda: any(everything_in(tmp_path).values()))
    os.kill(process.pid, signal.SIGKILL)
    process.wait(60)
    entry = packed(server)
    assert entry.found_in(tmp_path) is None
    assert everything_in(tmp_path) != {}

    server.answers["/tiny.tar.gz"] = whole(ARCHIVE)
    fetch(entry, tmp_path, patience=ONE_TRY)
    assert everything_in(tmp_path) == {f"tiny/{name}": data for name, data in MEMBERS.items()}


@pytest.mark.parametrize("library", ["pooch", "filelock"])
def test_without_the_libraries_for_downloads_the_extra_is_named(server, tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=r"Downloading tiny needs .* pip install 'eyebright\[train\]'"):
        fetch(packed(server), tmp_path)
