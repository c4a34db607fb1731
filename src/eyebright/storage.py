"""Files and directories that appear whole or not at all, and say when they were damaged.

Parts that belong together (a checkpoint, a saved classifier, an artefact) carry a `manifest.json` with the SHA-256 of
every part and of itself, so that one flipped bit anywhere in them is noticed and named.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from eyebright.errors import StorageError

Reader = Callable[[Path], bytes]

MANIFEST = "manifest.json"
_OWN_HASH = "manifest_sha256"
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EACCES, errno.EPERM}


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that its old content or its new content is there, never a part of one.

    Raises:
        StorageError: it cannot be written (a full disk, say); the old content is untouched.
    """
    temporary = _temporary(path)
    try:
        with cleaned_up(temporary):
            _write_and_sync(temporary, content)
            temporary.replace(path)
            sync(path.parent)
    except OSError as error:
        raise StorageError(_cannot_write(path, error)) from error


def make_directory(path: Path) -> None:
    """Make a directory where there is none yet.

    Raises:
        StorageError: it cannot be made.
    """
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: the directory cannot be made: {error.strerror or error}.") from error


def check_writable(path: Path) -> None:
    """Refuse a file that `write_file` could not write, before time is spent on what it is to hold.

    Raises:
        StorageError: it is a directory, or its directory is not there or takes no file of that name.
    """
    try:
        if path.is_dir():
            raise StorageError(f"{path}: cannot be written: it is a directory.")
        temporary = _temporary(path)
        with cleaned_up(temporary):
            temporary.touch()
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}.") from error


def write_directory(
    target: Path, parts: Mapping[str, bytes], *, kind: str, version: int, versions: Mapping[str, str] | None = None
) -> None:
    """Write a directory of parts with its manifest, so that it appears under its name whole or not at all.

    A directory of that name that is already there is replaced; a process that is killed in that very moment leaves
    neither under the name.

    Args:
        target: where it appears. While it is being written its name begins with a dot.
        parts: content by file name.
        kind: what it is, for example "eyebright-checkpoint"; a reader refuses another kind.
        version: version of the format; a reader refuses a newer one.
        versions: of the software that made it, by name, for people and for `read_versions`.

    Raises:
        StorageError: it cannot be written; nothing is left of it and what was there before stays.
    """
    temporary = target.with_name(f".writing-{target.name}-{os.getpid()}")
    manifest = manifest_bytes(parts, kind=kind, version=version, versions=versions)
    try:
        with cleaned_up(temporary):
            temporary.mkdir(parents=True)
            for name, data in parts.items():
                _write_and_sync(temporary / name, data)
            _write_and_sync(temporary / MANIFEST, manifest)
            sync(temporary)
            put_in_place(temporary, target)
    except OSError as error:
        raise StorageError(_cannot_write(target, error)) from error


def put_in_place(temporary: Path, target: Path) -> None:
    """Give a file or directory that was written under another name, beside it, its own name.

    What has that name is replaced; a directory is put aside first, and back where the other cannot take its place.

    Raises:
        OSError: it cannot.
    """
    replaced = target.with_name(f".replaced-{target.name}-{os.getpid()}")
    with cleaned_up(replaced):
        if target.is_dir():
            target.rename(replaced)
        try:
            temporary.replace(target)
        except OSError:
            if replaced.exists():
                replaced.rename(target)
            raise
        sync(target.parent)


def read_directory(directory: Path, *, kind: str, version: int) -> dict[str, bytes]:
    """Read every part of a directory that `write_directory` wrote, and verify all of it.

    Returns:
        Content by file name.

    Raises:
        StorageError: a part is missing, damaged, of another kind or of a newer version. The message names it.
    """
    return verified_parts(directory, _read, kind=kind, version=version)


def is_intact(directory: Path) -> bool:
    """Whether a directory has a manifest, of any kind, and every part is as it says."""
    try:
        verified_parts(directory, _read, kind=None, version=math.inf)
    except StorageError:
        return False
    return True


def manifest_bytes(
    parts: Mapping[str, bytes], *, kind: str, version: int, versions: Mapping[str, str] | None = None
) -> bytes:
    """The manifest of parts, by the arguments of `write_directory`."""
    files = {name: {"bytes": len(data), "sha256": sha256(data)} for name, data in sorted(parts.items())}
    return _sealed({"kind": kind, "version": version, "versions": dict(versions or {}), "files": files})


def verified_parts(where: Path, read: Reader, *, kind: str | None, version: float) -> dict[str, bytes]:
    """Every part that a manifest names, verified by it.

    Args:
        where: the directory or archive.
        read: gives the content of `where / name`, or raises StorageError.
        kind: as for `write_directory`; None for any.
        version: likewise, the newest that is read.

    Returns:
        Content by file name.

    Raises:
        StorageError: a part is missing, damaged, of another kind or of a newer version. The message names it.
    """
    manifest = _unsealed(where / MANIFEST, read(where / MANIFEST))
    try:
        if kind is not None and manifest["kind"] != kind:
            raise StorageError(f"{where}: this is of kind {manifest['kind']!r}, not {kind!r}.")
        if manifest["version"] > version:
            raise StorageError(
                f"{where}: format version {manifest['version']} is newer than this Eyebright reads ({version}). "
                "Upgrade Eyebright."
            )
        return {name: _verified(where / name, read, **expected) for name, expected in manifest["files"].items()}
    except (KeyError, TypeError, AttributeError) as error:  # it matches its own SHA-256, and was written by another
        raise StorageError(f"{where / MANIFEST}: no manifest of this kind: {error}.") from error


def read_versions(directory: Path) -> dict[str, str]:
    """The versions of the software that wrote a directory, by name; those that it does not say are left out.

    Raises:
        StorageError: its manifest is missing or damaged.
    """
    path = directory / MANIFEST
    versions = _unsealed(path, _read(path)).get("versions")
    return {name: str(value) for name, value in versions.items()} if isinstance(versions, dict) else {}


def sha256(content: bytes) -> str:
    """SHA-256 as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def json_bytes(value: Any) -> bytes:
    """JSON as it is written to files: sorted, indented, UTF-8, one newline at the end, no NaN."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def _sealed(manifest: dict[str, Any]) -> bytes:
    return json_bytes({**manifest, _OWN_HASH: sha256(json_bytes(manifest))})


def _unsealed(path: Path, content: bytes) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(content)
        manifest.pop(_OWN_HASH)
        # Compared byte for byte, so that a flipped bit in its white space is noticed as well.
        intact = _sealed(manifest) == content
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise StorageError(f"{path}: damaged (it does not match its own SHA-256).")
    return manifest


def _verified(path: Path, read: Reader, *, bytes: int, sha256: str) -> bytes:  # noqa: A002 - the manifest's own names
    content = read(path)
    if len(content) != bytes:
        raise StorageError(f"{path}: damaged ({len(content):,} bytes where {bytes:,} were written).")
    if hashlib.sha256(content).hexdigest() != sha256:
        raise StorageError(f"{path}: damaged (its SHA-256 is not the one that was recorded).")
    return content


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise StorageError(f"{path}: missing.") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}.") from error


def _write_and_sync(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Make a file, or a directory's renames, last through a power cut, where the system can sync what lies there."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def _temporary(path: Path) -> Path:
    """Where a file is written before it gets its name."""
    return path.with_name(f".{path.name}.{os.getpid()}.writing")


@contextlib.contextmanager
def cleaned_up(path: Path) -> Iterator[None]:
    """Remove a temporary file or directory on the way out, however that is."""
    try:
        yield
    finally:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> str:
    return f"{path}: cannot be written: {error.strerror or error}. What was saved before is untouched."
