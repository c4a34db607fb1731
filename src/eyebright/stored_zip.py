"""Zip files that carry the SHA-256 of all that they hold.

Their members are stored as they are, in the order of their names, all dated 1980. The archive's comment, which is the
end of the file, is the SHA-256 of all bytes before it, so that a flipped bit anywhere is noticed: in a member, in the
zip format's own records, or in the comment.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping

_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip can have
_MODE = 0o644 << 16
_SHA256_DIGITS = 64


def zip_bytes(members: Mapping[str, bytes]) -> bytes:
    """Members, content by name, as the bytes of such a file; the same members give the same bytes.

    >>> is_whole(zip_bytes({"a": b"1"})), is_whole(zip_bytes({"a": b"1"})[:-1])
    (True, False)
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sorted(members.items()):
            member = zipfile.ZipInfo(name, _DATE)
            member.create_system, member.external_attr = 3, _MODE  # Unix, wherever it is written
            archive.writestr(member, content)
        archive.comment = bytes(_SHA256_DIGITS)  # room for what comes there
    file = buffer.getbuffer()
    file[-_SHA256_DIGITS:] = hashlib.sha256(file[:-_SHA256_DIGITS]).hexdigest().encode()
    return bytes(file)


def is_whole(content: bytes) -> bool:
    """Whether bytes end with the SHA-256 of those before them."""
    digest = hashlib.sha256(memoryview(content)[:-_SHA256_DIGITS]).hexdigest()
    return digest.encode() == content[-_SHA256_DIGITS:]
