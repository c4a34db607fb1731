"""Pixels in other places: mirror images, shifts, and whatever a matrix can do. Tensors; the step is compiled.

Every function here and in `colour` and `mixing` is written in Keras's operations on static shapes, without a loop over
images, so that XLA makes one pass of each (TensorFlow's own kernels take three to nine times as long), and so that
another backend can run it. Outside of the image is its reflection, the edge not repeated: 2 1 | 0 1 2 3 | 2 1.
"""

from __future__ import annotations

from typing import Any

from eyebright.backend import keras

ops = keras.ops


def flip_and_shift(images: Any, flip: Any = None, down: Any = None, right: Any = None) -> Any:
    """Mirror some of the images left to right, then move each by whole pixels.

    Args:
        images: uint8 [B, H, W, C].
        flip: bool [B], which are mirrored.
        down: int32 [B], by how many pixels each moves, from 1 - H to H - 1.
        right: the same, from 1 - W to W - 1.

    Returns:
        uint8 [B, H, W, C].
    """
    batch, height, width, channels = images.shape
    y = ops.arange(height, dtype="int32")[None, :]  # [1, H]: of the new image
    x = ops.arange(width, dtype="int32")[None, :]
    if down is not None:
        y = _reflected(y - down[:, None], height)  # [B, H]: of the old one
    if right is not None:
        x = _reflected(x - right[:, None], width)
    if flip is not None:
        x = ops.where(flip[:, None], width - 1 - x, x)
    first = ops.arange(batch, dtype="int32")[:, None] * height
    pixels = (first + y)[:, :, None] * width + x[:, None, :]  # [B, H, W]
    return ops.take(ops.reshape(images, (batch * height * width, channels)), pixels, axis=0)


def warp(images: Any, places: Any) -> Any:
    """Take each pixel from elsewhere, interpolating between the four that are nearest.

    Args:
        images: uint8 [B, H, W, C].
        places: float [B, 3, 3], from the places of the new image to those of the old (see `place_maps`).

    Returns:
        uint8 [B, H, W, C].
    """
    batch, height, width, channels = images.shape
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    y = (ops.arange(height, dtype="float32") - middle_y)[None, :, None]  # [1, H, 1]
    x = (ops.arange(width, dtype="float32") - middle_x)[None, None, :]
    entry = ops.cast(places, "float32")[:, :, :, None, None]  # [B, 3, 3, 1, 1]
    old_x = entry[:, 0, 0] * x + entry[:, 0, 1] * y + entry[:, 0, 2] + middle_x  # [B, H, W]
    old_y = entry[:, 1, 0] * x + entry[:, 1, 1] * y + entry[:, 1, 2] + middle_y
    top, bottom, down = _neighbours(old_y, height)
    left, right, across = _neighbours(old_x, width)
    first = (ops.arange(batch, dtype="int32") * (height * width))[:, None, None]
    pixels = ops.reshape(images, (batch * height * width, channels))

    def at(row: Any, column: Any) -> Any:
        return ops.cast(ops.take(pixels, first + row * width + column, axis=0), "float32")  # [B, H, W, C]

    upper = at(top, left) * (1 - across) + at(top, right) * across
    lower = at(bottom, left) * (1 - across) + at(bottom, right) * across
    return ops.cast(ops.round(upper * (1 - down) + lower * down), "uint8")


def _reflected(place: Any, size: int) -> Any:
    """Whole places from 1 - size to 2 · size - 2, reflected into 0 … size - 1."""
    place = ops.abs(place)
    return ops.minimum(place, 2 * (size - 1) - place)


def _neighbours(place: Any, size: int) -> tuple[Any, Any, Any]:
    """The pixels before and after any places, int32, and how far the places lie from the first, 0 … 1, [..., 1]."""
    if size == 1:
        only = ops.zeros_like(place, dtype="int32")
        return only, only, ops.zeros_like(place)[..., None]
    period = 2.0 * (size - 1)
    place = ops.abs(place)
    place = place - period * ops.floor(place * (1 / period))
    # The clip is against rounding where a place is near a multiple of the period.
    place = ops.clip(ops.minimum(place, period - place), 0.0, size - 1.0)
    before = ops.floor(place)
    first = ops.cast(before, "int32")
    return first, ops.minimum(first + 1, size - 1), (place - before)[..., None]
