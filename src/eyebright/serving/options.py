"""How a server serves: what, to whom, how much of it at once."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from eyebright.metrics.conformal import ConformalMethod

_MB = 2**20


@dataclass(frozen=True)
class AnswerOptions:
    """What is said of a picture besides its likeliest classes; the flags of `eyebright predict`, by the same names."""

    min_confidence: float | None = None
    target_error: float | None = None
    conformal: float | None = None
    conformal_method: ConformalMethod = "lac"
    per_class: bool = False
    unlike_share: float | None = None


@dataclass(frozen=True)
class Limits:
    """How much a request, and all of them together, may ask for.

    Attributes:
        body_bytes: of a request's body.
        bytes_in_flight: of all bodies that are being received or answered.
        images: in one request.
        pixels: of a picture.
        decode_seconds: to decode one picture.
        receive_seconds: for a request to arrive, from its first byte, or the connection's beginning, to its last byte.
        answer_seconds: for a request to be answered, from when it has arrived.
        connections: at a time.
    """

    body_bytes: int = 32 * _MB
    bytes_in_flight: int = 256 * _MB
    images: int = 64
    pixels: int = 50_000_000
    decode_seconds: float = 5.0
    receive_seconds: float = 30.0
    answer_seconds: float = 10.0
    connections: int = 1000


@dataclass(frozen=True)
class Batching:
    """How images of several requests are computed together.

    Attributes:
        max_batch: the most images that are computed at once.
        max_wait_seconds: the longest that an image waits for others to join it, where nothing is being computed. Of
            use only where a batch costs little more than an image, as on a GPU.
        max_queue: the most images that are at work or wait; a request for more is told to come again.
    """

    max_batch: int = 32
    max_wait_seconds: float = 0.0
    max_queue: int = 512


@dataclass(frozen=True)
class ServerOptions:
    """All that a process needs to know to serve; it is handed to worker processes.

    Attributes:
        models: names and files; the first answers where no name is given.
        answers: see there; so are the next two.
        limits: …
        batching: …
        skip_golden: whether the golden images of an artefact are not computed anew when it is loaded.
        keys: the file of API keys, or None for no keys.
        rate: requests a minute that a key may make, or None for as many as it likes.
        origins: web origins whose pages may ask (CORS).
        workers: how many processes serve.
        threads: that compute in each of them.
        watch_seconds: how often files are looked at for changes; 0 for never.
    """

    models: tuple[tuple[str, Path], ...]
    answers: AnswerOptions = field(default_factory=AnswerOptions)
    limits: Limits = field(default_factory=Limits)
    batching: Batching = field(default_factory=Batching)
    skip_golden: bool = False
    keys: Path | None = None
    rate: int | None = None
    origins: tuple[str, ...] = ()
    workers: int = 1
    threads: int = 1
    watch_seconds: float = 2.0


def processors() -> int:
    """How many processors this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS
    return len(affinity(0)) if affinity else os.cpu_count() or 1
