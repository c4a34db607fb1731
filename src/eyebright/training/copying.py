"""The copy of a run, kept up to date while it is trained."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from eyebright.data.places import FileMissingError, place_of
from eyebright.errors import DataError, EyebrightError, RunError, StorageError
from eyebright.run_copy import ARCHIVE, RECORD, Copy, CopyRecord, Progress, files_of
from eyebright.storage import sha256
from eyebright.stored_zip import zip_bytes
from eyebright.suggestions import command

Files = dict[str, bytes]
Say = Callable[[str], None]


def begin_copy(run: Path, say: Say) -> RunCopy:
    """The copy of a run that has just begun; where it cannot be written, nothing is left of the run.

    Raises:
        StorageError: it cannot be.
    """
    try:
        copy = RunCopy(run, say, is_new=True)
        copy.bring_up_to_date()
    except EyebrightError:
        shutil.rmtree(run, ignore_errors=True)
        raise
    return copy


class RunCopy:
    """The copy of a run, brought up to date at the beginning, whenever it is asked for, and once more at the end.

    Between these two a transfer runs beside the training, which waits for the reading of the files alone: while one is
    under way, another is not begun. One that fails is told of, and the next tries again. Of a run that has no copy
    nothing is done.

    Args:
        run: the run's directory, whose lock is held.
        say: shows a person a message.
        is_new: whether the run has just begun, so that no copy can be there.

    Raises:
        RunError: the copy is that of another run by now, or has got further, on another machine.
        StorageError: it is damaged, or cannot be read.
    """

    def __init__(self, run: Path, say: Say, *, is_new: bool = False) -> None:
        self._run, self._say = run, say
        self._record = CopyRecord.of(run)
        self._there = ""  # the SHA-256 of the copy, as far as this process knows
        self._is_behind = False
        # As a daemon it does not keep a process that is to end at once.
        self._transfer: threading.Thread | None = None
        self._failure: EyebrightError | None = None
        if self._record is not None:
            with self._advised():
                self._place = place_of(self._record.location)
                self._there = "" if is_new else self._sha256_of(self._record)

    def bring_up_to_date(self) -> None:
        """Transfer at once what is not there.

        Raises:
            StorageError: it cannot be written.
        """
        if self._record is not None:
            self._put(self._snapshot())

    def __enter__(self) -> Self:
        if self._record is not None:
            with self._advised():
                self.bring_up_to_date()
            self._say(f"A copy of the run is kept up to date: {self._place.where(ARCHIVE)}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._record is None:
            return
        self._finish_transfer()
        try:
            with self._advised():
                self.bring_up_to_date()
        except StorageError as failure:
            if error is None:
                raise
            self._say(str(failure))  # what stopped the training is more important
        else:
            self._say(f"The run's copy is up to date: {self._place.where(ARCHIVE)}")

    @contextlib.contextmanager
    def _advised(self) -> Iterator[None]:
        """Say what to do where the place of the copy does not answer as it should."""
        try:
            yield
        except (DataError, StorageError) as error:
            raise StorageError(
                f"{error}\nThe run itself is whole in {self._run}. {command('train', '--resume', self._run)} brings "
                f"its copy up to date when that can be done; without the file {self._run / RECORD} no copy is kept."
            ) from error

    def update(self) -> None:
        """Begin to bring the copy up to date, unless that is being done."""
        if self._record is None or (self._transfer is not None and self._transfer.is_alive()):
            return
        self._finish_transfer()
        try:
            files = self._snapshot()
        except StorageError as error:
            self._tell(error)
            return
        self._transfer = threading.Thread(target=self._put_beside, args=(files,), daemon=True)
        self._transfer.start()

    def _finish_transfer(self) -> None:
        """Wait for the transfer that is under way, and tell if it has failed."""
        if self._transfer is not None:
            self._transfer.join()
        if self._failure is not None:
            self._tell(self._failure)
        elif self._transfer is not None and self._is_behind:
            self._say("The run's copy is up to date again.")
            self._is_behind = False
        self._transfer = self._failure = None

    def _tell(self, failure: EyebrightError) -> None:
        self._say(f"The run's copy is not up to date (the next checkpoint tries again): {failure}")
        self._is_behind = True

    def _snapshot(self) -> Files:
        """All files of the run, as they are now."""
        try:
            return {name: (self._run / name).read_bytes() for name in files_of(self._run)}
        except OSError as error:
            raise StorageError(f"{error.filename}: cannot be read: {error.strerror}.") from error

    def _put_beside(self, files: Files) -> None:
        try:
            self._put(files)
        except EyebrightError as error:
            self._failure = error

    def _put(self, files: Files) -> None:
        content = zip_bytes(files)
        if (found := sha256(content)) != self._there:
            self._place.write(ARCHIVE, content)
            self._there = found

    def _sha256_of(self, record: CopyRecord) -> str:
        """That of the copy that is there, if one is, which must be of this run, and not further."""
        try:
            copy = Copy.read(self._place)
        except FileMissingError:
            return ""
        if copy.record.run != record.run:
            raise RunError(
                f"{copy.where}: by now a copy of another run than {self._run}. Without the file {self._run / RECORD} "
                "this one is gone on with, and has no copy."
            )
        there, here = Progress.of(copy.names).step, Progress.of(files_of(self._run)).step
        if there > here:
            raise RunError(
                f"{self._run}: its copy {copy.where} has got further, to step {there}; this directory is at step "
                f"{here}. Go on with the copy: {command('train', '--resume', record.location, '--run-dir', self._run)}"
            )
        return sha256(copy.content)
