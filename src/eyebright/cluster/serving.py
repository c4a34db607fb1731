"""The server on a Ray cluster: one process takes requests in, and replicas of the same application answer them.

Ray Serve starts replicas, gives each request to one that has little to do, replaces those that die and starts more
while many ask. Requests are taken in by our own process and not by Ray's, whose proxies wait for ever for a client that
sends slowly, and keep bodies of any size.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.config
import signal
from collections.abc import AsyncIterator, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import uvicorn
from fastapi.responses import JSONResponse
from starlette.applications import Starlette

from eyebright.cluster.connection import connected, processors
from eyebright.errors import SettingsError
from eyebright.paths import is_directory
from eyebright.serving.app import create_app, drain_first, ignore_hang_up
from eyebright.serving.gate import Receive, Scope, Send
from eyebright.serving.logs import configuration
from eyebright.serving.options import Limits, ServerOptions
from eyebright.serving.packaged import artefacts
from eyebright.serving.server import config, end_in_order, listening, say

logger = logging.getLogger("eyebright.serving")

# What is passed on of a request's head: what can be pickled.
_PASSED = {
    "type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path", "headers",
    "client", "server",
}  # fmt: skip
_BUSY_REQUESTS = 16  # at a replica, above which another one is started


class _Asked(NamedTuple):
    """A request, whole."""

    scope: dict[str, Any]
    body: bytes
    draining: bool


class _Answered(NamedTuple):
    """An answer, whole."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


def serve(options: ServerOptions, host: str, port: int, address: str, most: int) -> None:
    """Serve by a Ray cluster until a signal to end; what has been asked by then is answered first.

    Args:
        options: as for a server without Ray; `workers` are the replicas that there are in any case. Models and keys
            are files that all machines of the cluster find.
        host: where to listen.
        port: likewise; 0 for any.
        address: of the cluster; see `connected`.
        most: replicas that there may be while many ask.

    Raises:
        EyebrightError: a model cannot be loaded, the address cannot be listened on, or no cluster answers.
    """
    ignore_hang_up()
    signal.signal(signal.SIGTERM, end_in_order)
    with contextlib.closing(listening(host, port)) as listener, artefacts(options.models) as models:
        # Here in any case: what is wrong with a model is said before anything is started.
        create_app(replace(options, models=models))
        with connected(address):
            machines = processors()
            if len(machines) > 1 and any(is_directory(path) for _, path in options.models):
                raise SettingsError(
                    "Replicas on other machines of the cluster cannot read what is packaged here for a moment: make an "
                    "artefact of the run by eyebright package, where all machines find it, and serve that."
                )
            threads = threads_of_a_replica(machines, most)
            whole = tuple((name, path.resolve()) for name, path in models)
            keys = options.keys and options.keys.resolve()
            # Each replica keeps to its share of what a key may ask, as each worker of a server does.
            shared = replace(options, models=whole, keys=keys, threads=threads)
            with _replicas(replace(shared, workers=most), options.workers, listener.getsockname()[1]) as handle:
                front = _Front(options.limits, handle)
                for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the one that ended it once more
                    signal.signal(number, lambda *_: None)
                server = uvicorn.Server(config(replace(options, workers=1), front.application()))
                say(options, listener)
                server.run([listener])


def threads_of_a_replica(machines: Sequence[int], most: int) -> int:
    """How many threads each replica computes with, spread evenly over machines.

    Args:
        machines: how many processors each has.
        most: replicas that there may be.

    Raises:
        SettingsError: these are more than there are processors: some would wait for ever.
    """
    if most > sum(machines):
        raise SettingsError(
            f"--workers or --max-workers {most}: give at most {sum(machines)}, the cluster's processors."
        )
    return max(1, min(machines) // -(-most // len(machines)))


@contextlib.contextmanager
def _replicas(options: ServerOptions, least: int, port: int) -> Iterator[Any]:
    """The replicas, and the handle by which they are asked; they are gone at the end."""
    from ray import serve as ray_serve

    for name in ("ray.serve", "ray"):
        logging.getLogger(name).setLevel(logging.ERROR)
    deployment: Any = ray_serve.deployment(
        _Replica,
        name="replica",
        autoscaling_config={
            "min_replicas": least,
            "max_replicas": options.workers,
            "target_ongoing_requests": _BUSY_REQUESTS,
        },
        max_ongoing_requests=options.limits.connections,
        ray_actor_options={"num_cpus": options.threads},
        graceful_shutdown_timeout_s=options.limits.answer_seconds,
        logging_config={"enable_access_log": False, "log_level": "WARNING"},
    )
    # One that a server which was killed has left behind is replaced by the next one of the same port.
    application = f"eyebright-{port}"
    ray_serve.start(proxy_location="Disabled", logging_config={"log_level": "ERROR"})
    try:
        yield ray_serve.run(deployment.bind(options), name=application, route_prefix=None)
    finally:
        ray_serve.delete(application)


class _Replica:
    """A server's application that is asked by calls.

    Args:
        options: how it serves.
    """

    async def __init__(self, options: ServerOptions) -> None:  # type: ignore[misc]  # Ray awaits it
        ours = configuration()
        del ours["root"]  # what Ray logs it logs itself
        logging.config.dictConfig(ours)
        self._app = create_app(options)
        if options.watch_seconds:
            self._watching = asyncio.create_task(self._app.service.models.watch())

    async def answer(self, asked: _Asked) -> _Answered:
        """Answer a request. Where nobody waits any more, Ray cancels this."""
        self._app.service.draining = asked.draining
        messages = [{"type": "http.request", "body": asked.body, "more_body": False}]
        status, headers, parts = 500, [], []

        async def receive() -> MutableMapping[str, Any]:
            if not messages:
                await asyncio.Event().wait()  # the client stays
            return messages.pop()

        async def send(message: MutableMapping[str, Any]) -> None:
            nonlocal status, headers
            if message["type"] == "http.response.start":
                status, headers = message["status"], list(message["headers"])
            else:
                parts.append(message.get("body", b""))

        await self._app(asked.scope, receive, send)
        return _Answered(status, headers, b"".join(parts))


@dataclass
class _Front:
    """Takes requests in, whole, and hands them on.

    Attributes:
        limits: how large they may be.
        handle: by which replicas are asked.
        draining: whether the server is about to end.
    """

    limits: Limits
    handle: Any
    draining: bool = False
    _bytes: int = 0

    def application(self) -> Starlette:
        """An ASGI application of it, which ends in good order."""
        app = Starlette(lifespan=self._lifespan)
        app.router.default = self._pass_on
        return app

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        drain_first(self, asyncio.get_running_loop())
        yield

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        size, body = _declared(scope), bytearray()
        try:
            while size <= self.limits.body_bytes:  # what is larger is refused by its head
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                part = message.get("body", b"")
                body += part
                self._bytes += len(part)
                size = max(size, len(body))
                if not message.get("more_body"):
                    break
                if self._bytes > self.limits.bytes_in_flight:
                    await _refuse(429, "Too much is being sent at once.", scope, receive, send)
                    return
            whole = bytes(body) if size <= self.limits.body_bytes else b""
            await self._answer(_Asked(self._head(scope, size), whole, self.draining), scope, receive, send)
        finally:
            self._bytes -= len(body)

    async def _answer(self, asked: _Asked, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a replica answer, for as long as somebody waits."""
        from ray.exceptions import RayError

        answering = asyncio.ensure_future(_awaited(self.handle.answer.remote(asked)))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done():
                answer = await answering
                await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
                await send({"type": "http.response.body", "body": answer.body})
        except RayError:
            logger.exception("replica_failed")
            await _refuse(503, "What was to answer has failed. Ask again.", scope, receive, send)
        finally:
            leaving.cancel()
            answering.cancel()

    def _head(self, scope: Scope, size: int) -> dict[str, Any]:
        """What is passed on of a request's head; of a body that is too large its size, for which it is refused."""
        head = {name: value for name, value in scope.items() if name in _PASSED}
        if size > self.limits.body_bytes:
            others = [(name, value) for name, value in head["headers"] if name != b"content-length"]
            head["headers"] = [*others, (b"content-length", str(size).encode())]
        return head


def _declared(scope: Scope) -> int:
    """How long a body is to be, as its request says; 0 where it says nothing. uvicorn has let through digits alone."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)


async def _refuse(status: int, why: str, scope: Scope, receive: Receive, send: Send) -> None:
    await JSONResponse({"error": why}, status, {"Retry-After": "1"})(scope, receive, send)


async def _awaited(response: Any) -> _Answered:
    """What a replica answers; cancelling this cancels that."""
    answered: _Answered = await response
    return answered


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
