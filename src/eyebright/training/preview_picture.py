"""A preview of the augmentation as a picture."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from eyebright.errors import MissingExtraError
from eyebright.storage import write_file
from eyebright.training.preview import Preview, View

_SIDE = 128  # pixels: the least of an image's longer side, and of the place that a caption has
_GAP = 12
_LINE = 16
_FONT_SIZE = 12
_GROUND = (236, 236, 236)  # neither black nor white images melt into it
_INK, _FAINT = (0, 0, 0), (100, 100, 100)


class _Cell(NamedTuple):
    """An image, or None where there is none, and what stands below it: its classes, and in grey where it is from."""

    image: NDArray[np.uint8] | None
    classes: list[str]
    origin: str


def draw_preview(path: Path, preview: Preview, class_names: Sequence[str], title: Sequence[str]) -> None:
    """Draw a row an image: first the image as it is, then how it is trained on, a column an epoch.

    Images are enlarged by a whole factor, each pixel a square. Below each stand its class, or its classes with their
    shares where it is mixed, and its step. The file's "Description" is the title.

    Args:
        path: of the picture, a PNG.
        preview: what to draw.
        class_names: of the data set.
        title: paragraphs to stand above it all.

    Raises:
        MissingExtraError: matplotlib is not installed, whose font is used.
        StorageError: the picture cannot be written.
    """
    height, width, _ = preview.rows[0].image.shape
    scale = max(1, -(-_SIDE // max(height, width)))
    font = _font()
    cell_width = max(width * scale, _SIDE)
    letters = int(cell_width / font.getlength("0"))
    heads = ["original", *(f"epoch {preview.first_epoch + 1 + n}" for n in range(len(preview.rows[0].views)))]
    grid = [
        [
            _Cell(row.image, [_cut(class_names[row.label], letters)], f"image {row.number}"),
            *(_cell(view, class_names, letters) for view in row.views),
        ]
        for row in preview.rows
    ]
    across = cell_width + _GAP
    down = height * scale + max(len(cell.classes) + 1 for cells in grid for cell in cells) * _LINE + _GAP
    letters_of_title = int((len(heads) * across - _GAP) / font.getlength("0"))
    lines = [line for paragraph in title for line in textwrap.wrap(paragraph, letters_of_title)]
    top = (len(lines) + 1) * _LINE + 2 * _GAP  # of the first row; the heads stand above it

    sheet = _Sheet(_GAP + len(heads) * across, top + len(grid) * down, font)
    sheet.write(_GAP, _GAP, lines)
    for column, head in enumerate(heads):
        x = _GAP + column * across
        sheet.write(x, top - _LINE, [head])
        for number, cells in enumerate(grid):
            sheet.draw(cells[column], x, top + number * down, scale, height * scale)
    write_file(path, sheet.png("\n".join(title)))


class _Sheet:
    """The picture that is being drawn."""

    def __init__(self, width: int, height: int, font: ImageFont.FreeTypeFont) -> None:
        self._image = Image.new("RGB", (width, height), _GROUND)
        self._pen = ImageDraw.Draw(self._image)
        self._font = font

    def write(self, x: int, y: int, lines: Sequence[str], ink: tuple[int, int, int] = _INK) -> None:
        """Write lines; the place is that of their upper left corner."""
        for number, line in enumerate(lines):
            self._pen.text((x, y + number * _LINE), line, fill=ink, font=self._font)

    def draw(self, cell: _Cell, x: int, y: int, scale: int, height: int) -> None:
        """Draw a cell; its image is so many pixels high, enlarged by the scale."""
        if cell.image is not None:
            pixels = cell.image.repeat(scale, axis=0).repeat(scale, axis=1)
            self._image.paste(Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]), (x, y))
        self.write(x, y + height, cell.classes)
        self.write(x, y + height + len(cell.classes) * _LINE, [cell.origin], _FAINT)

    def png(self, description: str) -> bytes:
        """The picture as a file, which carries a description that programs can read."""
        content, texts = io.BytesIO(), PngInfo()
        texts.add_itxt("Description", description)
        self._image.save(content, "PNG", pnginfo=texts)
        return content.getvalue()


def class_captions(target: NDArray[np.float32], class_names: Sequence[str], letters: int) -> list[str]:
    """The class of a target, or its classes with their shares in percent, the largest first.

    Args:
        target: float32 [classes], the share of each class.
        class_names: of the data set.
        letters: the most that a caption may have; longer names are cut.

    >>> class_captions(np.array([0.3, 0, 0.7], np.float32), ["cat", "ship", "automobile"], 10)
    ['autom… 70%', 'cat 30%']
    """
    percents = np.round(100 * target).astype(int)
    mixed = np.argsort(-percents, kind="stable")[: np.count_nonzero(percents)].tolist()
    shares = [f" {percents[label]}%" if len(mixed) > 1 else "" for label in mixed]
    return [_cut(class_names[label], letters - len(share)) + share for label, share in zip(mixed, shares, strict=True)]


def _cell(view: View | None, class_names: Sequence[str], letters: int) -> _Cell:
    if view is None:
        return _Cell(None, [], "not in this epoch")
    return _Cell(view.image, class_captions(view.target, class_names, letters), f"step {view.step}")


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _font() -> ImageFont.FreeTypeFont:
    """A font whose letters are of one width, and more than ASCII's, which are all that Pillow's own has."""
    try:
        from matplotlib import get_data_path
    except ImportError as error:
        raise MissingExtraError("Drawing", "train") from error
    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf", _FONT_SIZE)
