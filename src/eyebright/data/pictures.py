"""Decoding many pictures into one array on disk, in parallel, in bounded memory."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.data.decode import decode_picture, picture_size
from eyebright.data.listing import ListedPicture
from eyebright.data.parallel import in_processes, in_threads
from eyebright.errors import DataError, ImageError
from eyebright.picture_options import DEFAULT_SIDE, Fit, PictureOptions

_AT_ONCE = 16  # pictures in one task; Ctrl-C waits for them
_MANY = 16 * _AT_ONCE  # pictures that are worth processes of their own
_LOOKED_AT = 64  # pictures whose size is read before any is decoded
_SHOWN = 10  # unreadable pictures in a message


class PictureFile(NamedTuple):
    """What a picture was like in its file.

    Attributes:
        format: for example "JPEG".
        mode: Pillow's name of the kind of its pixels, for example "L" or "RGB".
        size: (height, width), upright, in pixels.
        bytes: the length of the file.
    """

    format: str
    mode: str
    size: tuple[int, int]
    bytes: int


class Decoded(NamedTuple):
    """What decoding said of a run of pictures.

    Attributes:
        grey: bool [n], which have no colours by the kind of their pixels.
        files: what those that could be read were like, by their place among all.
        errors: what is wrong with those that could not be read, by their place among all.
    """

    grey: NDArray[np.bool_]
    files: dict[int, PictureFile]
    errors: dict[int, str]

    @property
    def sizes(self) -> set[tuple[int, int]]:
        """(height, width) that they have in their files, upright."""
        return {file.size for file in self.files.values()}


def likely_size(pictures: Sequence[ListedPicture], options: PictureOptions) -> tuple[int, int]:
    """(height, width) that pictures are brought to, as `PictureOptions.image_size` describes it.

    Without an option it is what some of the pictures say. Whether the others have that size is known once they are
    decoded; if not (`is_other_size`), it is `DEFAULT_SIDE` on both sides.
    """
    if options.image_size is not None:
        return options.image_size
    sizes = {picture_size(Path(picture.file)) for picture in pictures[:: max(1, len(pictures) // _LOOKED_AT)]} - {None}
    size = sizes.pop() if len(sizes) == 1 else None
    return size if size and max(size) <= DEFAULT_SIDE else (DEFAULT_SIDE, DEFAULT_SIDE)


def is_other_size(size: tuple[int, int], sizes: set[tuple[int, int]], options: PictureOptions) -> bool:
    """Whether pictures must be decoded again, at `DEFAULT_SIDE`, as what some of them said does not hold for all.

    Args:
        size: (height, width) that they were brought to, by `likely_size`.
        sizes: that they had in their files.
        options: `image_size` is read.
    """
    return options.image_size is None and sizes != {size} and size != (DEFAULT_SIDE, DEFAULT_SIDE)


def decode_into(
    target: Path, pictures: Sequence[ListedPicture], image_shape: tuple[int, int, int], options: PictureOptions
) -> Generator[Decoded, None, None]:
    """Decode pictures into a new file, uint8 [N, H, W, C], in their order.

    Args:
        target: the file, written as `numpy.memmap` writes it: the pixels and nothing else.
        pictures: what to decode.
        image_shape: (height, width, channels).
        options: `fit` and `max_pixels` are read.

    Yields:
        What was found, of `_AT_ONCE` pictures after the other. The file is whole after the last.
    """
    with target.open("wb") as file:
        file.truncate(len(pictures) * int(np.prod(image_shape)))

    tasks = (
        (start, [picture.file for picture in pictures[start : start + _AT_ONCE]])
        for start in range(0, len(pictures), _AT_ONCE)
    )
    decode = partial(_decode_some, target, image_shape, options.fit, options.max_pixels)
    with closing((in_processes if len(pictures) >= _MANY else in_threads)(decode, tasks)) as parts:
        yield from parts


def _decode_some(
    target: Path, image_shape: tuple[int, int, int], fit: Fit, max_pixels: int, task: tuple[int, list[str]]
) -> Decoded:
    """Decode pictures into their places in the file; a task is the place of the first, and their files."""
    start, files = task
    found = Decoded(np.zeros(len(files), bool), {}, {})
    pixels = np.zeros((len(files), *image_shape), np.uint8)
    for place, file in enumerate(files):
        try:
            picture = decode_picture(Path(file), image_shape, fit, max_pixels)
        except ImageError as error:
            found.errors[start + place] = str(error).removeprefix(f"{file}: ")
        else:
            pixels[place], found.grey[place] = picture.pixels, picture.is_grey
            found.files[start + place] = PictureFile(picture.format, picture.mode, picture.upright_size, picture.bytes)
    with target.open("r+b") as opened:
        opened.seek(start * pixels[0].nbytes)
        opened.write(pixels.data)
    return found


def refuse_unreadable(root: Path, pictures: Sequence[ListedPicture], errors: dict[int, str]) -> None:
    """Raise DataError that names the pictures that could not be read, if there are any."""
    if not errors:
        return
    first = sorted(errors, key=lambda place: pictures[place].path)[:_SHOWN]
    lines = [f"  {pictures[place].path}: {errors[place]}" for place in first]
    if len(errors) > _SHOWN:
        lines.append(f"  … and {len(errors) - _SHOWN:,} more")
    raise DataError(
        f"{root}: {len(errors):,} of {len(pictures):,} pictures cannot be read:\n"
        + "\n".join(lines)
        + "\nMend or remove them, or list them in a file and leave them out with --exclude FILE."
    )
