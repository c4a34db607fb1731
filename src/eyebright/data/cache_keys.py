"""The names of entries of the cache: which of them belongs to which pictures.

A name is a hash over what the source was like: where it lies; the path of every picture in it, its length and the times
of its last changes; its class, split and group; the options of decoding; and the versions of what decodes. For an
archive, or a table that has its pictures in it, it is the archive's or table's own place, length and times. Contents
are not read for it, as that would take as long as the first start did; but no program can change a file's content and
set back the time at which the system noted the change. The pixels are part of every run's `data_fingerprint` besides.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from eyebright.data.listing import Listing, read_exclusions
from eyebright.data.pictures import refuse_unreadable
from eyebright.errors import DataError
from eyebright.picture_options import PictureOptions

_VERSION = 3  # of decoding and of an entry's form: another makes older entries useless
_DECODING = ("image_size", "fit", "colour", "max_pixels")


def listing_key(listing: Listing, options: PictureOptions, packed: Sequence[Path] = ()) -> str:
    """The name of a listing's entry.

    Args:
        listing: of the pictures.
        options: of decoding.
        packed: the files that those of its pictures were in that are copies.

    Raises:
        DataError: pictures are not there; the message names them.
    """
    digest = _digest(listing.root, options.model_dump_json(include=set(_DECODING)), packed)
    pictures, missing = listing.pictures, dict[int, str]()
    for place in sorted(range(len(pictures)), key=lambda place: pictures[place].path):
        picture = pictures[place]
        parts = (picture.path, picture.class_name, picture.split, picture.group, "")
        digest.update("\0".join(parts).encode(errors="surrogateescape"))
        if not listing.is_copy(picture):
            try:
                digest.update(_stamp(picture.file))
            except OSError as error:
                missing[place] = f"{error.strerror or error}."
    refuse_unreadable(listing.root, pictures, missing)
    return digest.hexdigest()[:32]


def packed_key(path: Path, options: PictureOptions, packed: Sequence[Path]) -> str:
    """The name of the entry of pictures that lie in an archive or table themselves.

    Args:
        path: of the data set.
        options: of reading.
        packed: the files that the pictures are in.

    Raises:
        DataError: one of them, or the list of exclusions, cannot be read.
    """
    digest = _digest(path, options.model_dump_json(exclude={"exclude"}), packed)
    for excluded in read_exclusions(Path(options.exclude)) if options.exclude else ():
        digest.update(f"{excluded}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:32]


def _digest(path: Path, options: str, packed: Sequence[Path]) -> hashlib._Hash:
    import PIL

    digest = hashlib.sha256(f"{_VERSION}\0{PIL.__version__}\0{options}\0".encode())
    digest.update(f"{path.resolve()}\0".encode(errors="surrogateescape"))
    for file in packed:
        try:
            digest.update(f"{file.name}\0".encode(errors="surrogateescape") + _stamp(str(file)))
        except OSError as error:
            raise DataError(f"{file}: cannot be read: {error.strerror or error}.") from error
    return digest


def _stamp(file: str) -> bytes:
    status = os.stat(file)  # noqa: PTH116 - of every file: see `ListedPicture.file`
    return f"{status.st_size}\0{status.st_mtime_ns}\0{status.st_ctime_ns}\n".encode()
