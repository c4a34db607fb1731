"""How many scans a JPEG file has: a progressive one may have any number, and each is a pass over the whole picture."""

from __future__ import annotations

import re

from eyebright.errors import ImageError

_MOST = 100  # encoders write ten or so; libtiff has the same limit
_MARKER = re.compile(
    rb"\xff[\x01-\xcf\xd8-\xfe]"
)  # between them coded pixels, in which FF is followed by 0 or a restart
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


def check_scans(content: bytes) -> None:
    """Refuse a JPEG file with so many scans that a few hundred kilobytes take minutes to decode.

    Args:
        content: of the file. Segments are skipped by their lengths, as decoders do, and what follows the picture's end
            is another picture or none: thumbnails and films have scans of their own.

    Raises:
        ImageError: it has more than 100.
    """
    scans = position = 0
    while (found := _MARKER.search(content, position)) and (marker := content[found.start() + 1]) != _END_OF_IMAGE:
        position = found.end()
        if marker >= 0xC0 and marker != 0xD8:  # the others have no length
            position += int.from_bytes(content[position : position + 2], "big")
        scans += marker == _START_OF_SCAN
        if scans > _MOST:
            raise ImageError(f"a JPEG of more than {_MOST} scans, which takes too long to decode. Save it anew.")
