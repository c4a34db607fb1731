"""The pictures in a request's body: as multipart, as they are, or as base64 in JSON; none of it touches a disk."""

from __future__ import annotations

import base64
import binascii
import sys
from functools import partial
from typing import Any, NamedTuple

from fastapi import Request
from python_multipart.exceptions import FormParserError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from eyebright.errors import ImageError
from eyebright.html_page import plain_text
from eyebright.serving.json_bodies import JsonReader, check_encoding, check_keys
from eyebright.serving.options import Limits
from eyebright.serving.refusals import Refusal

_FIELDS = 16  # of a form, beside its files
_NO_NUMBERS = (0, 0, 0)  # the shape of images as numbers, of which there are none


class Upload(NamedTuple):
    """A picture that came with a request.

    Attributes:
        image: its name: of the file, or its number in the request.
        content: of the file, or why there is none.
    """

    image: str
    content: bytes | ImageError


class _FormParser(MultiPartParser):
    """Keeps files in memory, whose size the limit of the whole body bounds, and never on disk."""

    spool_max_size = sys.maxsize


async def read_uploads(request: Request, limits: Limits, json: JsonReader) -> list[Upload]:
    """Read the pictures of a request.

    Args:
        request: whose body has not been read.
        limits: of the number of pictures.
        json: what reads JSON.

    Raises:
        Refusal: 400 or 415, there are none, too many, or none that could be found in a body of this type.
    """
    check_encoding(request)
    media_type = content_type(request)
    if media_type == "multipart/form-data":
        uploads = await _from_form(request, limits)
    elif media_type == "application/json":
        uploads = await json.read(request, _NO_NUMBERS, partial(_from_json, limits=limits))
    elif media_type.startswith("image/") or media_type == "application/octet-stream":
        uploads = [Upload("0", await request.body())]
    else:
        raise Refusal(
            415,
            f"A body of type {media_type or '(none)'} cannot be read. Send multipart/form-data with files, a picture "
            'as image/*, or application/json: {"images": [base64, …]}.',
        )
    if not uploads:
        raise Refusal(400, "There is no picture in the request.")
    return uploads


def content_type(request: Request) -> str:
    """The type of a request's body, without its parameters, in small letters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def check_count(images: int, limits: Limits) -> None:
    """Refuse more images than one request may have.

    Raises:
        Refusal: 400, there are more.
    """
    if images > limits.images:
        raise Refusal(400, f"{images:,} images in a request; at most {limits.images} are answered. Send several.")


def picture_bytes(text: Any, where: str) -> bytes | ImageError:
    """The bytes that base64 stands for, be it in a data: URL; or what is wrong with it.

    >>> picture_bytes("aGVsbG8=", "image 0")
    b'hello'
    """
    if not isinstance(text, str):
        return ImageError(f"{where}: not a string of base64.")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        return ImageError(f"{where}: no base64: {error}.")


async def _from_form(request: Request, limits: Limits) -> list[Upload]:
    parser = _FormParser(request.headers, request.stream(), max_files=limits.images, max_fields=_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refusal(400, f"The form cannot be read: {error.message}") from error
    except (FormParserError, LookupError, ValueError) as error:  # the latter of odd character sets
        raise Refusal(400, f"The form cannot be read: {error}.") from error
    files = [part for _, part in form.multi_items() if isinstance(part, UploadFile)]
    if form and not files:
        raise Refusal(400, f"The field {next(iter(form))!r} is no file. Send pictures as files, with a file name.")
    uploads = []
    for number, part in enumerate(files):
        uploads.append(Upload(plain_text(part.filename or str(number)), await part.read()))
        await part.close()
    return uploads


def _from_json(body: dict[str, Any], limits: Limits) -> list[Upload]:
    images = body.get("images")
    if not isinstance(images, list):
        raise Refusal(400, 'There is no list "images" in the body: {"images": [base64, …]}.')
    check_keys(body, {"images"})
    check_count(len(images), limits)
    return [Upload(str(number), picture_bytes(text, f"image {number}")) for number, text in enumerate(images)]
