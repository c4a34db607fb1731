"""Decoding many pictures into one array on disk, in parallel processes, in bounded memory."""

from __future__ import annotations

import os
import warnings
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.data.decode import decode_picture, picture_size
from eyebright.data.listing import ListedPicture
from eyebright.errors import DataError, ImageError, MissingExtraError
from eyebright.picture_options import DEFAULT_SIDE, Fit, PictureOptions

_AT_ONCE = 64  # pictures in one task of a process
_SERIAL = 4 * _AT_ONCE  # so few are decoded before other processes have started
_LOOKED_AT = 64  # pictures whose size is read before any is decoded
_IDLE_SECONDS = 10  # after which a process ends that has nothing to do, as where this one was killed
_SHOWN = 10  # unreadable pictures in a message


class Decoded(NamedTuple):
    """What decoding said of a run of pictures.

    Attributes:
        grey: bool [n], which have no colours by the kind of their pixels.
        sizes: (height, width) that they have in their files, upright.
        errors: what is wrong with those that could not be read, by their place among all.
    """

    grey: NDArray[np.bool_]
    sizes: set[tuple[int, int]]
    errors: dict[int, str]


def likely_size(pictures: Sequence[ListedPicture], options: PictureOptions) -> tuple[int, int]:
    """(height, width) that pictures are brought to, as `PictureOptions.image_size` describes it.

    Without an option it is what some of the pictures say. Whether the others have that size is known once they are
    decoded; if not, it is `DEFAULT_SIDE` on both sides.
    """
    if options.image_size is not None:
        return options.image_size
    sizes = {picture_size(picture.file) for picture in pictures[:: max(1, len(pictures) // _LOOKED_AT)]} - {None}
    size = sizes.pop() if len(sizes) == 1 else None
    return size if size and max(size) <= DEFAULT_SIDE else (DEFAULT_SIDE, DEFAULT_SIDE)


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

    Raises:
        DataError: a process that decoded was killed.
        MissingExtraError: joblib is not installed, and they are many.
    """
    with target.open("wb") as file:
        file.truncate(len(pictures) * int(np.prod(image_shape)))
    starts = range(0, len(pictures), _AT_ONCE)
    tasks = (
        (
            target,
            start,
            [p.file for p in pictures[start : start + _AT_ONCE]],
            image_shape,
            options.fit,
            options.max_pixels,
        )
        for start in starts
    )
    if len(pictures) <= _SERIAL:
        yield from (_decode_some(*task) for task in tasks)
    else:
        yield from _in_parallel(tasks)


def _in_parallel(tasks: Iterator[tuple[Path, int, list[Path], tuple[int, int, int], Fit, int]]) -> Iterator[Decoded]:
    try:
        from joblib import Parallel, delayed
        from joblib.externals.loky import get_reusable_executor
        from joblib.externals.loky.process_executor import BrokenProcessPool
    except ModuleNotFoundError as error:
        raise MissingExtraError("Reading many pictures", "train") from error
    workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parallel = Parallel(n_jobs=workers, return_as="generator", idle_worker_timeout=_IDLE_SECONDS)
    parts = parallel(delayed(_decode_some)(*task) for task in tasks)
    try:
        for part in parts:  # noqa: UP028 - `yield from` would close `parts` where its warning is heard
            yield part
    except BrokenProcessPool as error:
        raise DataError(
            "A process that decoded pictures was killed, as systems do where memory runs out. Close other programs, or "
            "lower --max-pixels to have the largest pictures refused by name."
        ) from error
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an end before the last part
            parts.close()
        get_reusable_executor().shutdown()  # else they would stay, and their memory with them, for minutes


def _decode_some(
    target: Path, start: int, files: list[Path], image_shape: tuple[int, int, int], fit: Fit, max_pixels: int
) -> Decoded:
    """Decode pictures into their places, from `start` on, in the file."""
    found = Decoded(np.zeros(len(files), bool), set(), {})
    pixels = np.zeros((len(files), *image_shape), np.uint8)
    for place, file in enumerate(files):
        try:
            picture = decode_picture(file, image_shape, fit, max_pixels)
        except ImageError as error:
            found.errors[start + place] = str(error).removeprefix(f"{file}: ")
        else:
            pixels[place], found.grey[place] = picture.pixels, picture.is_grey
            found.sizes.add(picture.upright_size)
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
