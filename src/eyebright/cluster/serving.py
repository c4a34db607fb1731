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
from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import replace
from typing import Any

import uvicorn

from eyebright.cluster.connection import connected, processors
from eyebright.cluster.front import Answered, Asked, Front
from eyebright.errors import SettingsError
from eyebright.parent import end_in_order
from eyebright.paths import is_directory
from eyebright.serving.app import create_app, ignore_hang_up
from eyebright.serving.logs import configuration
from eyebright.serving.options import ServerOptions
from eyebright.serving.packaged import artefacts
from eyebright.serving.server import config, listening, say

_BUSY_REQUESTS = 16  # at a replica, above which another one is started


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
                front = Front(options.limits, handle)
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

    async def answer(self, asked: Asked) -> Answered:
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
        return Answered(status, headers, b"".join(parts))
