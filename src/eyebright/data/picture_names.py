"""What names of files and folders say: whether a file is a picture, which split a folder is, which comes first."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from pathlib import Path

from eyebright.errors import DataError

# What a file is called that holds a picture, be it one that cannot be read: that is then said, not passed over.
PICTURE_SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "dib", "tif", "tiff", "avif", "ppm", "pgm"),
        *("pbm", "pnm", "heic", "heif", "jp2", "jxl"),
    )
)
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
# Of systems, not of people: macOS, Windows, Synology.
_OF_SYSTEMS = {
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "@eadir",
}
# What ends lines, moves the cursor of a terminal, or stands for bytes of a name that are no UTF-8.
_UNPRINTED = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FIRST_BYTE, _LAST_BYTE, _BYTES_FROM = 0xDC80, 0xDCFF, 0xDC00  # of Python's characters for such bytes


def natural_key(text: str) -> tuple[list[tuple[int, int, str]], str]:
    """Key for a sort in which numbers within names count as numbers; the same on every machine.

    >>> sorted(["b", "a10", "A1", "a2"], key=natural_key)
    ['A1', 'a2', 'a10', 'b']
    """
    parts = re.split(r"([0-9]+)", unicodedata.normalize("NFC", text).casefold())
    # Of two numbers the one of more digits is the larger: no need to convert them, which is slow for long ones.
    numbers = [(0, len(digits), digits) for digits in (part.lstrip("0") for part in parts[1::2])]
    words = [(1, 0, part) for part in parts[0::2]]
    key = [words[0]] + [part for pair in zip(numbers, words[1:], strict=True) for part in pair]
    return [part for part in key if part != (1, 0, "")], text


def split_of(name: str) -> str | None:
    """The split that a folder or a table's cell of this name means, or None.

    >>> split_of("Valid"), split_of("cats")
    ('validation', None)
    """
    return _SPLITS.get(name.strip().casefold())


def shown_path(path: str) -> str:
    r"""A path as it is shown and written into lists: one line of valid UTF-8, its parts between "/".

    >>> shown_path("caf\udce9/new\nline.jpg")
    'caf\\xe9/new\\x0aline.jpg'
    """

    def escaped(match: re.Match[str]) -> str:
        code = ord(match[0])
        return f"\\x{code - _BYTES_FROM if _FIRST_BYTE <= code <= _LAST_BYTE else code:02x}"

    return _UNPRINTED.sub(escaped, path.replace(os.sep, "/"))


def plain_path(path: str) -> str:
    """A path, as someone wrote it, without parts that lead nowhere.

    >>> plain_path("./cats//1.jpg")
    'cats/1.jpg'
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return ("/" if path.startswith("/") else "") + "/".join(parts)


def walk(directory: Path, ignored: Counter[str]) -> list[str]:
    """Paths of picture files in a directory and all below it, in a fixed order; counts what it passes over.

    Links to directories are followed, but into none twice, and into none that this one lies in: what is found there
    is of other classes.

    Raises:
        DataError: a directory cannot be read.
    """
    found: list[str] = []
    as_named = Path(os.path.normpath(directory.absolute()))
    seen = {_identity(parent) for path in (as_named, directory.resolve()) for parent in path.parents}

    def refuse(error: OSError) -> None:
        raise cannot_list(error.filename, error) from error

    for parent, folders, files in os.walk(directory, followlinks=True, onerror=refuse):
        identity = _identity(Path(parent))
        if identity in seen:
            ignored["links to folders that are read already"] += 1
            folders.clear()
            continue
        seen.add(identity)
        hidden = [folder for folder in folders if is_hidden(folder)]
        if hidden:
            ignored["hidden folders"] += len(hidden)
        folders[:] = sorted(folder for folder in folders if not is_hidden(folder))
        folder = os.path.join(parent, "")  # noqa: PTH118 - with the "/" at its end
        found += [f"{folder}{file}" for file in sorted(files) if is_picture(file, ignored)]
    return found


def cannot_list(path: object, error: OSError) -> DataError:
    """The error for a directory that the system does not let us read."""
    return DataError(f"{path}: this directory cannot be read: {error.strerror or error}.")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:  # then os.walk says it, or finds nothing in it
        return None
    return status.st_dev, status.st_ino


def is_hidden(name: str) -> bool:
    """Whether a file or folder is one that systems keep for themselves."""
    return name.startswith(".") or name.casefold() in _OF_SYSTEMS


def is_picture(name: str, ignored: Counter[str]) -> bool:
    """Whether a file's name is that of a picture; if not, it is counted."""
    if is_hidden(name):
        ignored["hidden files"] += 1
        return False
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - of every file: a Path takes ten times as long
    if suffix in PICTURE_SUFFIXES:
        return True
    ignored[f"{shown_path(suffix)} files" if suffix else "files without a suffix"] += 1
    return False
