"""What every request passes first and last: its id, key and limits; headers, the log and the metrics."""

from __future__ import annotations

import logging
import math
import re
import time
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers, MutableHeaders

from eyebright.serving.keys import Keys, RateLimit
from eyebright.serving.refusals import Refusal, too_busy
from eyebright.serving.service import Service

logger = logging.getLogger("eyebright.serving")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

# The page may load nothing from elsewhere; pictures that it shows come from the device itself.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _PAGE_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = ("GET", "HEAD", "POST", "OPTIONS")  # what clients make up beside them is no label of a metric
_REFUSAL = "eyebright.refusal"  # in a request's scope
_MOST_DIGITS = 20  # of a length: Python refuses to read numbers of some thousands
_ASKING = ("/predict", "/explain", "/about", "/metrics", "/openapi.json", "/v1/", "/v2")  # what needs a key …
_OPEN = ("/v2/health/",)  # … but for these: probes have none


class Gate:
    """An ASGI application around another.

    Args:
        app: that answers.
        service: whose limits hold and whose metrics count.
        keys: or None where no key is asked for.
        rate: or None where a key may ask as often as it likes.
        around: what stands between, and sees refusals as well: they, too, are for pages of other origins.

    Attributes:
        service: as it was given.
    """

    def __init__(
        self,
        app: Application,
        service: Service,
        keys: Keys | None,
        rate: RateLimit | None,
        around: Callable[[Application], Application],
    ) -> None:
        self._app = around(partial(_refuse_or_answer, app))
        self.service = service
        self._keys = keys
        self._rate = rate
        self._bytes_in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passage = _Passage(scope, self.service)

        async def limited() -> MutableMapping[str, Any]:
            message = await receive()
            if message["type"] == "http.request":
                size = len(message.get("body", b""))
                passage.bytes += size
                self._bytes_in_flight += size
                self._check_size(passage.bytes)
            return message

        async def marked(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                passage.mark(message)
            await send(message)

        try:
            scope[_REFUSAL] = self._refused(scope, passage)
            await self._app(scope, limited, marked)
        except Exception:  # it has been answered with a 500
            logger.exception("fault", extra={"request_id": passage.id})
        finally:
            self._bytes_in_flight -= passage.bytes
            passage.end()

    def _refused(self, scope: Scope, passage: _Passage) -> Refusal | None:
        """Why a request is not let in, by its head alone."""
        headers = Headers(scope=scope)
        path: str = scope["path"]
        if self._keys is not None and scope["method"] != "OPTIONS" and _needs_key(path):
            given = _given_key(headers)
            passage.key = self._keys.name_of(given)
            if passage.key is None:
                wrong = "This key is not known here." if given else "A key is needed."
                how = "Send one as Authorization: Bearer KEY, or as X-API-Key."
                return Refusal(401, f"{wrong} {how}", {"WWW-Authenticate": "Bearer"})
            seconds = self._rate.wait(passage.key) if self._rate is not None else 0
            if seconds:
                return Refusal(429, "This key has made too many requests.", {"Retry-After": str(int(seconds) + 1)})
        length = headers.get("content-length", "0")
        try:
            self._check_size(int(length) if len(length) < _MOST_DIGITS else math.inf)
        except Refusal as refusal:
            return refusal
        return None

    def _check_size(self, size: float) -> None:
        limits = self.service.limits
        if size > limits.body_bytes:
            raise Refusal(413, f"The body is larger than {limits.body_bytes:,} bytes.")
        if self._bytes_in_flight > limits.bytes_in_flight:
            raise too_busy("Too much is being sent at once.")


async def _refuse_or_answer(app: Application, scope: Scope, receive: Receive, send: Send) -> None:
    refusal: Refusal | None = scope.get(_REFUSAL)
    if refusal is not None:
        await JSONResponse({"error": refusal.detail}, refusal.status_code, refusal.headers)(scope, receive, send)
    else:
        await app(scope, receive, send)


class _Passage:
    """One request on its way through."""

    def __init__(self, scope: Scope, service: Service) -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        self.id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        self.key: str | None = None
        self.bytes = 0
        self.status = 0  # while there is no answer
        self._scope = scope
        self._service = service
        self._since = time.perf_counter()

    def mark(self, start: MutableMapping[str, Any]) -> None:
        """Write the headers that every answer has."""
        self.status = start["status"]
        headers = MutableHeaders(raw=start["headers"])
        headers["X-Request-ID"] = self.id
        headers.setdefault("Cache-Control", "no-store")
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        if self._service.draining:
            headers["Connection"] = "close"
        start["headers"] = headers.raw

    def end(self) -> None:
        """Count it, and write a line of the log, in which nothing of a picture stands."""
        seconds = time.perf_counter() - self._since
        route = self._scope.get("route")
        path = getattr(route, "path", None) or "other"
        method = self._scope["method"] if self._scope["method"] in _METHODS else "other"
        metrics = self._service.metrics
        metrics.latency.labels(method, path).observe(seconds)
        metrics.requests.labels(method, path, str(self.status)).inc()
        entry = {"request_id": self.id, "method": self._scope["method"], "path": self._scope["path"],
                 "status": self.status, "seconds": round(seconds, 6), "bytes": self.bytes}  # fmt: skip
        if self.key is not None:
            entry["key"] = self.key
        client = self._scope.get("client")
        logger.info("request", extra={**entry, "client": client[0] if client else None})


def _needs_key(path: str) -> bool:
    return path.startswith(_ASKING) and not path.startswith(_OPEN)


def _given_key(headers: Headers) -> str | None:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else headers.get("x-api-key")
