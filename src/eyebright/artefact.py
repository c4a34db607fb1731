"""An artefact: one zip file with all that predicting needs, read without running or unpacking any of it.

It is written by `stored_zip`, with `manifest.json` among its members. `docs/reference/artefact.md` describes it.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from eyebright import storage
from eyebright.errors import ClassifierError, StorageError
from eyebright.stored_zip import is_whole, zip_bytes

KIND = "eyebright-artefact"
VERSION = 1
SUFFIX = ".eyebright"
GRAPH = "model.onnx"
CARD = "README.md"
ABOUT = "about.json"

_MOST_BYTES = 2**31  # of a file: what a zip of the old kind can hold, and more than any classifier on a CPU has
_MOST_MEMBERS = 64
_NAME = re.compile(r"[A-Za-z0-9_]+\.[a-z]+")  # no folder, nothing hidden


def artefact_bytes(parts: Mapping[str, bytes], versions: Mapping[str, str]) -> bytes:
    """Parts as the bytes of an artefact; the same parts and versions give the same bytes.

    Args:
        parts: content by file name.
        versions: of the software that made it, by name.
    """
    manifest = storage.manifest_bytes(parts, kind=KIND, version=VERSION, versions=versions)
    return zip_bytes({**parts, storage.MANIFEST: manifest})


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
    if not is_whole(content):
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
