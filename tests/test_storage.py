import contextlib
import errno
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eyebright.errors import StorageError
from eyebright.storage import (
    MANIFEST,
    json_bytes,
    read_directory,
    read_versions,
    sha256,
    write_directory,
    write_file,
)

KIND = "test-kind"
PARTS = {"a.json": b'{"a": 1}\n', "b.bin": bytes(range(256)) * 4, "empty": b""}

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda name: name not in {".", "..", MANIFEST} and len(name.encode()) < 200
)


@contextlib.contextmanager
def files_of_at_most(size):
    """What this process writes past a file's size, in bytes, fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write(directory, parts=PARTS, kind=KIND, version=3):
    write_directory(directory, parts, kind=kind, version=version)


def read(directory, kind=KIND, version=3):
    return read_directory(directory, kind=kind, version=version)


def tree(path):
    """Every file below, with its content."""
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    directory = tmp_path_factory.mktemp("storage") / "parts"
    write(directory)
    return directory


@given(parts=st.dictionaries(NAMES, st.binary(max_size=200), max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_what_was_written_is_read(tmp_path, parts):
    write(tmp_path / "parts", parts)
    assert read(tmp_path / "parts") == parts
    assert [entry.name for entry in tmp_path.iterdir()] == ["parts"]


def test_same_parts_give_the_same_bytes_in_any_order(tmp_path):
    write(tmp_path / "one", PARTS)
    write(tmp_path / "two", dict(reversed(PARTS.items())))
    assert tree(tmp_path / "one") == tree(tmp_path / "two")


def test_manifest_describes_every_part(written):
    manifest = json.loads((written / MANIFEST).read_bytes())
    own = manifest.pop("manifest_sha256")
    assert own == sha256(json_bytes(manifest))
    assert (manifest["kind"], manifest["version"]) == (KIND, 3)
    assert manifest["files"] == {
        name: {"bytes": len(content), "sha256": sha256(content)} for name, content in PARTS.items()
    }


def test_versions_stand_in_the_manifest_and_are_verified(tmp_path):
    write_directory(tmp_path / "parts", PARTS, kind=KIND, version=3, versions={"b": "2", "a": "1"})
    assert read_versions(tmp_path / "parts") == {"a": "1", "b": "2"}
    assert read(tmp_path / "parts") == PARTS
    manifest = tmp_path / "parts" / MANIFEST
    manifest.write_bytes(manifest.read_bytes().replace(b'"b": "2"', b'"b": "3"'))
    for reader in (read, read_versions):
        with pytest.raises(StorageError, match=r"manifest\.json: damaged"):
            reader(tmp_path / "parts")


def test_a_directory_that_does_not_say_versions_has_none(written):
    assert read_versions(written) == {}


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM])
def test_a_file_system_that_cannot_sync_directories_is_written_to(code, tmp_path, monkeypatch):
    refuse_to_sync_directories(monkeypatch, code)
    write(tmp_path / "parts")
    write_file(tmp_path / "f", b"1")
    assert read(tmp_path / "parts") == PARTS


def test_a_directory_whose_sync_fails_is_an_error(tmp_path, monkeypatch):
    refuse_to_sync_directories(monkeypatch, errno.EIO)
    with pytest.raises(StorageError, match="cannot be written: Input/output error"):
        write_file(tmp_path / "f", b"1")


def refuse_to_sync_directories(monkeypatch, code):
    """No file system here does; fsync itself must say it."""
    fsync = os.fsync

    def refuse(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_one_flipped_bit_anywhere_is_noticed_and_its_file_named(written, data):
    name = data.draw(st.sampled_from([name for name, content in tree(written).items() if content]))
    content = (written / name).read_bytes()
    position = data.draw(st.integers(0, 8 * len(content) - 1))
    flipped = bytearray(content)
    flipped[position // 8] ^= 1 << position % 8
    (written / name).write_bytes(flipped)
    try:
        with pytest.raises(StorageError, match="damaged") as error:
            read(written)
    finally:
        (written / name).write_bytes(content)
    assert str(error.value).startswith(f"{written / name}: ")
    assert read(written) == PARTS


@given(st.data())
@settings(deadline=None, max_examples=100)
def test_a_file_of_another_length_is_noticed_and_named(written, data):
    name = data.draw(st.sampled_from(sorted(tree(written))))
    content = (written / name).read_bytes()
    cut = data.draw(st.integers(0, len(content) - 1)) if content and data.draw(st.booleans()) else None
    (written / name).write_bytes(content + b"\n" if cut is None else content[:cut])
    try:
        with pytest.raises(StorageError, match="damaged") as error:
            read(written)
    finally:
        (written / name).write_bytes(content)
    assert str(error.value).startswith(f"{written / name}: ")


@pytest.mark.parametrize("name", [*PARTS, MANIFEST])
def test_a_missing_file_is_named(name, tmp_path):
    write(tmp_path / "parts")
    (tmp_path / "parts" / name).unlink()
    with pytest.raises(StorageError, match="missing") as error:
        read(tmp_path / "parts")
    assert str(tmp_path / "parts" / name) in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    write(tmp_path / "parts")
    (tmp_path / "parts" / "b.bin").unlink()
    (tmp_path / "parts" / "b.bin").mkdir()
    with pytest.raises(StorageError, match=r"b\.bin: cannot be read: Is a directory"):
        read(tmp_path / "parts")


def test_another_kind_is_refused(written):
    with pytest.raises(StorageError, match="of kind 'test-kind', not 'other'"):
        read(written, kind="other")


def test_a_newer_version_is_refused_and_an_older_one_read(written):
    with pytest.raises(StorageError, match=r"version 3 is newer than this Eyebright reads \(2\)\. Upgrade"):
        read(written, version=2)
    assert read(written, version=4) == PARTS


MANIFESTS = [
    {},
    {"kind": KIND},
    {"kind": KIND, "version": "1", "files": {}},
    {"kind": KIND, "version": 1, "files": []},
    {"kind": KIND, "version": 1, "files": {"a.json": 3}},
    {"kind": KIND, "version": 1, "files": {"a.json": {"bytes": 9}}},
]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=str)
def test_a_manifest_that_was_made_by_another_program_is_refused(manifest, tmp_path):
    whole = {**manifest, "manifest_sha256": sha256(json_bytes(manifest))}
    (tmp_path / MANIFEST).write_bytes(json_bytes(whole))
    with pytest.raises(StorageError, match=MANIFEST):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000, b'{"manifest_sha256": NaN}'])
def test_a_manifest_that_is_none_is_refused(content, tmp_path):
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(StorageError, match=MANIFEST):
        read(tmp_path)


def test_writing_replaces_the_directory_that_was_there(tmp_path):
    write(tmp_path / "parts", {"old": b"1"})
    write(tmp_path / "parts", {"new": b"2"})
    assert read(tmp_path / "parts") == {"new": b"2"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["parts"]


def test_a_failed_write_leaves_the_old_directory_and_nothing_else(tmp_path):
    write(tmp_path / "parts")
    before = tree(tmp_path)
    with files_of_at_most(1000), pytest.raises(StorageError) as error:
        write(tmp_path / "parts", {"small": b"1", "large": bytes(1001)})
    assert str(error.value).startswith(f"{tmp_path / 'parts'}: cannot be written: File too large.")
    assert tree(tmp_path) == before
    assert read(tmp_path / "parts") == PARTS


def test_a_failed_first_write_leaves_nothing(tmp_path):
    with files_of_at_most(1000), pytest.raises(StorageError):
        write(tmp_path / "parts", {"large": bytes(1001)})
    assert list(tmp_path.iterdir()) == []


def test_a_directory_in_a_place_that_is_none_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written: Not a directory"):
        write(tmp_path / "file" / "parts")


def test_a_failed_write_of_a_file_leaves_the_old_one_and_nothing_else(tmp_path):
    write_file(tmp_path / "f", b"old")
    with files_of_at_most(1000), pytest.raises(StorageError, match=r"f: cannot be written: File too large\."):
        write_file(tmp_path / "f", bytes(1001))
    assert tree(tmp_path) == {"f": b"old"}
    write_file(tmp_path / "f", b"new")
    assert tree(tmp_path) == {"f": b"new"}


@pytest.mark.parametrize("target", ["missing/f", "file/f", "x" * 300], ids=["no-folder", "below-a-file", "long-name"])
def test_a_file_that_cannot_be_made_is_an_error(target, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written"):
        write_file(tmp_path / target, b"")
    assert tree(tmp_path) == {"file": b""}


def test_a_file_cannot_take_the_place_of_a_directory(tmp_path):
    (tmp_path / "d").mkdir()
    with pytest.raises(StorageError, match=r"d: cannot be written: Is a directory\."):
        write_file(tmp_path / "d", b"")
    assert [entry.name for entry in tmp_path.iterdir()] == ["d"]


def test_what_is_written_may_be_read_by_those_whom_the_system_lets(tmp_path):
    mask = os.umask(0o022)
    try:
        write_file(tmp_path / "f", b"")
        write(tmp_path / "parts")
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "parts" / "a.json").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "parts").stat().st_mode) == 0o755


WRITER = """
import sys
from pathlib import Path
from eyebright.storage import write_directory, write_file
where = Path(sys.argv[1])
print("ready", flush=True)
for count in range(10**9):
    parts = {f"{part}.bin": bytes([count % 256]) * 50_000 for part in range(4)}
    write_directory(where / "parts", parts, kind="test-kind", version=3)
    write_file(where / "file", bytes([count % 256]) * 50_000)
"""


def test_a_kill_at_any_moment_leaves_whole_directories_and_files_only(tmp_path):
    deaths = {"whole": 0, "none": 0}
    for number in range(25):
        process = subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE)
        with process:
            assert process.stdout.readline() == b"ready\n"
            time.sleep(0.002 + 0.0017 * number)
            process.send_signal(signal.SIGKILL)
        named = {entry.name for entry in tmp_path.iterdir() if not entry.name.startswith(".")}
        assert named <= {"parts", "file"}
        if "parts" in named:  # it may be gone in the moment between the old and the new one
            contents = read(tmp_path / "parts")
            assert len({content[:1] for content in contents.values()}) == 1
            assert {len(content) for content in contents.values()} == {50_000}
        if "file" in named:
            content = (tmp_path / "file").read_bytes()
            assert content == content[:1] * 50_000
        deaths["whole" if "parts" in named else "none"] += 1
    assert deaths["whole"] > 0


TEXT = st.text(st.characters(codec="utf-8"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=10,
)


@given(JSON)
@settings(deadline=None)
def test_json_is_read_back_and_deterministic(value):
    content = json_bytes(value)
    assert json.loads(content) == value
    assert json_bytes(json.loads(content)) == content
    assert content.endswith(b"\n")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")]])
def test_json_has_no_numbers_that_are_none(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_bytes(value)
