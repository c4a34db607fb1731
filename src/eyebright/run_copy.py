"""A copy of a run elsewhere, in object storage say, from which any machine can go on with it.

It is one file, run.zip: the run's directory as of one moment. Object storage shows the old file or the new one, so that
the copy is always that of a run which could have been killed at that moment. In the run's directory copy.json says
where the copy is, and has a number by which a copy is known to be of this run and of no other. `training/copying.py`
keeps it up to date.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import uuid
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from eyebright.data.places import FileMissingError, Place, place_of
from eyebright.errors import RunError, SettingsError, StorageError
from eyebright.paths import expanded, is_file, is_url, whole_path
from eyebright.run_directory import RunDirectory
from eyebright.run_paths import RunExistsError, is_run
from eyebright.storage import cleaned_up, is_intact, json_bytes, put_in_place, write_file
from eyebright.stored_zip import is_whole
from eyebright.suggestions import command

ARCHIVE, RECORD = "run.zip", "copy.json"
_RESULTS, _CHECKPOINTS = "results.json", "checkpoints"
_CHECKPOINT = re.compile(rf"{_CHECKPOINTS}/step-(\d+)/.*")


class CopyRecord(NamedTuple):
    """What a run's copy.json says: where the copy is, and the number that run and copy share."""

    location: str
    run: str

    @classmethod
    def new(cls, location: str) -> CopyRecord:
        """That of a run which begins."""
        return cls(_whole(location), uuid.uuid4().hex)

    @classmethod
    def of(cls, run: Path) -> CopyRecord | None:
        """That of a run's directory; None where it has no copy.

        Raises:
            RunError: it cannot be read, or is damaged.
        """
        path = run / RECORD
        try:
            return cls.parse(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: cannot be read, or damaged: {error}. Without it the run has no copy.") from error

    @classmethod
    def parse(cls, content: bytes) -> CopyRecord:
        """That of a file's content."""
        record = json.loads(content)
        return cls(str(record["location"]), str(record["run"]))

    def to_bytes(self) -> bytes:
        """The content of the file."""
        return json_bytes(self._asdict())


class Progress(NamedTuple):
    """How far a run is: the step of its newest checkpoint, and whether it is finished."""

    step: int
    finished: bool

    @classmethod
    def of(cls, names: Sequence[str]) -> Progress:
        """By the names of its files."""
        steps = [int(match[1]) for name in names if (match := _CHECKPOINT.fullmatch(name))]
        return cls(max(steps, default=0), _RESULTS in names)


class Copy(NamedTuple):
    """A copy that was read: what messages call it, its bytes, the names of its files, and its record."""

    where: str
    content: bytes
    names: list[str]
    record: CopyRecord

    @classmethod
    def read(cls, place: Place) -> Copy:
        """Read and verify one.

        Raises:
            FileMissingError: none is there.
            DataError: it cannot be read.
            StorageError: it is damaged, or something else.
        """
        where, content = place.where(ARCHIVE), place.read(ARCHIVE)
        anew = (
            "Where the run's own directory is left, remove this file: --resume with the directory makes it anew. Where "
            "it is not, keep it: what unzip brings out of it may be a run that can be gone on with."
        )
        if not is_whole(content):
            raise StorageError(f"{where}: damaged (it does not end with the SHA-256 of what it holds). {anew}")
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                return cls(where, content, archive.namelist(), CopyRecord.parse(archive.read(RECORD)))
        except (zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:  # whole, and written by another
            raise StorageError(f"{where}: no copy of a run: {error}. {anew}") from error


def is_copy(location: str) -> bool:
    """Whether a location is where a copy of a run lies, rather than the directory of a run."""
    return is_url(location) or is_file(expanded(location) / ARCHIVE)


def keep_copy(run: Path, location: str) -> None:
    """Have a copy of a run that was begun be kept at a place from now on, in that of another place if there was one.

    Raises:
        RunError: no single run, or a search's, or another process is at work in it.
        EyebrightError: see `check_no_copy`.
    """
    directory = RunDirectory.open(run)
    if directory.data.trial is not None:
        raise RunError(f"{run}: this is of a search. No copy of it can be kept.")
    check_no_copy(location, run)
    before = CopyRecord.of(run)
    with directory.locked():
        record = CopyRecord.new(location) if before is None else before._replace(location=_whole(location))
        write_file(run / RECORD, record.to_bytes())


def check_no_copy(location: str, run: Path) -> None:
    """Refuse a place for the copy of a run that is to begin.

    Raises:
        RunExistsError: there is one of some run already.
        SettingsError: it is within the run's directory, or a URL of a kind that is not known.
        MissingExtraError: what that kind needs is not installed.
        DataError: object storage denies, or does not answer.
    """
    if not location.strip():
        raise SettingsError("--copy-to: names no place. Is a variable empty?")
    if not is_url(location) and Path(whole_path(location)).is_relative_to(whole_path(run)):
        raise SettingsError(f"--copy-to {location}: within the run's own directory. Name another place.")
    place = place_of(location)
    with contextlib.suppress(FileMissingError):
        place.read(ARCHIVE)
        raise RunExistsError(
            f"{place.where(ARCHIVE)}: exists already. A copy never overwrites that of another run: name another place, "
            f"or go on with that run: {command('train', '--resume', location)}"
        )


def fetch_run(location: str, path: Path) -> None:
    """Bring a run from its copy to a directory, unless the same run is there and is as far.

    Where it is there and is not, its files are replaced, and those that the copy does not have are kept.

    Args:
        location: where the copy lies.
        path: the run's directory.

    Raises:
        RunExistsError: something else is there.
        RunError: another process is at work there.
        StorageError: the copy is damaged, or cannot be written here.
        DataError: it is not there, or cannot be read.
    """
    copy = Copy.read(place_of(location))
    record = copy.record._replace(location=_whole(location))  # the place may have another name on this machine
    if not os.path.lexists(path):
        with _unpacked(copy, path) as temporary:
            write_file(temporary / RECORD, record.to_bytes())
            temporary.rename(path)
        return
    own = CopyRecord.of(path)
    if own is None or own.run != record.run:
        raise RunExistsError(
            f"{path}: exists already, and is not the run of {copy.where}. Name another directory: --run-dir."
        )
    with RunDirectory.open_any(path).locked():
        if Progress.of(copy.names) > Progress.of(files_of(path)):
            with _unpacked(copy, path) as temporary:
                write_file(temporary / RECORD, record.to_bytes())
                _keep_others(path, temporary)
                put_in_place(temporary, path)


def unpack_copy(location: str, path: Path) -> None:
    """Unpack a copy into a directory that does not exist.

    Raises:
        StorageError: it is damaged, or cannot be written here.
        DataError: it is not there, or cannot be read.
    """
    with _unpacked(Copy.read(place_of(location)), path) as temporary:
        temporary.rename(path)


def files_of(run: Path) -> list[str]:
    """The names of a run's files, without those of damaged checkpoints.

    A name that begins with a dot is that of a file which is not finished, or of a lock.
    """
    damaged = {path for path in run.glob(f"{_CHECKPOINTS}/step-*") if not is_intact(path)}
    paths = [path for path in run.rglob("*") if path.is_file() and path.parent not in damaged]
    names = [path.relative_to(run) for path in paths]
    return [name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts)]


@contextlib.contextmanager
def _unpacked(copy: Copy, path: Path) -> Iterator[Path]:
    """A directory beside a path with what a copy holds, to be given its name; nothing is left of it after an error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.fetching")
    try:
        with cleaned_up(temporary), zipfile.ZipFile(io.BytesIO(copy.content)) as archive:
            temporary.mkdir(parents=True)
            archive.extractall(temporary)
            if not is_run(temporary):
                raise StorageError(f"{copy.where}: no copy of a run (no settings.toml and data.json in it).")
            yield temporary
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}.") from error


def _keep_others(old: Path, new: Path) -> None:
    """Put the files of an old directory that are no part of the run, as far as the new one is, into the new one."""
    for name in files_of(old):
        if not _CHECKPOINT.fullmatch(name) and not (new / name).exists():
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(old / name, new / name)


def _whole(location: str) -> str:
    return location if is_url(location) else whole_path(location)
