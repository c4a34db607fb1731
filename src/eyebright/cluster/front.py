"""Takes requests in for replicas on a Ray cluster: whole, in time, of a bounded size, and one answer for each."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastapi.responses import JSONResponse
from starlette.applications import Starlette

from eyebright.serving.app import drain_first
from eyebright.serving.gate import Receive, Scope, Send
from eyebright.serving.options import Limits

logger = logging.getLogger("eyebright.serving")

# What is passed on of a request's head: what can be pickled.
_PASSED = {
    "type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string", "root_path", "headers",
    "client", "server",
}  # fmt: skip


class Asked(NamedTuple):
    """A request, whole."""

    scope: dict[str, Any]
    body: bytes
    draining: bool


class Answered(NamedTuple):
    """An answer, whole."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


@dataclass
class Front:
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
            await self._answer(Asked(self._head(scope, size), whole, self.draining), scope, receive, send)
        finally:
            self._bytes -= len(body)

    async def _answer(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a replica answer, for as long as somebody waits."""
        from ray.exceptions import RayError

        response = self.handle.answer.remote(asked)
        answering = asyncio.ensure_future(_awaited(response))
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
            if not answering.done():  # nobody waits any more
                answering.cancel()
                response.cancel()

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


async def _awaited(response: Any) -> Answered:
    answered: Answered = await response
    return answered


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
