"""Colours of a picture's own profile (ICC) become those of sRGB, which every picture without a profile has."""

from __future__ import annotations

import functools
import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

_COLOURS_OF = {"L": "GRAY", "RGB": "RGB ", "CMYK": "CMYK"}  # by the mode, without its transparency
_SAME = 2  # levels of 255: a profile whose colours are that near to sRGB's is sRGB, written by another program


def in_srgb(image: Image) -> Image:
    """The picture in the colours of sRGB, by the perceptual intent, its transparency as it was.

    A picture without a profile, or with one that is damaged, of other colours than the picture's, or as good as sRGB
    itself, keeps its pixels: programs that show pictures do the same.

    Args:
        image: of any mode; only L, LA, P, PA, RGB, RGBA and CMYK can have a profile that counts.

    Returns:
        Of the mode L or LA where it was grey, RGB or RGBA where it had colours.
    """
    profile = image.info.get("icc_profile")
    if not profile or not isinstance(profile, bytes):
        return image
    if image.mode in ("P", "PA"):  # the palette's colours are RGB
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    mode = image.mode.removesuffix("A")
    if mode not in _COLOURS_OF:
        return image
    from PIL import ImageCms

    try:
        transform = _transform(profile, mode)
        changed = None if transform is None else ImageCms.applyTransform(image.convert(mode), transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):  # a damaged profile
        return image
    if changed is None:
        return image
    if mode == "L":  # what is grey stays grey, to the last level
        changed = changed.convert("L")
    if image.has_transparency_data:  # by a channel, or by one colour, known by what it was before
        changed.putalpha(image.convert("RGBA").getchannel("A"))
    return changed


@functools.lru_cache(maxsize=16)  # pictures of one camera share a profile
def _transform(profile: bytes, mode: str) -> Any:
    """The change of colours, or None where there is nothing to change."""
    from PIL import ImageCms

    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if opened.profile.xcolor_space != _COLOURS_OF[mode]:
        return None
    transform = ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
    return transform if mode == "CMYK" or _changes_colours(transform, mode) else None


def _changes_colours(transform: Any, mode: str) -> bool:
    """Whether a change of colours is seen on some of them, spread over all."""
    from PIL import Image, ImageCms

    steps = np.linspace(0, 255, 256 if mode == "L" else 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(*[steps] * len(mode)), axis=-1).reshape(1, -1, len(mode))
    pixels = Image.fromarray(colours.squeeze(-1) if mode == "L" else colours)
    changed = ImageCms.applyTransform(pixels, transform)
    return changed is None or bool(np.abs(np.asarray(changed).astype(int) - colours).max() > _SAME)
