"""A copy of a run elsewhere, in object storage say, from which any machine can go on with it.

It is one file, run.zip: the run's directory as of one moment. Storage shows the old file or the new one, so that the
copy is always that of a run which could have been killed at that moment. In the run's directory copy.json says where
the copy is, and has a number by which a copy is known to be of this run and of no other.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import uuid
import zipfile
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from eyebright.data.shards.places import FileMissingError, Place, place_of
from eyebright.errors import EyebrightError, RunError, StorageError
from eyebright.paths import expanded, is_url, whole_path
from eyebright.run_directory import RunDirectory
from eyebright.run_paths import RunExistsError, is_run
from eyebright.storage import cleaned_up, json_bytes, put_in_place, write_file
from eyebright.stored_zip import is_whole, zip_bytes
from eyebright.suggestions import command

ARCHIVE = "run.zip"
_RECORD, _RESULTS = "copy.json", "results.json"
_CHECKPOINT = re.compile(r"checkpoints/step-(\d+)/.*")

Say = Callable[[str], None]


def is_copy(location: str) -> bool:
    """Whether a location is where a copy of a run lies, rather than the directory of a run."""
    return is_url(location) or (expanded(location) / ARCHIVE).is_file()


def check_no_copy(location: str) -> None:
    """Refuse a location where a copy of some run is already, or that cannot be read.

    Raises:
        RunExistsError: one is there.
        DataError: object storage denies, or does not answer.
        SettingsError: a URL of a kind that is not known.
        MissingExtraError: what that kind needs is not installed.
    """
    place = place_of(location)
    with contextlib.suppress(FileMissingError):
        place.read(ARCHIVE)
        raise RunExistsError(
            f"{place.where(ARCHIVE)}: exists already. A copy never overwrites that of another run: name another place, "
            f"or go on with that run: {command('train', '--resume', location)}"
        )


def begin_copy(run: Path, location: str) -> None:
    """Note in a run's directory that a copy of it is to be kept.

    Raises:
        StorageError: a directory that cannot be made.
    """
    if not is_url(location):
        location = whole_path(location)
        try:
            Path(location).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{location}: the directory cannot be made: {error.strerror or error}.") from error
    write_file(run / _RECORD, json_bytes({"location": location, "run": uuid.uuid4().hex}))


def location_of(run: Path) -> str | None:
    """Where the copy of a run is kept; None where there is none.

    Raises:
        RunError: its record is damaged.
    """
    record = _record(run)
    return None if record is None else str(record["location"])


class RunCopy:
    """The copy of a run, brought up to date at the beginning, whenever it is asked for, and once more at the end.

    Between these two a transfer runs beside the training, which never waits for it: while one is under way, another is
    not begun. One that fails is told of, and the next tries again. Of a run that has no copy nothing is done.

    Args:
        run: the run's directory, whose lock is held.
        say: shows a person a message.
    """

    def __init__(self, run: Path, say: Say) -> None:
        self._run, self._say = run, say
        location = location_of(run)
        self._place = None if location is None else place_of(location)
        self._pool = ThreadPoolExecutor(1, "copy")
        self._transfer: Future[None] | None = None
        self._there = b""  # what the copy is, as far as this process knows

    def __enter__(self) -> Self:
        if self._place is not None:
            with contextlib.suppress(FileMissingError):
                self._there = _same_run(self._place, self._run).content
            self._transfer_now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._place is not None:
                self._end_transfer()
                self._transfer_now()
        except EyebrightError as failure:
            if error is None:
                raise
            self._say(str(failure))  # what stopped the training is more important
        finally:
            self._pool.shutdown()

    def update(self) -> None:
        """Begin to bring the copy up to date, unless that is being done."""
        if self._place is not None and (self._transfer is None or self._transfer.done()):
            self._end_transfer()
            self._transfer = self._pool.submit(self._put, self._place, _snapshot(self._run))

    def _end_transfer(self) -> None:
        """Wait for the transfer that is under way, and tell if it fails."""
        try:
            if self._transfer is not None:
                self._transfer.result()
        except EyebrightError as error:
            self._say(f"The run's copy is not up to date: {error}")
        self._transfer = None

    def _transfer_now(self) -> None:
        try:
            self._put(self._place, _snapshot(self._run))
        except StorageError as error:
            raise StorageError(
                f"{error}\nThe run itself is whole in {self._run}. {command('train', '--resume', self._run)} brings "
                f"its copy up to date; without the file {self._run / _RECORD} none is kept."
            ) from error

    def _put(self, place: Place | None, content: bytes) -> None:
        if place is not None and content != self._there:
            place.write(ARCHIVE, content)
            self._there = content


def fetch_run(location: str, path: Path) -> None:
    """Bring a run from its copy to a directory, unless the same run is there and is as far.

    Args:
        location: where the copy lies.
        path: the run's directory.

    Raises:
        RunExistsError: something else is there.
        RunError: another process is at work there.
        StorageError: the copy is damaged, or cannot be written here.
        DataError: it is not there, or cannot be read.
    """
    copy = _read(place_of(location))
    if not os.path.lexists(path):
        _unpack(copy, path)
        return
    record = _record(path)
    if record is None or record["run"] != copy.run:
        raise RunExistsError(
            f"{path}: exists already, and is not the run of {copy.where}. Name another directory: --run-dir."
        )
    if _progress(copy.names) > _progress(_files(path)):
        with RunDirectory.open_any(path).locked():
            _unpack(copy, path)


def unpack_copy(location: str, path: Path) -> None:
    """Unpack a copy into a directory that does not exist.

    Raises:
        StorageError: it is damaged, or cannot be written here.
        DataError: it is not there, or cannot be read.
    """
    _unpack(_read(place_of(location)), path)


class _Copy(NamedTuple):
    """A copy that was read: where from, its bytes, the names of its files, and the number that its run has."""

    where: str
    content: bytes
    names: list[str]
    run: str


def _read(place: Place) -> _Copy:
    where, content = place.where(ARCHIVE), place.read(ARCHIVE)
    if not is_whole(content):
        raise StorageError(f"{where}: damaged (it does not end with the SHA-256 of what it holds).")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return _Copy(where, content, archive.namelist(), str(json.loads(archive.read(_RECORD))["run"]))
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError) as error:  # whole, and written by another
        raise StorageError(f"{where}: no copy of a run: {error}.") from error


def _same_run(place: Place, run: Path) -> _Copy:
    """The copy of a run, which must be of this one, and not further.

    Raises:
        RunError: it is of another by now, or has got further, on another machine.
    """
    copy, record = _read(place), _record(run) or {}
    if copy.run != record.get("run"):
        raise RunError(
            f"{copy.where}: by now a copy of another run than {run}. Without the file {run / _RECORD} this one is gone "
            "on with, and has no copy."
        )
    there, here = _progress(copy.names), _progress(_files(run))
    if there > here:
        raise RunError(
            f"{run}: its copy {copy.where} has got further, to step {there[0]}; this directory is at step {here[0]}. "
            f"Go on with the copy: {command('train', '--resume', record['location'])}"
        )
    return copy


def _unpack(copy: _Copy, path: Path) -> None:
    """Put the directory in its place, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.fetching")
    try:
        with cleaned_up(temporary), zipfile.ZipFile(io.BytesIO(copy.content)) as archive:
            temporary.mkdir(parents=True)
            archive.extractall(temporary)
            if not is_run(temporary):
                raise StorageError(f"{copy.where}: no copy of a run (no settings.toml and data.json in it).")
            put_in_place(temporary, path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror or error}.") from error


def _snapshot(run: Path) -> bytes:
    """All files of a run, as they are now."""
    try:
        return zip_bytes({name: (run / name).read_bytes() for name in _files(run)})
    except OSError as error:
        raise StorageError(f"{error.filename}: cannot be read: {error.strerror}.") from error


def _files(run: Path) -> list[str]:
    """The files of a run; a name that begins with a dot is that of one which is not finished, or of a lock."""
    names = (path.relative_to(run) for path in run.rglob("*") if path.is_file())
    return [name.as_posix() for name in names if not any(part.startswith(".") for part in name.parts)]


def _progress(names: list[str]) -> tuple[int, bool]:
    """How far a run is, by the names of its files: the step of its newest checkpoint, and whether it is finished."""
    steps = [int(match[1]) for name in names if (match := _CHECKPOINT.fullmatch(name))]
    return max(steps, default=0), _RESULTS in names


def _record(run: Path) -> dict[str, Any] | None:
    path = run / _RECORD
    try:
        record = json.loads(path.read_bytes())
        return {"location": record["location"], "run": record["run"]}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path}: cannot be read, or damaged: {error}. Without it the run has no copy.") from error
