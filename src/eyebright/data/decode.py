"""Pictures of any format, size and mode become the uint8 array of one shape that a classifier takes.

What happens to a picture, in this order (a saved classifier's `preprocessing.json` records it in short):

1. It is decoded; of an animation, or a file of several pages, the first.
2. Its EXIF orientation is applied.
3. A 16-bit grey value v becomes round(v / 257), so that 0 and 65,535 become 0 and 255. (Of 16-bit colours Pillow keeps
   the upper byte.) Pixels of 32 bits, integer or floating point, are refused: no range is agreed on for them.
4. Transparency is composited on white.
5. Its colours become grey (ITU-R 601: 0.299 R + 0.587 G + 0.114 B) or RGB, as the classifier takes them.
6. It is stretched to the classifier's height and width, bicubic with antialiasing. A picture that has that size already
   keeps its pixels untouched.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from eyebright.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

# Not all that Pillow opens: EPS would run Ghostscript, some formats have no signature and take any bytes, and JPEG 2000
# can be cut where it still decodes, to black.
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")

# What a file is that has these bytes at this offset. Those in `_FORMATS` can be read.
_SIGNATURES = (
    (0, b"\xff\xd8", "JPEG"),
    (0, b"\x89PNG", "PNG"),
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    *((0, b"P%d" % i, "PPM") for i in range(1, 7)),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (8, b"WEBP", "WEBP"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftypheic", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (4, b"ftyp", "a video"),
    (4, b"jP  ", "JPEG 2000"),
    (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript"),
    (0, b"PK\x03\x04", "a ZIP archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"<svg", "SVG"),
    (0, b"<?xml", "XML"),
    (0, b"<!DOCTYPE", "a web page"),
    (0, b"<html", "a web page"),
    (0, b"version https://git-lfs", "a Git LFS pointer (git lfs pull gets the file)"),
)


def decode_image(source: Path | bytes, image_shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Decode one picture into the shape that a classifier takes.

    Args:
        source: a file, or the bytes of one.
        image_shape: (height, width, channels), channels 1 (grey) or 3 (RGB).

    Returns:
        uint8 [H, W, C], values 0 … 255.

    Raises:
        ImageError: no file, no picture, a damaged or truncated one, one with too many pixels, or one whose pixels
            have no agreed range.
    """
    if isinstance(source, Path):
        name, content = str(source), _read(source)
    else:
        name, content = "the picture", source
    if not content:
        raise ImageError(f"{name}: empty (0 bytes).")
    from PIL import Image

    height, width, channels = image_shape
    try:
        image = _with_mode(_opened(content), "L" if channels == 1 else "RGB")
        if image.size != (width, height):
            image = image.resize((width, height), Image.Resampling.BICUBIC)
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: more than {Image.MAX_IMAGE_PIXELS:,} pixels. Make it smaller first.") from error
    except ImageError as error:
        raise ImageError(f"{name}: {error}") from error
    except Exception as error:  # there is no closed list of what decoders raise for damaged bytes
        raise ImageError(f"{name}: {_diagnosis(content, error)}") from error
    return np.array(image, np.uint8).reshape(image_shape)


def _read(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            kind = "a directory" if path.is_dir() else "no regular file"
            raise ImageError(f"{path}: this is {kind}, not a picture.")
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file.") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be read: {error.strerror or error}.") from error


def _opened(content: bytes) -> Image:
    """The decoded picture, upright."""
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        # Pillow warns of damaged metadata, which does no harm, and of many pixels, which are refused here. The filter
        # is a narrow one because another thread may come to keep it.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        image = Image.open(io.BytesIO(content), formats=_FORMATS)
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and image.width * image.height > limit:
            raise Image.DecompressionBombError
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
    return image


def _with_mode(image: Image, mode: str) -> Image:
    """The picture as "L" (grey) or "RGB", of 8 bits, on white."""
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        image = Image.fromarray(_from_16_bits(np.asarray(image), image.info.get("transparency")))
    if image.mode in ("I", "F"):
        kind = "integers" if image.mode == "I" else "floating point numbers"
        raise ImageError(f"its pixels are 32-bit {kind}, whose range is not known. Convert it to 8 or 16 bits.")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert(mode)


def _from_16_bits(values: NDArray[np.generic], transparent: int | None) -> NDArray[np.uint8]:
    """Grey values 0 … 65,535 as 0 … 255; the one that means transparent becomes white."""
    wide = values.astype(np.uint32)
    grey = ((wide + 128) // 257).astype(np.uint8)  # round(v / 257)
    if transparent is not None:
        grey[wide == transparent] = 255
    return grey


def _diagnosis(content: bytes, error: Exception) -> str:
    """What is wrong with bytes that could not be decoded."""
    from PIL import UnidentifiedImageError

    kind = next((k for offset, signature, k in _SIGNATURES if content.startswith(signature, offset)), None)
    if kind not in _FORMATS and isinstance(error, UnidentifiedImageError):
        looks = f"it begins like {kind}" if kind else f"it begins with the bytes {content[:8].hex(' ')}"
        return f"no picture that can be read: {looks}. What can be read: {', '.join(_FORMATS)}."
    kind = kind or "picture"
    expected = _expected_bytes(content)
    if len(content) < expected:
        return f"truncated {kind} ({len(content):,} of at least {expected:,} bytes). Get the whole file."
    if "truncated" in str(error).lower():
        return f"truncated {kind} ({len(content):,} bytes; its end is missing). Get the whole file."
    reason = "its header cannot be read" if isinstance(error, UnidentifiedImageError) else str(error) or repr(error)
    return f"damaged {kind} ({len(content):,} bytes): {reason}."


def _expected_bytes(content: bytes) -> int:
    """How long a file must at least be by what it says itself; 0 where its format does not say."""
    if content.startswith(b"BM"):
        return int.from_bytes(content[2:6], "little")
    if content.startswith(b"RIFF"):
        return int.from_bytes(content[4:8], "little") + 8
    if content.startswith(b"\x89PNG"):
        end = 8  # of the signature, then of each chunk: length, type, data, checksum
        while end + 8 <= len(content):
            chunk = content[end + 4 : end + 8]
            end += 12 + int.from_bytes(content[end : end + 4], "big")
            if chunk == b"IEND":
                return end
        return end + 12  # the chunk IEND, the last, has 12 bytes
    return 0
