"""What every reader does with files: read them whole, or say which is missing and what is wrong with it."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from eyebright.errors import DataError


def read_bytes(path: Path) -> bytes:
    """The whole content of a file.

    Raises:
        DataError: it is missing, no regular file (a pipe would be waited for, a device never ends), or unreadable.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{path}: this is no regular file.")
        return path.read_bytes()
    except OSError as error:
        raise cannot_read(path, error) from error


def require_files(directory: Path, names: Sequence[str], kind: str) -> None:
    """Check that a directory has the files that a layout needs, before time is spent on the first of them.

    Raises:
        DataError: files are missing. The message names all of them.
    """
    missing = [name for name in names if not (directory / name).exists()]
    if missing:
        raise DataError(
            f"{directory}: missing {', '.join(missing)} ({kind} has {', '.join(names)}). Fetch it again, whole."
        )


def cannot_read(path: Path, error: OSError) -> DataError:
    """The error for a file that the operating system does not let us read."""
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path}: missing.")
    return DataError(f"{path}: cannot be read: {error.strerror or error}.")
