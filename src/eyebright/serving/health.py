"""Whether the server is alive and ready, and what it has counted."""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel

from eyebright.serving.metrics import CONTENT_TYPE
from eyebright.serving.model import VERSION
from eyebright.serving.refusals import Refusal, documented
from eyebright.serving.service import Service


class Status(BaseModel):
    """How the server is."""

    status: str


def router(service: Service) -> APIRouter:
    """`/healthz`, `/readyz` and `/metrics`."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz")
    async def alive() -> Status:
        """Whether the process answers at all."""
        return Status(status="alive")

    @routes.get("/readyz", responses=documented(503))
    async def ready() -> Status:
        """Whether it should be sent requests: all models are loaded, and it is not about to end."""
        check_ready(service)
        return Status(status="ready")

    @routes.get("/metrics", response_class=Response, responses={200: {"content": {CONTENT_TYPE: {}}}})
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(service.metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    return routes


def check_ready(service: Service) -> None:
    """Say that requests should go elsewhere.

    Raises:
        Refusal: 503, the server is about to end.
    """
    if service.draining:
        raise Refusal(503, "The server is about to end; it still answers what has reached it.")


def check_version(version: str) -> None:
    """Refuse a version of a model that is not there, for protocols that number them.

    Raises:
        Refusal: 404.
    """
    if version != VERSION:
        raise Refusal(404, f"There is no version {version} of it: there is one, {VERSION}.")
