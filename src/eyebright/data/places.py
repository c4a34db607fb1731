"""Where files lie: a directory, or object storage that fsspec reaches, with bounded patience.

A place gives whole files and takes whole files. What is not there, what may not be read, and a server that is down or
stalls are told apart, because what to do differs: only the last is tried again.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from eyebright.data.readers.files import read_bytes
from eyebright.errors import DataError, EyebrightError, MissingExtraError, SettingsError, StorageError
from eyebright.paths import exists, expanded, is_url
from eyebright.storage import write_file

Result = TypeVar("Result")

# By name: they are botocore's, which is only there where the extra is.
_OF_CREDENTIALS = ("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound")
_SLOWEST = 100_000  # bytes a second: a server that takes fewer has stalled
_LOOKS_LIKE_A_URL = re.compile(r"[A-Za-z0-9]{2,}(:[/\\]|//)")  # s3:/bucket, s3//bucket


class FileMissingError(DataError):
    """A file is not where it should be."""


class Patience(NamedTuple):
    """How long object storage is waited for.

    Attributes:
        attempts: for each file, before it is given up.
        pause_seconds: before the second attempt; it doubles before each further one.
        connect_seconds: to reach the server.
        read_seconds: without a byte from it; to write, in all, beside a second for each 100 kB.
    """

    attempts: int = 4
    pause_seconds: float = 0.5
    connect_seconds: float = 10.0
    read_seconds: float = 30.0


class Place(Protocol):
    """A directory of files, here or elsewhere."""

    def where(self, name: str) -> str:
        """How messages call a file in it."""

    def read(self, name: str) -> bytes:
        """The content of a file.

        Raises:
            FileMissingError: it is not there.
            DataError: it cannot be read.
        """

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all.

        Raises:
            StorageError: it cannot be written.
        """


def place_of(location: str | Path, patience: Patience | None = None) -> Place:
    """The place at a path or URL.

    Args:
        location: for example "shards/cifar10" or "s3://bucket/cifar10".
        patience: with object storage; the usual one if not given.

    Raises:
        SettingsError: a URL of a kind that is not known, or a slip of one.
        MissingExtraError: what that kind needs is not installed.
    """
    if _LOOKS_LIKE_A_URL.match(str(location)) and not is_url(location):
        raise SettingsError(f"{location}: no URL, but it looks like one. Give s3://bucket/name, or ./{location}.")
    if is_url(location):
        return ObjectStorage(str(location), patience or Patience())
    return Directory(expanded(location))


class Directory:
    """Files in a directory of this machine.

    Args:
        path: of the directory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def where(self, name: str) -> str:
        """See `Place`."""
        return str(self._path / name)

    def read(self, name: str) -> bytes:
        """See `Place`."""
        path = self._path / name
        if not exists(path):
            raise FileMissingError(f"{path}: missing.")
        return read_bytes(path)

    def write(self, name: str, content: bytes) -> None:
        """See `Place`."""
        try:
            self._path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(f"{self._path}: the directory cannot be made: {error.strerror or error}.") from error
        write_file(self._path / name, content)


class ObjectStorage:
    """Files at a URL. Credentials and the server's address come from the environment, as for that storage's own tools.

    Args:
        url: of the directory.
        patience: how long it is waited for.

    Raises:
        SettingsError: a URL of a kind that is not known.
        MissingExtraError: what that kind needs is not installed.
    """

    def __init__(self, url: str, patience: Patience) -> None:
        kind, _, rest = url.partition("://")
        kind = kind.lower()
        self._url, self._patience = f"{kind}://{rest}".rstrip("/"), patience
        if not is_url(self._url):
            raise SettingsError(f"{url}: names no place. Give s3://bucket/name, say.")
        try:
            from fsspec.core import url_to_fs
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"{url}: object storage", "s3") from error
        is_s3 = kind in {"s3", "s3a"}
        options: dict[str, Any] = {"auto_mkdir": True} if kind == "file" else {}
        if is_s3:
            options = _s3_options(patience)
        try:
            self._files, self._root = url_to_fs(self._url, **options)
        except ImportError as error:
            if is_s3:
                raise MissingExtraError(f"{url}: object storage", "s3") from error
            raise SettingsError(f"{url}: {error}.") from error
        except ValueError as error:
            raise SettingsError(f"{url}: this kind of URL is not known: {error}.") from error
        if is_s3:
            self._files.retries = 1  # its own, within each of ours
            self._files.loop.call_soon_threadsafe(self._files.loop.set_exception_handler, _leave_out_lost)

    def where(self, name: str) -> str:
        """See `Place`."""
        return f"{self._url}/{name}"

    def read(self, name: str) -> bytes:
        """See `Place`."""
        return self._patiently(
            self.where(name), "read", DataError, lambda: bytes(self._files.cat_file(f"{self._root}/{name}"))
        )

    def write(self, name: str, content: bytes) -> None:
        """See `Place`."""
        patience, limit = self._patience, {}
        if self._files.async_impl:  # which wait without end for leave to send, or for their bytes to be taken
            limit["timeout"] = patience.connect_seconds + patience.read_seconds + len(content) / _SLOWEST
        self._patiently(
            self.where(name),
            "written",
            StorageError,
            lambda: self._files.pipe_file(f"{self._root}/{name}", content, **limit),
        )

    def _patiently(self, where: str, done: str, error_type: type[EyebrightError], work: Callable[[], Result]) -> Result:
        """The result of some work, tried again while the trouble may pass."""
        patience, began = self._patience, time.monotonic()
        for attempt in range(1, patience.attempts + 1):
            try:
                return work()
            except FileNotFoundError as error:
                if error_type is StorageError:
                    raise StorageError(f"{where}: cannot be written: there is no such place. Is it right?") from error
                raise FileMissingError(f"{where}: missing. Is the URL right, and is all of it there?") from error
            except Exception as error:  # there is no closed list of what file systems and their networks raise
                nothing_said = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
                reason = " ".join(str(error).split()) or nothing_said
                if isinstance(error, PermissionError) or type(error).__name__ in _OF_CREDENTIALS:
                    raise error_type(
                        f"{where}: access is denied: {reason}. Check the credentials in the environment (for S3 "
                        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE) and what they allow."
                    ) from error
                if attempt == patience.attempts:
                    raise error_type(
                        f"{where}: cannot be {done}: {reason} ({attempt} attempts in {time.monotonic() - began:.0f} "
                        "s). Check the network and the server's address (for S3 AWS_ENDPOINT_URL), and try again."
                    ) from error
            time.sleep(patience.pause_seconds * 2 ** (attempt - 1))
        raise ValueError("patience without an attempt")


def _leave_out_lost(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """What happened in a client's loop beside what it was asked for; of a lost connection the asking fails as well."""
    if not isinstance(context.get("exception"), ConnectionError):
        loop.default_exception_handler(context)


def _s3_options(patience: Patience) -> dict[str, Any]:
    return {
        "config_kwargs": {
            "connect_timeout": patience.connect_seconds,
            "read_timeout": patience.read_seconds,
            "retries": {"total_max_attempts": 1},
        },
        "skip_instance_cache": True,  # its settings are for these files alone
    }
