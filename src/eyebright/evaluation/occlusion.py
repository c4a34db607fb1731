"""What hiding a part of an image does to a class's logit: for any model, by asking it alone, without gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_WINDOWS = 4  # of so many sides of a window is a side of the image
_STEPS_A_WINDOW = 2


def occlusion(
    logits_of: Callable[[NDArray[np.uint8], NDArray[np.int64]], NDArray[np.floating]],
    image: NDArray[np.uint8],
    class_index: int,
) -> NDArray[np.float64]:
    """How far the logit falls where a window hides a pixel (Zeiler and Fergus, 2014).

    Args:
        logits_of: the model's logits, of `compiled_logits`.
        image: uint8 [H, W, C].
        class_index: the class that is asked for.

    Returns:
        float64 [H, W], the mean fall over the windows that hide a pixel; negative where hiding it helps the class.
    """
    pictures, hidden = occluded(image)
    logits = logits_of(np.concatenate([image[None], pictures]), np.arange(len(pictures) + 1))
    return mean_fall(logits[:, class_index], hidden)


def occluded(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Copies of an image in each of which a window hides another part.

    A window of a quarter of each side, of the image's mean colour, is moved over the image by half its side, and past
    its edges, so that all pixels are hidden equally often.

    Args:
        image: uint8 [H, W, C].

    Returns:
        The copies, uint8 [windows, H, W, C], and what is hidden in each, bool [windows, H, W].
    """
    rows, columns = (_windows(side) for side in image.shape[:2])
    hidden = rows[:, None, :, None] & columns[None, :, None, :]  # [windows down, across, H, W]
    hidden = hidden.reshape(-1, *image.shape[:2])
    colour = np.round(mean_colour(image)).astype(np.uint8)
    return np.where(hidden[..., None], colour, image), hidden


def mean_fall(scores: NDArray[np.floating], hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The mean fall of a score over the windows that hide a pixel.

    Args:
        scores: float [windows + 1], of the image as it is, and of its copies.
        hidden: bool [windows, H, W], of `occluded`.

    Returns:
        float64 [H, W].
    """
    falls = np.float64(scores[0]) - scores[1:]  # [windows]
    mean: NDArray[np.float64] = np.tensordot(falls, hidden, 1) / hidden.sum(axis=0)
    return mean


def mean_colour(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The mean of an image [H, W, C] in each channel, float64 [C]."""
    mean: NDArray[np.float64] = image.mean(axis=(0, 1))
    return mean


def _windows(side: int) -> NDArray[np.bool_]:
    """Which places along a side each window hides, [windows, side]; none hides nothing."""
    step = max(1, round(side / _WINDOWS / _STEPS_A_WINDOW))
    width = min(side, _STEPS_A_WINDOW * step)
    starts = np.arange(step - width, side, step)[:, None]
    places = np.arange(side)
    return (places >= starts) & (places < starts + width)
