"""One of the workers that train a run together: an actor on some machine, and the process there that computes.

The process can be stopped and saves then, by a signal, which an actor itself does not get; and where it dies, the actor
is there to say so.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from eyebright.cluster.connection import enter
from eyebright.data.passing import unpacked
from eyebright.data.places import FileMissingError
from eyebright.errors import EyebrightError
from eyebright.parent import when_parent_ends
from eyebright.run_copy import fetch_run, unpack_copy
from eyebright.settings import Settings


class Terminal(NamedTuple):
    """What the driver's console is like, for which the first worker prints."""

    is_terminal: bool
    width: int

    def console(self, connection: Connection) -> Console:
        """A console whose text goes into a connection."""
        text: Any = _Sent(connection)
        return Console(file=text, force_terminal=self.is_terminal, width=self.width, emoji=False)


class Task(NamedTuple):
    """A run to train, the same for all workers.

    Attributes:
        path: of its directory.
        settings: of one that is to begin; None for one that is gone on with.
        flags: settings that the user repeats when going on, see `trainer.resume`.
        copy: where a copy of the run is kept, for machines that do not share its directory; None if nowhere.
        seconds: since the work began.
        where: the directory that paths are relative to.
        arguments: of the command, for the run's record.
        variables: of the environment, by name.
        terminal: that the user looks at; None to print nothing.
    """

    path: Path
    settings: Settings | None
    flags: Mapping[str, Any]
    copy: str | None
    seconds: float
    where: Path
    arguments: list[str]
    variables: dict[str, str]
    terminal: Terminal | None


class Place(NamedTuple):
    """Where a worker stands among the others, see `training.group.join`, and the threads that it computes with."""

    coordinator: str
    workers: int
    worker: int
    threads: int


class Finished(NamedTuple):
    """The run is finished: what its results.json holds."""

    results: dict[str, Any]


class Lost(NamedTuple):
    """A worker that cannot go on, and why; `exit_code` is that of a process that died."""

    why: str
    exit_code: int | None = None


News = str | Finished | EyebrightError | Lost


class Worker:
    """The actor.

    Args:
        values: the data set, `packed`.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def address(self) -> str:
        """HOST:PORT on this machine, where nothing listens."""
        import ray

        host = str(ray.util.get_node_ip_address())  # type: ignore[no-untyped-call]
        with socket.create_server((host, 0)) as server:
            return f"{host}:{server.getsockname()[1]}"

    def start(self, place: Place, task: Task) -> str:
        """Start the process. Returns the machine's name."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs, place, task, self._values), daemon=True)
        self._process.start()
        theirs.close()  # so that the end of the process is the end of what can be read
        return socket.gethostname()

    def news(self) -> list[News]:
        """What the process has to say; waits until there is something."""
        found: list[News] = []
        try:
            while not found or self._connection.poll():
                found.append(self._connection.recv())
        except (EOFError, ConnectionError):
            self._process.join()
            found.append(Lost("", self._process.exitcode))
        return found

    def stop(self) -> None:
        """Have the run saved, and stopped."""
        self._process.terminate()

    def end(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.join()


def work(connection: Connection, place: Place, task: Task, values: dict[str, Any]) -> None:
    """Train together with the other workers, until the run is finished, or until the process above is gone.

    Args:
        connection: where `News` go to.
        place: among the others.
        task: what is to be trained.
        values: its data set, `packed`.
    """
    when_parent_ends(lambda: os._exit(1))  # at once: what is not in a checkpoint by now is trained again
    started = time.perf_counter() - task.seconds
    sys.argv = task.arguments
    # Read when JAX begins to compute; and gRPC would look for the coordinator behind a proxy, where one is set.
    host = place.coordinator.rpartition(":")[0]
    os.environ.update(task.variables, KERAS_BACKEND="jax", NPROC=str(place.threads), no_grpc_proxy=host)
    news: News
    try:
        enter(task.where, task.where)
        from eyebright.training import group

        group.join(place.coordinator, place.workers, place.worker)
        if not group.leads():
            _follow(task, values)
        news = Finished(_lead(task, values, connection, started))
    except EyebrightError as error:
        news = error
    except Exception as error:
        traceback.print_exc()  # into Ray's logs
        news = Lost(f"{(str(error).strip().splitlines() or [''])[0]} ({type(error).__name__})")
    connection.send(news)
    signal.pause()  # the others still need its answers: whoever started it ends it


def _lead(task: Task, values: dict[str, Any], connection: Connection, started: float) -> dict[str, Any]:
    from eyebright.training import trainer

    console = task.terminal.console(connection) if task.terminal else None
    dataset = unpacked(values)
    if task.settings is None:
        if task.copy is not None:
            with contextlib.suppress(FileMissingError):  # then it is made anew, of the run that is here
                fetch_run(task.copy, task.path)
        return trainer.resume(task.path, dataset, flags=task.flags, console=console, started=started).results
    run = trainer.train(task.settings, dataset, task.path, console=console, started=started, copy_to=task.copy)
    return run.results


def _follow(task: Task, values: dict[str, Any]) -> None:
    from eyebright.training.following import follower
    from eyebright.training.group import hear

    dataset = unpacked(values)
    hear()  # that there is a run
    if task.copy is None:
        enter(task.where, task.path)
        engine = follower(task.path, dataset)
    else:
        with tempfile.TemporaryDirectory() as directory:
            run = Path(directory) / "run"
            unpack_copy(task.copy, run)
            engine = follower(run, dataset)
    engine.follow()


class _Sent(io.TextIOBase):
    """A text file whose content goes into a connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def write(self, text: str) -> int:
        self._connection.send(text)
        return len(text)
