"""The application: every protocol's routes over one service, behind one gate."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Protocol

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from eyebright import __version__
from eyebright.errors import EyebrightError
from eyebright.parent import when_parent_ends
from eyebright.serving import health, open_inference, page, predict, tensorflow_serving
from eyebright.serving.gate import Application, Gate
from eyebright.serving.keys import Keys, RateLimit
from eyebright.serving.open_inference import InferenceRequest
from eyebright.serving.options import ServerOptions
from eyebright.serving.refusals import add_handlers
from eyebright.serving.service import Service

logger = logging.getLogger("eyebright.serving")

_M_MMAP_THRESHOLD = -3  # of malloc.h
_LARGE = 2**18  # bytes
_TRIES_EVERY = 2.0  # seconds
DRAIN_SECONDS = 1.0  # between the signal to end and the end of listening: for balancers to look at /readyz


class Drained(Protocol):
    """What says whether it is about to end."""

    draining: bool


def create_worker_app(options: ServerOptions) -> Application:
    """The same in one of several processes, of which the one above them says when it ends.

    Ctrl-C reaches all of them; SIGTERM from above would be a second signal, which cuts requests off.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ignore_hang_up()
    when_parent_ends(lambda: os.kill(os.getpid(), signal.SIGTERM))  # in good order
    while True:
        try:
            return create_app(options)
        except EyebrightError as error:  # it takes the place of one that died, and a bad file lies there by now
            logger.error("load_failed", extra={"error": str(error)})  # noqa: TRY400 - the message says it all
            time.sleep(_TRIES_EVERY)


def ignore_hang_up() -> None:
    """Let SIGHUP, which asks for files to be loaded anew, end nothing before they have been loaded at all."""
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _give_memory_back() -> None:
    """Let glibc map large blocks for themselves, so that a model that was replaced leaves no hole behind.

    By itself it takes blocks of any size that it has once seen freed from its heaps, which then grow with each reload.
    """
    with contextlib.suppress(OSError, AttributeError):  # other libraries of C have no such knob
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE)


def create_app(options: ServerOptions) -> Gate:
    """Load the models, and make the ASGI application that answers with them.

    Raises:
        EyebrightError: a model cannot be loaded or cannot give what is asked for, or the file of keys cannot be read.
    """
    _give_memory_back()
    keys = Keys(options.keys) if options.keys is not None else None
    rate = RateLimit(options.rate / options.workers) if options.rate is not None else None
    service = Service(options)
    app = FastAPI(
        title="Eyebright",
        description="An image classifier that says how sure it is.",
        version=__version__,
        lifespan=partial(_lifespan, service, keys),
        docs_url=None,  # these load scripts from elsewhere
        redoc_url=None,
    )
    add_handlers(app)
    for protocol in (health, predict, tensorflow_serving, open_inference):
        app.include_router(protocol.router(service))
    app.include_router(page.router())
    _complete_description(app)
    return Gate(app, service, keys, rate, partial(_for_other_origins, options.origins))


def _for_other_origins(origins: tuple[str, ...], app: Application) -> Application:
    """Let pages of these web origins ask."""
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "X-API-Key", "X-Request-ID"],
        expose_headers=["X-Request-ID", "Retry-After"],
    )


def _complete_description(app: FastAPI) -> None:
    """Put into the OpenAPI what FastAPI does not see, as bodies are read by our own few lines."""
    description = app.openapi()
    schema = InferenceRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    description["components"]["schemas"].update(schema.pop("$defs"))
    description["components"]["schemas"]["InferenceRequest"] = schema


@contextlib.asynccontextmanager
async def _lifespan(service: Service, keys: Keys | None, _: FastAPI) -> AsyncIterator[None]:
    """Watch files and signals while the server runs."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Task[None]] = set()

    def start(work: Any) -> None:
        task = loop.create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    if hasattr(signal, "SIGHUP"):
        loop.add_signal_handler(signal.SIGHUP, lambda: start(service.reload(keys)))
    drain_first(service, loop)
    if service.options.watch_seconds:
        start(service.models.watch())
    yield
    for task in tasks:
        task.cancel()
    service.close()


def drain_first(service: Drained, loop: asyncio.AbstractEventLoop) -> None:
    """At a signal to end, say so to those who ask and go on for a moment; a second signal ends at once.

    uvicorn has set its own handlers by now: it then stops to listen, and waits for the requests that it has; but one
    more SIGINT cuts them off. So where a second signal has ended the moment, its end is none more.
    """
    ended = False

    def end(ending: Any, received: int, frame: Any, *, after_the_moment: bool) -> None:
        nonlocal ended
        if not (after_the_moment and ended):
            ended = True
            ending(received, frame)

    for number in (signal.SIGTERM, signal.SIGINT):
        ending = signal.getsignal(number)
        if not callable(ending):
            continue

        def handle(received: int, frame: Any, ending: Any = ending) -> None:
            if service.draining:
                end(ending, received, frame, after_the_moment=False)
            else:
                service.draining = True
                later = partial(end, ending, received, frame, after_the_moment=True)
                loop.call_soon_threadsafe(loop.call_later, DRAIN_SECONDS, later)

        signal.signal(number, handle)
