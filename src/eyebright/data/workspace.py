"""The directory that decoded pictures are kept in, and work in it: locks, and what is half made."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from eyebright.errors import DataError, MissingExtraError
from eyebright.paths import expanded

DIRECTORY_VARIABLE = "EYEBRIGHT_CACHE"
HALF_MADE = ".working-"  # how the names of directories begin whose content is of no use to another process
_LOCK = ".lock"


def cache_directory() -> Path:
    """Where decoded pictures are kept: what EYEBRIGHT_CACHE says, or else the user's cache directory."""
    if from_environment := os.environ.get(DIRECTORY_VARIABLE):
        return expanded(from_environment)
    import platformdirs

    return Path(platformdirs.user_cache_dir("eyebright"))


@contextlib.contextmanager
def writing_to(directory: Path) -> Iterator[None]:
    """Say of the system's errors which directory could not be written, and what to do.

    Raises:
        DataError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"{directory}: decoded pictures cannot be kept there: {error.strerror or error}. Make room, or give "
            f"another place in {DIRECTORY_VARIABLE}."
        ) from error


@contextlib.contextmanager
def locked(name: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock of the cache, which the system releases however the process ends.

    Args:
        name: of the lock.
        waiting: called once if another process holds it, before this one waits.

    Raises:
        DataError: the directory cannot be written.
        MissingExtraError: filelock is not installed.
    """
    try:
        from filelock import FileLock, Timeout
    except ModuleNotFoundError as error:
        raise MissingExtraError("Reading pictures", "train") from error
    directory = cache_directory()
    lock = FileLock(directory / f".{name}{_LOCK}")
    with writing_to(directory):
        directory.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting()
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def working_directory() -> Iterator[Path]:
    """An empty directory in the cache, removed at the end. What killed processes left of theirs is removed first.

    Raises:
        DataError: it cannot be made.
        MissingExtraError: filelock is not installed.
    """
    directory = cache_directory()
    with contextlib.ExitStack() as stack:
        with locked("working"), writing_to(directory):  # so that nobody takes it for a killed process's
            remove_leftovers()
            path = Path(tempfile.mkdtemp(prefix=HALF_MADE, dir=directory))
            stack.callback(shutil.rmtree, path, ignore_errors=True)
            stack.enter_context(locked(path.name.removeprefix(".")))
            stack.callback(path.with_name(f"{path.name}{_LOCK}").unlink, missing_ok=True)
        yield path


def remove_leftovers() -> int:
    """Remove what killed processes left half made, and locks that nobody holds; returns how many bytes that were."""
    from filelock import FileLock, Timeout

    directory, freed = cache_directory(), 0
    if not directory.is_dir():
        return 0
    names = {
        path.name.removesuffix(_LOCK) for pattern in (f".*{_LOCK}", f"{HALF_MADE}*") for path in directory.glob(pattern)
    }
    for name in names:
        lock, half_made = directory / f"{name}{_LOCK}", directory / name
        with contextlib.suppress(Timeout, OSError), FileLock(lock, timeout=0):  # else it is at work
            if name.startswith(HALF_MADE):
                freed += size_of(half_made)
                shutil.rmtree(half_made, ignore_errors=True)
            lock.unlink()  # one who waits for it notices, and makes a new one
    return freed


def size_of(directory: Path) -> int:
    """How many bytes the files in a directory and below it have."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
