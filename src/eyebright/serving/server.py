"""The processes of a server: one, or several behind one address, and one above them that starts anew who died."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.supervisors import Multiprocess

from eyebright.errors import SettingsError
from eyebright.parent import end_in_order
from eyebright.serving.app import create_app, create_worker_app, ignore_hang_up
from eyebright.serving.logs import configuration
from eyebright.serving.metrics import SHARED
from eyebright.serving.options import ServerOptions
from eyebright.serving.packaged import artefacts
from eyebright.serving.protocol import DeadlineProtocol

_GRACE = 5  # seconds that requests which have begun are waited for beyond the time they may take
_BACKLOG = 2048
_KEEP_ALIVE = 75  # seconds: longer than proxies keep a connection, so that none is closed in the face of a request


def serve(options: ServerOptions, host: str, port: int) -> None:
    """Serve until a signal to end; what has been asked by then is answered first.

    Raises:
        EyebrightError: a model cannot be loaded, or the address cannot be listened on.
    """
    ignore_hang_up()
    signal.signal(signal.SIGTERM, end_in_order)  # until the models are loaded
    with contextlib.closing(listening(host, port)) as listener, artefacts(options.models) as models:
        _run(replace(options, models=models), listener)


def _run(options: ServerOptions, listener: socket.socket) -> None:
    app = create_app(options)  # here in any case: what is wrong with a model is said before anything is started
    # uvicorn raises the signal that ended it once more; it has done its work by then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    if options.workers == 1:
        server = uvicorn.Server(config(options, app))
        say(options, listener)
        server.run([listener])
        return
    del app  # each worker loads its own
    with _shared_metrics():
        say(options, listener)
        _Supervisor(config(options, partial(create_worker_app, options), factory=True), [listener]).run()


class _Supervisor(Multiprocess):
    """uvicorn's, which starts workers anew that died; but SIGHUP makes them load their files, not end."""

    def handle_hup(self) -> None:
        for process in self.processes:
            if process.pid is not None and process.process.is_alive():
                os.kill(process.pid, signal.SIGHUP)

    def keep_subprocess_alive(self) -> None:
        before = {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        for pid in before - {process.pid for process in self.processes}:
            # What it had in its queue is not waiting any more.
            mark_process_dead(pid)  # type: ignore[no-untyped-call]


def config(options: ServerOptions, app: object, *, factory: bool = False) -> uvicorn.Config:
    """How uvicorn is to serve an application, or what makes one."""
    limits = options.limits
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        factory=factory,
        http=partial(DeadlineProtocol, receive_seconds=limits.receive_seconds),  # type: ignore[arg-type]
        loop="asyncio",  # not what else is installed: this is what was measured
        ws="none",
        workers=options.workers,
        limit_concurrency=limits.connections,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=round(limits.receive_seconds + limits.answer_seconds) + _GRACE,
        timeout_worker_healthcheck=30,
        access_log=False,
        server_header=False,
        log_config=configuration(),
    )


def listening(host: str, port: int) -> socket.socket:
    """A socket that is bound.

    Raises:
        SettingsError: it cannot be.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        # With its protocol named: of others asyncio does not know that they are TCP, and leaves Nagle's algorithm on,
        # by which an answer waits 40 ms for the client's acknowledgement of its head.
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise SettingsError(f"--host {host} --port {port}: cannot listen there: {error.strerror or error}.") from error
    listener.set_inheritable(True)
    return listener


def say(options: ServerOptions, listener: socket.socket) -> None:
    """Where it is, for people and for those that asked for any free port; on standard output, as the log is not."""
    host, port = listener.getsockname()[:2]
    names = ", ".join(name for name, _ in options.models)
    print(f"Serving {names} on http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)  # noqa: T201


@contextlib.contextmanager
def _shared_metrics() -> Iterator[None]:
    """A directory through which workers share what they count.

    Raises:
        SettingsError: there is nowhere to make it.
    """
    try:
        made = tempfile.TemporaryDirectory(prefix="eyebright-metrics-")
    except OSError as error:
        raise SettingsError(
            "--workers: several share what they count through a temporary directory, and none can be made: "
            f"{error.strerror or error}. Give them a /tmp that can be written (docker run --tmpfs /tmp), or take 1."
        ) from error
    with made as directory:
        os.environ[SHARED] = directory
        try:
            yield
        finally:
            del os.environ[SHARED]
