"""Pixels of every kind that a file can hold become 8 bits of grey or RGB, in sRGB, on white."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.data.colour_profile import in_srgb
from eyebright.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

_BITS_PER_SAMPLE, _PHOTOMETRIC = 258, 262  # tags of a TIFF file
_WHITE_IS_ZERO = 0
_FEW_BITS = {"L;2": 3, "L;4": 15}  # the greatest grey value of a PNG of so few bits; Pillow makes it 255


class Levels(NamedTuple):
    """Which values of a picture of more than 8 bits are black and white."""

    black: int = 0
    white: int = 65_535


def grey_levels(image: ImageFile) -> Levels | None:
    """The levels of a grey picture of 12 or 16 bits, as its header gives them; None for every other.

    Pillow reads 12-bit values as they are, and turns black and white round only in pictures of up to 8 bits.
    """
    if not (image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM")):
        return None
    tags = getattr(image, "tag_v2", {})
    most = 4095 if tags.get(_BITS_PER_SAMPLE) == (12,) else 65_535
    return Levels(most, 0) if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO else Levels(0, most)


def mend_transparency(image: ImageFile) -> None:
    """Bring the value that means transparent in a PNG to the scale that Pillow has brought its pixels to.

    Args:
        image: not yet decoded. Its `info` is changed.
    """
    transparent = image.info.get("transparency")
    if image.format != "PNG" or transparent is None or not image.tile:
        return
    stored_as = image.tile[0].args
    if isinstance(transparent, int) and image.mode == "L":
        most = _FEW_BITS.get(str(stored_as), 255)
        image.info["transparency"] = (transparent & most) * 255 // most  # the lowest bits count, says the standard
    elif isinstance(transparent, tuple) and image.mode == "RGB":
        bits = 8 if stored_as == "RGB;16B" else 0  # the upper byte of each is what is kept
        image.info["transparency"] = tuple((value >> bits) & 255 for value in transparent)


def as_shown(image: Image, mode: str, levels: Levels | None) -> Image:
    """The picture as "L" (grey) or "RGB", of 8 bits, of the colours of sRGB, on white.

    Args:
        image: decoded, of any mode.
        mode: "L" or "RGB".
        levels: of `grey_levels`.

    Raises:
        ImageError: its pixels have no agreed range.
    """
    from PIL import Image

    if levels is not None:
        profile = image.info.get("icc_profile")
        image = Image.fromarray(_to_8_bits(np.asarray(image), levels, image.info.get("transparency")))
        image.info["icc_profile"] = profile
    if image.mode in ("I", "F"):
        kind = "signed or 32-bit integers" if image.mode == "I" else "32-bit floating point numbers"
        raise ImageError(f"its pixels are {kind}, whose range is not known. Convert it to 8 or 16 bits.")
    image = in_srgb(image)
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image if image.mode == mode else image.convert(mode)  # which would be a copy


def _to_8_bits(values: NDArray[np.generic], levels: Levels, transparent: int | None) -> NDArray[np.uint8]:
    """Grey values as 0 (black) … 255 (white), rounded; the one that means transparent becomes white."""
    most = max(levels)
    wide = values.astype(np.uint32)
    light = np.minimum(wide, most) if levels.white else most - np.minimum(wide, most)
    grey = ((light * 510 + most) // (2 * most)).astype(np.uint8)  # round(255 · light / most): there are no ties
    if transparent is not None:
        grey[wide == transparent] = 255
    return grey
