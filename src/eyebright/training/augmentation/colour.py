"""Pixels of other values. Tensors; see `geometry` for what all of these have in common."""

from __future__ import annotations

from typing import Any

from eyebright.backend import keras

ops = keras.ops


def as_lines(images: Any) -> Any:
    """Images [B, H, W, C] as [B, H, W · C]: long inner loops are up to three times as fast as those over channels."""
    batch, height, width, channels = images.shape
    return ops.reshape(images, (batch, height, width * channels))


def mean_colours(images: Any) -> Any:
    """The mean of each channel of each image, float32 [B, C], of uint8 [B, H, W, C].

    Summed as whole numbers: that is exact, and twice as fast as floats, whose order of summing must be kept.
    """
    height, width = images.shape[1:3]
    return ops.cast(ops.sum(ops.cast(images, "int32"), axis=(1, 2)), "float32") / (height * width)


def recolour(images: Any, own: Any, mean: Any) -> Any:
    """Brightness, contrast, saturation and hue as one map of the colours of each image.

    Args:
        images: uint8 [B, H, W, C].
        own: float [B, C, C], what each pixel's colour is multiplied with (see `ColourMaps`).
        mean: float [B, C, C], what the image's mean colour is multiplied with.

    Returns:
        uint8 [B, H, W, C], rounded and clipped once, at the end.
    """
    batch, _, _, channels = images.shape
    pixels = ops.cast(images, "float32")
    own, mean = ops.cast(own, "float32"), ops.cast(mean, "float32")
    constant = ops.sum(mean * mean_colours(images)[:, None, :], axis=2)  # [B, C]
    new = ops.reshape(constant, (batch, 1, 1, channels))
    for channel in range(channels):  # a sum of three products is several times as fast as many small matrix products
        new = new + pixels[..., channel : channel + 1] * own[:, None, None, :, channel]
    return _to_pixels(new)


def sharpen(images: Any, factor: Any) -> Any:
    """Move each pixel away from the mean of its surroundings: all but those at the edge, which have not all around.

    Args:
        images: uint8 [B, H, W, C].
        factor: float [B]; 0 is the smoothed image (the nine pixels' mean, the middle one counted five times), 1 the
            image itself, 2 as much sharper.

    Returns:
        uint8 [B, H, W, C].
    """
    _, height, width, channels = images.shape
    if min(height, width) < 3:
        return images
    lines = as_lines(images)
    inner = (width - 2) * channels
    values = ops.cast(lines, "int32")
    nine = sum(values[:, y : y + height - 2, x * channels : x * channels + inner] for y in range(3) for x in range(3))
    middle = values[:, 1:-1, channels : channels + inner]
    smooth = ops.round(ops.cast(nine + 4 * middle, "float32") / 13)
    sharper = _to_pixels(smooth + factor[:, None, None] * (ops.cast(middle, "float32") - smooth))
    between = ops.concatenate([lines[:, 1:-1, :channels], sharper, lines[:, 1:-1, -channels:]], axis=2)
    return ops.reshape(ops.concatenate([lines[:, :1], between, lines[:, -1:]], axis=1), images.shape)


def change_tones(images: Any, kept_bits: Any, solarize_from: Any, autocontrast: Any) -> Any:
    """Posterize, solarize, then spread the values of each channel over 0 … 255.

    Args:
        images: uint8 [B, H, W, C].
        kept_bits: uint8 [B], which bits of each value are kept; 255 keeps all.
        solarize_from: int32 [B], values from here on are inverted; 256 inverts none.
        autocontrast: bool [B], which images are spread; a channel of one value stays as it is.

    Returns:
        uint8 [B, H, W, C].
    """
    images = ops.bitwise_and(images, kept_bits[:, None, None, None])
    inverted = ops.cast(images, "int32") >= solarize_from[:, None, None, None]
    images = ops.where(inverted, 255 - images, images)
    low = ops.cast(ops.amin(images, axis=(1, 2), keepdims=True), "float32")  # [B, 1, 1, C]
    span = ops.cast(ops.amax(images, axis=(1, 2), keepdims=True), "float32") - low
    spread = _to_pixels((ops.cast(images, "float32") - low) * (255 / ops.maximum(span, 1.0)))
    return ops.where(autocontrast[:, None, None, None] & (span > 0), spread, images)


def _to_pixels(values: Any) -> Any:
    return ops.cast(ops.clip(ops.round(values), 0, 255), "uint8")
