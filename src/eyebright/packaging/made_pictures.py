"""Picture files from a seeded generator, which become golden pictures: what decoding and resizing are proved by."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eyebright.randomness import Stream, random_words

if TYPE_CHECKING:
    from PIL.Image import Exif, Image

_ORIENTATION = 0x0112  # the EXIF tag
_QUARTER_TURN = 6


def made_pictures(image_shape: tuple[int, int, int]) -> tuple[bytes, ...]:
    """Coloured slopes with noise, as PNG files. The same shape and Pillow give the same bytes.

    Args:
        image_shape: (height, width, channels) of the images that a classifier takes.

    Returns:
        The first four are plain RGB: one of that very size, the others larger, smaller and of other proportions. Then
        one each with transparency, with 16 bits of grey, and with a palette and an EXIF orientation.
    """
    height, width, _ = image_shape
    sizes = [(height, width), (2 * height + 5, 3 * width + 1), (height + 9, width), (height // 2 + 1, width // 2 + 2)]
    plain = [_png(_image(_slope(number, size))) for number, size in enumerate(sizes)]
    other = height + 7, 2 * width + 3
    return *plain, _transparent(4, other), _sixteen_bits(5, other), _turned_palette(6, other)


def _slope(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A coloured slope with noise, uint8 [H, W, 3]."""
    height, width = size
    words = random_words(number, Stream.GOLDEN, 0, height * width * 3)
    noise = (words >> np.uint64(58)).astype(np.float64).reshape(height, width, 3)  # 0 … 63
    down, across = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None, :]
    slope = np.stack([190 * (down + 0 * across), 190 * (across + 0 * down), 95 * (down + across)], axis=2)
    return (slope[:, :, np.roll(np.arange(3), number)] + noise).astype(np.uint8)


def _transparent(number: int, size: tuple[int, int]) -> bytes:
    colours = _slope(number, size)
    return _png(_image(np.concatenate([colours, colours[:, ::-1, :1]], axis=2)))


def _sixteen_bits(number: int, size: tuple[int, int]) -> bytes:
    colours = _slope(number, size).astype(np.uint16)
    return _png(_image(256 * colours[:, :, 0] + colours[:, :, 1]))


def _turned_palette(number: int, size: tuple[int, int]) -> bytes:
    from PIL import Image

    image = _image(_slope(number, size)[:, :, 0])
    levels = np.arange(256, dtype=np.uint8)
    image.putpalette(np.stack([levels, levels[::-1], np.roll(levels, 64)], axis=1).tobytes())
    exif = Image.Exif()
    exif[_ORIENTATION] = _QUARTER_TURN
    return _png(image, exif=exif)


def _image(pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> Image:
    from PIL import Image

    return Image.fromarray(pixels)


def _png(image: Image, **more: Exif) -> bytes:
    written = io.BytesIO()
    image.save(written, "PNG", **more)
    return written.getvalue()
