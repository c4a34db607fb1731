"""Many small pictures in one PNG, with captions."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from eyebright.errors import MissingExtraError
from eyebright.storage import write_file

_GAP = 4  # pixels between cells
_TEXT = 11  # pixels


def draw_grid(
    path: Path, pictures: Sequence[NDArray[np.uint8]], captions: Sequence[str], columns: int, side: int = 64
) -> None:
    """Draw pictures row by row, each enlarged by a whole factor (or made smaller), so that pixels stay squares.

    Args:
        path: of the PNG.
        pictures: each uint8 [H, W], [H, W, 1] or [H, W, 3], of any size.
        captions: one a picture, of one or more lines, written above it; "" for none. One with none to its right may be
            longer than its picture is wide.
        columns: pictures a row, at least 1.
        side: pixels that a picture may be wide and high.

    Raises:
        MissingExtraError: matplotlib, which the font comes with, is not installed.
        StorageError: the PNG cannot be written.
    """
    rows = -(-len(pictures) // columns)
    heading = (_TEXT + _GAP) * max((caption.count("\n") + 1 for caption in captions if caption), default=0)
    width, height = side + _GAP, side + _GAP + heading
    sheet = Image.new("RGB", (columns * width + _GAP, rows * height + _GAP), "white")
    pen, font = ImageDraw.Draw(sheet), _font()
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        row, column = divmod(number, columns)
        left, top = _GAP + column * width, _GAP + row * height
        pen.text((left, top), caption, fill="black", font=font, spacing=_GAP)
        sheet.paste(_resized(picture, side), (left, top + heading))
    content = io.BytesIO()
    sheet.save(content, "PNG", optimize=True)
    write_file(path, content.getvalue())


def shortened(text: str, width: int) -> str:
    """One line of a caption, cut to a width in pixels, with … at its end where something was cut off.

    Raises:
        MissingExtraError: matplotlib, which the font comes with, is not installed.
    """
    font = _font()
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _resized(picture: NDArray[np.uint8], side: int) -> Image.Image:
    image = Image.fromarray(picture[..., 0] if picture.shape[2:] == (1,) else picture)
    factor = side // max(image.size)
    if factor:
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    image.thumbnail((side, side), Image.Resampling.BOX)
    return image


def _font() -> ImageFont.FreeTypeFont:
    try:
        import matplotlib  # Pillow's own font has no ×, and few letters beyond English ones
    except ImportError as error:
        raise MissingExtraError("Drawing", "train") from error
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", _TEXT)
