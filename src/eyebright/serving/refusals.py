"""Why a request is not answered, as JSON: {"error": …}."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from eyebright.html_page import plain_text
from eyebright.serving.batching import QueueFullError

_CLIENT_GONE = 499  # nobody sees it but the log and the metrics, which have this number from nginx


class Refusal(HTTPException):
    """An answer that is none.

    Args:
        status: of HTTP.
        message: what is wrong, where, and what to do.
        headers: of the response.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, plain_text(message), headers)


class ErrorBody(BaseModel):
    """What went wrong."""

    error: str = Field(examples=["image 0: the picture: empty (0 bytes)."])


_MEANINGS = {
    400: "The request is not what it should be; the message says where.",
    401: "A key is needed, and there was none or an unknown one.",
    404: "There is no such model.",
    408: "The request did not arrive in time.",
    413: "The body is too large.",
    415: "The body is of a type that cannot be read.",
    422: "Of all the pictures none could be read; or a parameter is out of its range.",
    503: "The server is about to end.",
    429: "Too many images wait, or the key has made too many requests: come again after the seconds of Retry-After.",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an operation's description says of these statuses."""
    return {status: {"model": ErrorBody, "description": _MEANINGS[status]} for status in statuses}


def too_busy(what: str) -> Refusal:
    """The answer to who has to come again."""
    return Refusal(429, f"{what} Come again in a second.", {"Retry-After": "1"})


def add_handlers(app: FastAPI) -> None:
    """Let an application answer in this way whatever goes wrong."""

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - for the type checker
        return JSONResponse({"error": str(error.detail)}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - likewise
        return JSONResponse({"error": "; ".join(map(_sentence, error.errors()))}, 422)

    @app.exception_handler(QueueFullError)
    async def full(*_: object) -> Response:
        refusal = too_busy("As many images wait as may.")
        return JSONResponse({"error": refusal.detail}, refusal.status_code, refusal.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(*_: object) -> Response:
        return Response(status_code=_CLIENT_GONE)

    @app.exception_handler(Exception)
    async def our_fault(*_: object) -> Response:
        return JSONResponse({"error": "A fault of the server's own; its log says more under this X-Request-ID."}, 500)


def _sentence(problem: Any) -> str:
    where = " ".join(map(str, problem["loc"]))
    return f"{where}: {problem['msg']}"
