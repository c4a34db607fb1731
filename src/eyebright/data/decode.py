"""Pictures of any format, size and mode become the uint8 array of one shape that a classifier takes.

What happens to a picture, in this order (a saved classifier's `preprocessing.json` records it in short):

1. It is decoded; of an animation, or a file of several pages, the first. A JPEG file that is far larger than what is
   wanted is decoded at a half, a quarter or an eighth of its size, but never at less than 1.75 times the wanted one.
   Of 255 levels that changes photographs by less than one on average, any of them by 2.5 at most, and any pixel by 32
   (`tests/data/test_fitting.py`).
2. Its EXIF orientation is applied.
3. A 16-bit grey value v becomes round(v / 257), so that 0 and 65,535 become 0 and 255; a 12-bit one round(v / 4095 ·
   255). (Of 16-bit colours Pillow keeps the upper byte.) Pixels of 32 bits, integer or floating point, and signed ones
   are refused: no range is agreed on for them.
4. The colours of a profile (ICC) become those of sRGB. A profile that is damaged, of other colours than the picture's,
   or by no more than two levels different from sRGB, is left aside.
5. Transparency is composited on white.
6. Its colours become grey (ITU-R 601: 0.299 R + 0.587 G + 0.114 B) or RGB, as the classifier takes them.
7. It is brought to the classifier's height and width, bilinear with antialiasing (a triangle over all pixels that
   come to lie in one, as other libraries have it, too): of `fit` "crop" the largest part in
   its middle that has their proportions; of "stretch" the whole of it; of "pad" the whole of it, between black bars. A
   picture that has that size already keeps its pixels untouched. Crop is the default: things keep their shapes, which
   stretching changes by another amount in every picture, no pixel is spent on bars, and what a photograph shows is
   mostly in its middle. Where it is not, "pad" loses nothing.
"""

from __future__ import annotations

import io
import logging
import math
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.data.fitting import SIDEWAYS, Margins, fitted, turned
from eyebright.data.jpeg_scans import check_scans
from eyebright.data.picture_files import FORMATS, diagnosis, read_picture_file
from eyebright.data.pixels import as_shown, grey_levels, mend_transparency
from eyebright.errors import ImageError
from eyebright.picture_options import DEFAULT_FIT, Fit, PictureOptions

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

logging.getLogger("PIL").addHandler(logging.NullHandler())  # else it prints of damaged files, beside what is said here

_MAX_PIXELS: int = PictureOptions.model_fields["max_pixels"].default
_MAX_SIDE = 1_000_000  # pixels: the filter's table has 32 bytes for each pixel of a side
_ORIENTATION = 0x0112  # the EXIF tag
_LEAST_REDUCED = 1.75  # a JPEG file is decoded at no less than so many times the wanted size
_FEW_PIXELS = 2**18  # a picture of no more is quickly decoded, to find what metadata stand behind its pixels


class Picture(NamedTuple):
    """A decoded picture, and what its file was like.

    Attributes:
        pixels: uint8 [H, W, C], values 0 … 255.
        size: (width, height) in the file, in pixels.
        upright_size: (height, width) as it is shown, in pixels.
        mode: Pillow's name of the kind of its pixels, for example "L" or "RGB".
        format: of the file, for example "JPEG".
        bytes: the length of the file.
    """

    pixels: NDArray[np.uint8]
    size: tuple[int, int]
    upright_size: tuple[int, int]
    mode: str
    format: str
    bytes: int

    @property
    def is_grey(self) -> bool:
        """Whether it has no colours by the kind of its pixels."""
        return is_grey(self.mode)


def decode_image(
    source: Path | bytes, image_shape: tuple[int, int, int], fit: Fit = DEFAULT_FIT, max_pixels: int = _MAX_PIXELS
) -> NDArray[np.uint8]:
    """Decode one picture into the shape that a classifier takes.

    Args:
        source: a file, or the bytes of one.
        image_shape: (height, width, channels), channels 1 (grey) or 3 (RGB).
        fit: what is done with a picture of other proportions.
        max_pixels: a picture of more is refused.

    Returns:
        uint8 [H, W, C], values 0 … 255.

    Raises:
        ImageError: no file, no picture, a damaged or truncated one, one with too many pixels, or one whose pixels
            have no agreed range.
    """
    return decode_picture(source, image_shape, fit, max_pixels).pixels


def decode_picture(
    source: Path | bytes, image_shape: tuple[int, int, int], fit: Fit, max_pixels: int = _MAX_PIXELS
) -> Picture:
    """As `decode_image`, with what the file was like."""
    if isinstance(source, Path):
        name, content = str(source), read_picture_file(source, max_pixels)
    else:
        name, content = "the picture", source
        if not content:
            raise ImageError(f"{name}: empty (0 bytes).")
    height, width, channels = image_shape
    try:
        with _without_warnings:
            image = _opened(content, max_pixels)
            size, mode, levels = image.size, image.mode, grey_levels(image)
            upright, margins = _upright(image, (width, height))
            shown = as_shown(upright, "L" if channels == 1 else "RGB", levels)
            pixels = np.array(fitted(shown, margins, (width, height), fit), np.uint8)
            upright_size = size if _orientation(image) in SIDEWAYS else size[::-1]
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    except Exception as error:  # there is no closed list of what decoders raise for damaged bytes
        raise ImageError(f"{name}: {diagnosis(content, error)}") from error
    return Picture(pixels.reshape(image_shape), size, upright_size, mode, image.format or "", len(content))


def is_grey(mode: str) -> bool:
    """Whether pixels of a kind, by Pillow's name of it, have no colours."""
    return mode in ("1", "L", "LA", "I", "F") or mode.startswith("I;16")


def picture_size(path: Path) -> tuple[int, int] | None:
    """(height, width) of a picture, upright, by its header; None where that cannot be read."""
    from PIL import Image

    try:
        if not path.is_file():  # a pipe would be waited for
            return None
        with _without_warnings, Image.open(path, formats=FORMATS) as image:
            orientation = _orientation(image, header_only=image.width * image.height > _FEW_PIXELS)
            sideways = orientation in SIDEWAYS and image.format != "TIFF"  # Pillow has turned a TIFF's size already
            return image.size if sideways else (image.height, image.width)
    except Exception:
        return None


class _WithoutWarnings:
    """Pillow warns of damaged metadata, which does no harm, and of many pixels, which are refused here.

    Filters of warnings are one list for all threads: the first that comes changes it, the last that leaves changes it
    back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._filters.__exit__(None, None, None)


_without_warnings = _WithoutWarnings()


def _opened(content: bytes, max_pixels: int) -> ImageFile:
    """The picture as its header describes it, not yet decoded."""
    from PIL import Image

    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > 2 * Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels  # Pillow's own limit; it holds for the process, and the user asked for it
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise _too_large(max_pixels) from None
    if image.width * image.height > max_pixels:
        raise _too_large(max_pixels)
    if max(image.size) > _MAX_SIDE:
        raise ImageError(f"a side of more than {_MAX_SIDE:,} pixels. Cut it into smaller pictures.")
    if image.format == "MPO":
        image.format = "JPEG"  # with a second picture behind it, as some cameras write it
    if image.format == "JPEG":
        check_scans(content)
    mend_transparency(image)
    return image


def _too_large(max_pixels: int) -> ImageError:
    return ImageError(f"more than {max_pixels:,} pixels. Make it smaller first, or allow more (--max-pixels).")


def _orientation(image: Image, *, header_only: bool = False) -> int:
    """The EXIF orientation, 1 … 8; 1, upright, where there is none or the metadata cannot be read.

    Args:
        image: a TIFF file that is decoded has been turned by Pillow and has none any more.
        header_only: whether what may stand behind the pixels of a PNG is left aside, as it is only found by decoding.
    """
    from PIL import Image as Module

    try:
        exif = Module.Image.getexif(image) if header_only else image.getexif()
        orientation = exif.get(_ORIENTATION)
    except Exception:  # as many kinds as damaged pixels have
        return 1
    return orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else 1


def _upright(image: ImageFile, wanted: tuple[int, int]) -> tuple[Image, Margins]:
    """The decoded picture, upright, with its margins.

    Args:
        image: not yet decoded.
        wanted: (width, height); a JPEG is decoded at no less than `_LEAST_REDUCED` times that, if it is larger.
    """
    margins = Margins()
    if image.format == "JPEG":
        width, height = reversed(wanted) if _orientation(image) in SIDEWAYS else wanted
        scale = _LEAST_REDUCED * max(width / image.width, height / image.height)
        drafted = image.draft(image.mode, (math.ceil(image.width * scale), math.ceil(image.height * scale)))
        if drafted is not None:  # the last column and the last row may show less of the picture than the others
            margins = Margins(right=image.width - drafted[1][2], bottom=image.height - drafted[1][3])
    image.load()
    return turned(image, margins, _orientation(image))
