"""An artefact: one zip file with all that predicting needs, read without running or unpacking any of it.

Its members are stored as they are, in the order of their names, `manifest.json` with them, all dated 1980. The
archive's comment, which is the end of the file, is the SHA-256 of all bytes before it, so that a flipped bit anywhere
is noticed: in a member, in the zip format's own records, or in the comment. `docs/reference/artefact.md` describes it.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from eyebright import storage
from eyebright.errors import ClassifierError, StorageError

KIND = "eyebright-artefact"
VERSION = 1
SUFFIX = ".eyebright"
GRAPH = "model.onnx"
CARD = "README.md"
ABOUT = "about.json"

_MOST_BYTES = 2**31  # of a file: what a zip of the old kind can hold, and more than any classifier on a CPU has
_MOST_MEMBERS = 64
_NAME = re.compile(r"[A-Za-z0-9_]+\.[a-z]+")  # no folder, nothing hidden
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can have
_MODE = 0o644 << 16
_SHA256_DIGITS = 64


def artefact_bytes(parts: Mapping[str, bytes], versions: Mapping[str, str]) -> bytes:
    """Parts as the bytes of an artefact; the same parts and versions give the same bytes.

    Args:
        parts: content by file name.
        versions: of the software that made it, by name.
    """
    manifest = storage.manifest_bytes(parts, kind=KIND, version=VERSION, versions=versions)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted({**parts, storage.MANIFEST: manifest}.items()):
            member = zipfile.ZipInfo(name, _DATE)
            member.create_system, member.external_attr = 3, _MODE  # Unix, wherever it is written
            archive.writestr(member, content)
        archive.comment = bytes(_SHA256_DIGITS)  # room for what comes there
    content = buffer.getvalue()[:-_SHA256_DIGITS]
    return content + storage.sha256(content).encode()


def read_artefact(path: Path) -> dict[str, bytes]:
    """Read every part of an artefact, its manifest with them, and verify all of the file.

    Raises:
        ClassifierError: it cannot be read, is no artefact, damaged, larger than any artefact, of a newer version, or
            its members are not those that its manifest names, plain and whole.
    """
    content = _read(path)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _parts(path, archive, len(content))
    except StorageError as error:
        raise ClassifierError(str(error)) from error
    # Of a file that matches its own SHA-256, so written by another.
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise ClassifierError(f"{path}: no Eyebright artefact: {error}.") from error


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ClassifierError(f"{path}: cannot be read: {error.strerror}.") from error
    if len(content) > _MOST_BYTES:
        raise ClassifierError(f"{path}: larger than any artefact ({_MOST_BYTES:,} bytes): not read.")
    if not content.startswith(b"PK"):
        raise ClassifierError(
            f"{path}: no Eyebright artefact, nor the directory of a run. Give either (eyebright package makes an "
            "artefact of a run)."
        )
    if storage.sha256(content[:-_SHA256_DIGITS]).encode() != content[-_SHA256_DIGITS:]:
        raise ClassifierError(
            f"{path}: damaged, or no Eyebright artefact (it does not end with the SHA-256 of what it holds). Copy it "
            "again from where it is whole, or package the run again."
        )
    return content


def _parts(path: Path, archive: zipfile.ZipFile, size: int) -> dict[str, bytes]:
    members = archive.infolist()
    _check_members(path, members, size)

    def read(member: Path) -> bytes:
        try:
            return archive.read(member.name)
        except KeyError as error:
            raise StorageError(f"{member}: missing.") from error

    parts = storage.verified_parts(path, read, kind=KIND, version=VERSION)
    if extra := {member.filename for member in members} - {*parts, storage.MANIFEST}:
        raise ClassifierError(f"{path / min(extra)}: its manifest names no such member: the file was tampered with.")
    return {**parts, storage.MANIFEST: archive.read(storage.MANIFEST)}


def _check_members(path: Path, members: list[zipfile.ZipInfo], size: int) -> None:
    """Refuse what no artefact has, by the archive's directory alone, before any member is read."""
    if len(members) > _MOST_MEMBERS:
        raise ClassifierError(f"{path}: {len(members):,} members, where an artefact has at most {_MOST_MEMBERS}.")
    names = set()
    for member in members:
        if not _NAME.fullmatch(member.orig_filename) or member.orig_filename in names:
            what = "twice" if member.orig_filename in names else "no name of an artefact's part"
            raise ClassifierError(f"{path}: member {member.orig_filename!r}: {what}.")
        names.add(member.orig_filename)
        if member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size or member.flag_bits:
            raise ClassifierError(f"{path}: member {member.filename!r}: compressed or encrypted, which no part is.")
    if sum(member.file_size for member in members) > size:
        raise ClassifierError(f"{path}: its members are larger than the file.")
