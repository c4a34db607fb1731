"""Downloads of the catalogue's files: verified, retried, appearing whole or not at all.

Everything is made in a hidden directory beside its place (`.incoming`) and moved there by a rename when it is whole,
verified and synced to disk. A lock keeps two processes from downloading the same data set at the same time: the
second one waits, and then finds it there.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eyebright.data.archive import extract_members
from eyebright.data.catalog import CatalogEntry, CatalogFile
from eyebright.errors import DownloadError, MissingExtraError
from eyebright.storage import sync

if TYPE_CHECKING:
    from rich.progress import Progress


@dataclass(frozen=True)
class Patience:
    """How long a download is tried.

    Args:
        retries: further tries after the first that fails, 0 …; 1, 2, 3, … seconds lie between them.
        timeout: seconds without a byte after which a try has failed.
    """

    retries: int = 3
    timeout: float = 30.0


def fetch(entry: CatalogEntry, data_dir: Path, *, patience: Patience | None = None, progress: bool = False) -> None:
    """Download what a catalogue entry names, unless it is there; unpack the members that it names.

    A file that the user put into the entry's directory by hand is taken instead of a download, if it is the right one.

    Args:
        entry: the data set.
        data_dir: the data directory; it is made where it does not exist.
        patience: retries and timeout; by default 3 retries and 30 seconds.
        progress: whether a progress bar is shown on standard error.

    Raises:
        DownloadError: it did not arrive, is not the file that the catalogue names, or cannot be written. What had
            arrived of it is removed.
        MissingExtraError: the libraries for downloads are not installed.
    """
    try:
        import pooch  # noqa: F401 - used below
        from filelock import FileLock
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"Downloading {entry.name}", "train") from error
    directory = entry.directory(data_dir)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(data_dir / f".{entry.name}.lock"):
            if entry.found_in(data_dir) is not None:
                return
            with _incoming(directory) as incoming:
                for file in entry.files:
                    _bring(entry, file, directory, incoming, patience or Patience(), progress=progress)
    except OSError as error:
        raise DownloadError(
            f"{entry.name}: {directory} cannot be written: {error.strerror or error}. Nothing half-written was left. "
            "Make room there, or name another data directory with --data-dir or EYEBRIGHT_DATA."
        ) from error


def _bring(
    entry: CatalogEntry, file: CatalogFile, directory: Path, incoming: Path, patience: Patience, *, progress: bool
) -> None:
    """Get one file into the directory of its data set: as it is, or what it holds."""
    source = directory / file.name
    if source.exists():
        _check_by_hand(entry, source, file)
    else:
        source = _download(entry, file, directory, incoming, patience, progress=progress)
    if file.members:
        extract_members(source, file.members, incoming)
        top = file.members[0].split("/")[0]
        _publish(incoming / top, directory / top)
    elif source.parent == incoming:
        _publish(source, directory / file.name)


def _check_by_hand(entry: CatalogEntry, path: Path, file: CatalogFile) -> None:
    import pooch

    received = pooch.file_hash(str(path))
    if received != file.sha256:
        raise DownloadError(
            f"{entry.name}: {path}: this is not the file of the catalogue ({path.stat().st_size:,} bytes of "
            f"{file.size:,}; SHA-256 {received}, expected {file.sha256}). Remove it to have it downloaded."
        )


def _download(
    entry: CatalogEntry, file: CatalogFile, directory: Path, incoming: Path, patience: Patience, *, progress: bool
) -> Path:
    import pooch
    import requests

    mirror = pooch.create(
        path=incoming,
        base_url="",
        registry={file.name: f"sha256:{file.sha256}"},
        urls={file.name: file.url},
        retry_if_failed=patience.retries,
    )
    with _bar(file) if progress else contextlib.nullcontext() as bar, _quiet(pooch.get_logger()):
        transfer = _Transfer(patience.timeout, bar)
        try:
            path = Path(mirror.fetch(file.name, downloader=transfer))
        except requests.RequestException as error:
            reason = _reason(error, patience)
            raise DownloadError(_message(entry, file, directory, reason, patience)) from error
        except ValueError as error:  # pooch's verification, or an answer that makes no sense
            another = f"what arrived is another file (SHA-256 {transfer.received}, expected {file.sha256})"
            reason = another if transfer.received else str(error)
            raise DownloadError(_message(entry, file, directory, reason, patience)) from error
    path.chmod(0o644)  # pooch makes it readable for its owner only
    return path


def _message(entry: CatalogEntry, file: CatalogFile, directory: Path, reason: str, patience: Patience) -> str:
    tries = patience.retries + 1
    return (
        f"{entry.name}: {file.url} could not be downloaded: {reason}. It was tried {tries} "
        f"time{'s' if tries > 1 else ''}; nothing half-written was left. Try again later, or get the file in another "
        f"way and put it there: {directory / file.name}"
    )


def _reason(error: Exception, patience: Patience) -> str:
    """What went wrong, in words: the messages of requests show its own insides."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"nothing came for {patience.timeout:g} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off midway"
    if isinstance(error, requests.exceptions.SSLError):
        return "no secure connection to the server could be made"
    if isinstance(error, requests.ConnectionError):
        return "the server cannot be reached"
    return str(error)


class _Transfer:
    """One try after the other, for pooch; remembers the SHA-256 of what the last one brought."""

    def __init__(self, timeout: float, bar: _Bar | None) -> None:
        self.timeout = timeout
        self.bar = bar
        self.received = ""

    def __call__(self, url: str, output_file: str, mirror: Any) -> None:
        import pooch

        self.received = ""
        if self.bar is not None:
            self.bar.reset()
        responses: list[Any] = []
        download = pooch.HTTPDownloader(
            progressbar=self.bar or False,
            chunk_size=2**16,
            timeout=self.timeout,
            # Unasked, requests would undo a server's compression, and another file would arrive.
            headers={"Accept-Encoding": "identity"},
            hooks={"response": lambda response, **_: responses.append(response)},
        )
        try:
            download(url, output_file, mirror)
        finally:
            for response in responses:  # pooch leaves them open where it fails
                response.close()
        self.received = pooch.file_hash(output_file)


class _Bar:
    """A progress bar of rich, with what pooch asks of one."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=None)

    @property
    def total(self) -> float | None:
        """Bytes that are expected; None where the server does not say."""
        return self._progress.tasks[self._task].total

    @total.setter
    def total(self, count: float) -> None:
        self._progress.update(self._task, total=count or None)

    def update(self, count: int) -> None:
        self._progress.advance(self._task, count)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        """Nothing: it ends with its block, also where a try fails."""


@contextlib.contextmanager
def _bar(file: CatalogFile) -> Iterator[_Bar]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        yield _Bar(progress, file.name)


@contextlib.contextmanager
def _quiet(logger: Any) -> Iterator[None]:
    """Keep pooch's own notes from standard error."""
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _incoming(directory: Path) -> Iterator[Path]:
    """A directory for what is not whole yet. It goes away in any case; so does the data set's own, if it is empty."""
    incoming = directory / ".incoming"
    shutil.rmtree(incoming, ignore_errors=True)  # of a process that was killed
    incoming.mkdir(parents=True)
    try:
        yield incoming
    finally:
        shutil.rmtree(incoming, ignore_errors=True)
        with contextlib.suppress(OSError):
            directory.rmdir()


def _publish(source: Path, target: Path) -> None:
    """Let something that is whole appear in its place, and make that last through a power cut."""
    sync(source)
    source.rename(target)
    sync(target.parent)
