"""JSON in a request's body: read by one thread at a time, and not at all where it has more than images need."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from fastapi import Request

from eyebright.serving.options import Limits
from eyebright.serving.refusals import Refusal

T = TypeVar("T")

_SMALL = 2**14  # bytes that are not worth another thread
_LEAST_BYTES = 8 * 2**20  # that any model may be sent: pictures in base64 need more than small images as numbers do
_BYTES_A_NUMBER = 5  # "255, "
_MORE_VALUES = 1000  # than those of the images: ids, parameters and the like
_NAMED = 5  # keys that a message names
_LONGEST_NAME = 40  # characters of one


class JsonReader:
    """Reads bodies of JSON, one at a time.

    Small lists cost eight times as many bytes of memory as of JSON, empty ones twenty times: so there is a limit
    of bytes, and one of values, which are counted before any is made. Both are what the images of a request need.

    Args:
        limits: of bodies and of images.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turn = asyncio.Semaphore(1)

    async def read(
        self, request: Request, image_shape: tuple[int, int, int], convert: Callable[[dict[str, Any]], T]
    ) -> T:
        """What becomes of the object that a body is, whatever type it claims: `curl -d` claims another.

        Args:
            request: whose body has not been read.
            image_shape: (H, W, C) of images that may stand in it as numbers.
            convert: makes what is wanted of the object, in another thread; the object itself is gone afterwards.

        Raises:
            Refusal: 400, 413 or 415, it is none, or too large; and what `convert` raises.
        """
        check_encoding(request)
        body = await request.body()
        height, width, channels = image_shape
        numbers = self._limits.images * height * width * channels
        lists = self._limits.images * (height * (width + 1) + 4)  # of rows and pixels, and what is around an image
        most_bytes = max(_LEAST_BYTES, _BYTES_A_NUMBER * numbers)
        if len(body) > most_bytes:
            raise Refusal(
                413, f"The body is larger than {most_bytes:,} bytes of JSON. Send pictures as files of a form."
            )
        most_values = numbers + 2 * lists + _MORE_VALUES  # a list has a bracket, and most have a comma
        if len(body) < _SMALL:
            return _converted(body, most_values, convert)
        async with self._turn:
            return await asyncio.to_thread(_converted, body, most_values, convert)


def _converted(body: bytes, most_values: int, convert: Callable[[dict[str, Any]], T]) -> T:
    if body.count(b",") + body.count(b"[") + body.count(b"{") > most_values:
        raise Refusal(400, "The body has more values than so many images as are answered at once.")
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"The body is no JSON: {error}.") from error
    if not isinstance(value, dict):
        raise Refusal(400, "The body must be a JSON object.")
    return convert(value)


def check_encoding(request: Request) -> None:
    """Refuse a body that is compressed.

    Raises:
        Refusal: 415, it is.
    """
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise Refusal(415, f"Content-Encoding {encoding}: send the body as it is; pictures are compressed already.")


def check_keys(value: dict[str, Any], known: Collection[str], where: str = "") -> None:
    """Refuse an object that has other keys than the known ones; the message names a few.

    Args:
        value: the object.
        known: its keys.
        where: it stands, for the message; nothing for the body itself.

    Raises:
        Refusal: 400, it has others.
    """
    unknown = [key for key in value if key not in known]
    if unknown:
        names = ", ".join(repr(name[:_LONGEST_NAME]) for name in sorted(unknown)[:_NAMED])
        more = f" and {len(unknown) - _NAMED:,} more" if len(unknown) > _NAMED else ""
        raise Refusal(400, f"{where}{': ' if where else ''}{names}{more}: known are {', '.join(sorted(known))}.")


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no value of JSON")
