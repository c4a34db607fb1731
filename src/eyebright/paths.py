"""Paths as people type them: with a ~ for a home directory, relative to where they are, and sometimes impossible."""

from __future__ import annotations

import os
import re
from pathlib import Path

from eyebright.errors import SettingsError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def is_url(location: object) -> bool:
    """Whether a location is a URL rather than a path.

    >>> is_url("s3://bucket/digits"), is_url("photos/digits"), is_url(Path("digits"))
    (True, False, False)
    """
    return isinstance(location, str) and _URL.match(location) is not None


def expanded(path: str | Path) -> Path:
    """A path with the home directory in the place of a ~ that it begins with.

    Raises:
        SettingsError: it is the home directory of a user who is not there.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise SettingsError(f"{path}: there is no user {Path(path).parts[0][1:]!r}. Give the whole path.") from error


def whole_path(path: str | Path) -> str:
    """A path from the root of the file system on, for records that are read from other directories, too.

    Raises:
        SettingsError: see `expanded`.
    """
    return str(expanded(path).resolve())


# Unlike the methods of Path, these raise neither for a name that is too long nor where a directory may not be searched.


def exists(path: Path) -> bool:
    """Whether something is at a path; a link counts as what it leads to."""
    return os.path.exists(path)  # noqa: PTH110


def is_directory(path: Path) -> bool:
    """Whether a directory is at a path."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """Whether a regular file is at a path."""
    return os.path.isfile(path)  # noqa: PTH113
