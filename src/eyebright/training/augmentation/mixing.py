"""Images with parts hidden, and two images in one. Tensors; see `geometry` for what all of these have in common."""

from __future__ import annotations

from typing import Any

from eyebright.backend import keras
from eyebright.training.augmentation.colour import as_lines, mean_colours

ops = keras.ops


def erase(images: Any, boxes: Any) -> Any:
    """Hide a rectangle of each image under the image's mean colour, which says least about what was there.

    Args:
        images: uint8 [B, H, W, C].
        boxes: int32 [B, 4]: top, left, bottom, right, the last two not included; an empty box hides nothing.

    Returns:
        uint8 [B, H, W, C].
    """
    width = images.shape[2]
    mean = ops.cast(ops.round(mean_colours(images)), "uint8")  # [B, C]
    hidden = ops.where(_inside(boxes, images.shape), ops.tile(mean, (1, width))[:, None, :], as_lines(images))
    return ops.reshape(hidden, images.shape)


def mix(images: Any, targets: Any, partner: Any, share: Any = None, patch: Any = None) -> tuple[Any, Any]:
    """Mix each image with another one of the batch, and its target with that one's by the same parts.

    Args:
        images: uint8 [B, H, W, C].
        targets: float [B, classes], the probability of each class.
        partner: int32 [B], with which image each is mixed.
        share: float [B], what each pixel keeps of its own image, 0 … 1 (MixUp).
        patch: int32 [B, 4], the box that comes from the partner (CutMix).

    Returns:
        Images, uint8 (rounding moves a value by no more than half a grey level), and targets, shaped as they came.

    Raises:
        ValueError: targets that are not [B, classes].
    """
    batch, height, width, _ = images.shape
    if len(targets.shape) != 2 or targets.shape[0] != batch:
        raise ValueError(f"mixing needs targets [{batch}, classes]; these have the shape {tuple(targets.shape)}")
    lines = as_lines(images)
    others = ops.take(lines, partner, axis=0)
    kept = ops.ones((batch,), "float32")  # part of the image that is its own
    if share is not None:
        kept = kept * share
        own = share[:, None, None]
        blended = ops.cast(lines, "float32") * own + ops.cast(others, "float32") * (1 - own)
        lines = ops.cast(ops.round(blended), "uint8")
    if patch is not None:
        area = (patch[:, 2] - patch[:, 0]) * (patch[:, 3] - patch[:, 1])
        kept = kept * (1 - ops.cast(area, "float32") / (height * width))
        lines = ops.where(_inside(patch, images.shape), others, lines)
    kept = ops.cast(kept, targets.dtype)[:, None]
    return ops.reshape(lines, images.shape), targets * kept + ops.take(targets, partner, axis=0) * (1 - kept)


def _inside(boxes: Any, image_shape: tuple[int, ...]) -> Any:
    """What is in each image's box: bool [B, H, W · C]."""
    _, height, width, channels = image_shape
    y = ops.arange(height, dtype="int32")[None, :]
    x = ops.arange(width * channels, dtype="int32")[None, :]
    rows = (y >= boxes[:, 0:1]) & (y < boxes[:, 2:3])  # [B, H]
    columns = (x >= boxes[:, 1:2] * channels) & (x < boxes[:, 3:4] * channels)  # [B, W · C]
    return rows[:, :, None] & columns[:, None, :]
