"""How much an archive or table may be unpacked to: files are made that would fill every disk ("bombs")."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

from eyebright.data.workspace import cache_directory
from eyebright.errors import DataError

MOST_FILES = 5_000_000
_MOST_RATIO = 100  # bytes unpacked for each byte of the file; pictures are compressed already
_ALWAYS_ALLOWED = 256 * 2**20  # bytes: so much does no harm, whatever its ratio
_SPACE_LEFT = 2**30  # bytes of the disk that are not filled
_BYTES_A_FILE = 512  # what a file takes, however little is in it


class Allowance:
    """What may still be unpacked from a file.

    Args:
        source: the archive or table.
        target: a directory on the disk that it is unpacked to.

    Raises:
        DataError: the source is no regular file: a pipe would be waited for. By its methods: more files than
            `MOST_FILES`, more bytes than an honest file of that size holds, or more than there is room for.
    """

    def __init__(self, source: Path, target: Path) -> None:
        status = source.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{source}: this is no regular file.")
        self.source = source
        self._files = 0
        self._bytes = max(_ALWAYS_ALLOWED, _MOST_RATIO * status.st_size)
        self._room = shutil.disk_usage(target).free - _SPACE_LEFT

    def begin(self, name: str) -> None:
        """Count one more file, of this name."""
        self._files += 1
        if self._files > MOST_FILES:
            raise DataError(f"{self.source}: it has more than {MOST_FILES:,} files. Unpack it yourself, with care.")
        self.read(_BYTES_A_FILE, name)

    def read(self, size: int, name: str) -> None:
        """Count bytes that were unpacked from a file of this name."""
        self._bytes -= size
        if self._bytes < 0:
            raise DataError(
                f"{self.source}: unpacked it would be far larger than an honest file of its size is (at {name!r}). "
                "Unpack it yourself, with care."
            )

    def keep(self, size: int, name: str) -> None:
        """Count bytes from a file of this name that are about to be written to the disk."""
        self._room -= size
        if self._room < 0:
            raise DataError(
                f"{self.source}: there is no room in {cache_directory()} for what is in it, from {name!r} on "
                f"({_SPACE_LEFT / 1e9:.0f} GB of the disk are left free)."
            )
