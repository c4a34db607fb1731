"""Archives of pictures (zip, tar) into a directory, whatever someone has put into them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any, NamedTuple

from eyebright.data.allowance import Allowance
from eyebright.data.picture_names import is_hidden, is_picture
from eyebright.data.workspace import cache_directory
from eyebright.errors import DataError, EyebrightError

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_OPENERS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # with members, and without
_NAMES_ARE_UTF8 = 0x800  # a flag of a member of a zip file
_CHUNK = 2**20  # bytes


class _Member(NamedTuple):
    """A file or directory in an archive.

    Attributes:
        name: as it stands there.
        content: what it holds, in pieces, to be read at once; None for a directory.
    """

    name: str
    content: Iterator[bytes] | None


def is_archive(path: Path) -> bool:
    """Whether a file's name is that of an archive that `unpack` takes."""
    return path.name.lower().endswith(ARCHIVE_SUFFIXES)


def unpack(archive: Path, target: Path, suffixes: tuple[str, ...]) -> dict[str, int]:
    """Unpack the pictures of an archive, and its tables; of what it has besides, only the folders.

    Args:
        archive: a zip or tar file, compressed or not.
        target: an empty directory.
        suffixes: of files to be unpacked besides pictures.

    Returns:
        How many files were passed over, by what they are.

    Raises:
        DataError: a damaged or encrypted archive, a member whose path leads out of it, a link or device, two members of
            one name, more files or bytes than an honest archive has, or no space for them.
    """
    ignored: Counter[str] = Counter()
    try:
        allowance = Allowance(archive, target)
        with archive.open("rb") as file:
            members = _zip_members if file.read(4) in _ZIP else _tar_members
            file.seek(0)
            for member in members(archive, file, allowance):
                _unpack_one(archive, member, target, suffixes, ignored, allowance)
    except EyebrightError:
        raise
    except Exception as error:  # there is no closed list of what damaged bytes make the two modules raise
        raise _damaged(archive, error) from error
    return dict(ignored)


def _damaged(archive: Path, error: Exception) -> DataError:
    if isinstance(error, RuntimeError):  # which zipfile raises for passwords and for methods that it does not know
        return DataError(f"{archive}: {error}. Unpack it yourself.")
    reason = getattr(error, "strerror", None) or error or type(error).__name__
    return DataError(f"{archive}: cannot be unpacked: {reason}. Get the archive anew, whole.")


def _zip_members(archive: Path, file: IO[bytes], allowance: Allowance) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as opened:
        for info in opened.infolist():
            allowance.begin(info.filename)
            kind = stat.S_IFMT(info.external_attr >> 16)
            name = info.filename
            if not info.flag_bits & _NAMES_ARE_UTF8:
                name = _zip_name(name)
            if info.is_dir():
                yield _Member(name, None)
            elif kind not in (0, stat.S_IFREG):
                raise _no_plain_file(archive, name)
            else:
                yield _Member(name, _zip_content(opened, info, archive, allowance))


def _zip_content(
    opened: zipfile.ZipFile, info: zipfile.ZipInfo, archive: Path, allowance: Allowance
) -> Iterator[bytes]:
    try:
        with opened.open(info) as content:
            while chunk := content.read(_CHUNK):
                allowance.read(len(chunk), info.filename)
                yield chunk
    except EyebrightError:
        raise
    except Exception as error:
        raise _damaged(archive, error) from error


def _zip_name(name: str) -> str:
    """A name that is not marked as UTF-8: it is that all the same where it can be, as macOS writes it."""
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


class _Whole(io.RawIOBase):
    """The bytes of a tar file, decompressed; counts them, and knows whether the end was reached as tar files end."""

    def __init__(self, file: IO[bytes], allowance: Allowance, archive: Path) -> None:
        self._file, self._allowance, self._archive = file, allowance, archive
        self._last = b""

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self._allowance.read(len(chunk), "its end")
        self._last = (self._last + chunk)[-tarfile.BLOCKSIZE :]
        return chunk

    def finish(self) -> None:
        """Read what is left, by which the decompressor knows whether all was right."""
        while self.read(_CHUNK):
            pass
        if self._last != bytes(tarfile.BLOCKSIZE):
            raise DataError(f"{self._archive}: truncated: the mark at the end of a tar file is missing. Get it whole.")


def _tar_members(archive: Path, file: IO[bytes], allowance: Allowance) -> Iterator[_Member]:
    start = file.read(6)
    file.seek(0)
    openers: list[Callable[[IO[bytes]], Any]] = [opener for begin, opener in _OPENERS if start.startswith(begin)]
    whole = _Whole(openers[0](file) if openers else file, allowance, archive)
    with tarfile.open(fileobj=whole, mode="r|", bufsize=_CHUNK) as tar:  # a stream: each member once, in order
        for entry in tar:
            allowance.begin(entry.name)
            if entry.isdir():
                yield _Member(entry.name, None)
                continue
            content = tar.extractfile(entry) if entry.isreg() and not entry.issparse() else None
            if content is None:
                raise _no_plain_file(archive, entry.name)
            yield _Member(entry.name, _tar_content(content, archive))
            tar.members.clear()  # type: ignore[attr-defined]  # which would grow with every one
    whole.finish()


def _tar_content(content: IO[bytes], archive: Path) -> Iterator[bytes]:
    try:
        while chunk := content.read(_CHUNK):
            yield chunk
    except EyebrightError:
        raise
    except Exception as error:
        raise _damaged(archive, error) from error


def _no_plain_file(archive: Path, name: str) -> DataError:
    return DataError(f"{archive}: the member {name!r} is a link or no plain file. Leave it out.")


def _unpack_one(
    archive: Path, member: _Member, target: Path, suffixes: tuple[str, ...], ignored: Counter[str], allowance: Allowance
) -> None:
    path = _checked_path(archive, member.name)
    parts = path.parts if member.content is None else path.parts[:-1]
    if any(map(is_hidden, parts)):
        ignored["hidden files"] += member.content is not None
        return
    try:
        folder = target.joinpath(*parts)
        folder.mkdir(parents=True, exist_ok=True)
        if member.content is None:
            return
        is_table = path.name.lower().endswith(suffixes) and not is_hidden(path.name)
        if is_table or is_picture(path.name, ignored):
            with (folder / path.name).open("xb") as file:
                for chunk in member.content:
                    allowance.keep(len(chunk), member.name)
                    file.write(chunk)
    except FileExistsError:
        raise DataError(f"{archive}: two members have the name {member.name!r}. Pack it anew.") from None
    except OSError as error:  # of writing: those of reading are said already
        raise DataError(
            f"{archive}: {member.name!r} cannot be unpacked to {cache_directory()}: {error.strerror or error}."
        ) from error


def _checked_path(archive: Path, name: str) -> PurePosixPath:
    path, on_windows = PurePosixPath(name.replace("\\", "/")), PureWindowsPath(name)
    if path.is_absolute() or on_windows.drive or on_windows.root or ".." in path.parts or "\0" in name:
        raise DataError(
            f"{archive}: the member {name!r} leads out of the archive. It is refused; was it made with care?"
        )
    return path
