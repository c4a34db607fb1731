"""The web page at `/`: a few files, each with a route of its own, so that no name in a request leads to any other."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse, Response

_FOLDER = Path(__file__).with_name("web")
_INDEX = "index.html"


def router() -> APIRouter:
    """`/`, and what the page loads."""
    routes = APIRouter(include_in_schema=False)
    for path in sorted(_FOLDER.iterdir()):
        address = "/" if path.name == _INDEX else f"/{path.name}"
        routes.add_api_route(address, partial(_file, path), methods=["GET", "HEAD"])
    return routes


def _file(path: Path) -> Response:
    # Asked for again each time, but sent only where it has changed: a newer server brings a newer page.
    return FileResponse(path, headers={"Cache-Control": "no-cache"})
