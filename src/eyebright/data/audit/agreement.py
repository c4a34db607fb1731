"""How far two images agree in their edges: of the shifts and scales, those at which they agree best."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from eyebright.data.audit.embedding import resized

LEAST_SIDE = 16  # pixels: images of fewer show too little to know two as the same
_SIDE = 32  # pixels that images are compared at, if they are larger
_SHIFT = 3  # pixels by which one may be shifted against the other
_SCALES = (0.9, 0.95, 1.0, 1.05, 1.1)  # of one against the other
_SCREENED_SHIFT = 1  # pixels of `LEAST_SIDE`
_ALMOST_NONE = 1e-6


def small_grey(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images uint8 [n, H, W, C] as `screened_agreement` takes them: float32 [n, 16, 16, 1]."""
    return resized(images.mean(axis=3, keepdims=True, dtype=np.float32), LEAST_SIDE)


def screened_agreement(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """The agreement of pairs of small grey images [n, 16, 16, 1], quickly; float32 [n], −1 … 1."""
    return _best_agreement(one, other, _SCREENED_SHIFT)


def agreement(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The agreement of pairs of images.

    It is the normalised cross-correlation of the differences between neighbouring pixels, of slightly blurred images,
    across or down, whichever agrees less: the horizon of two seascapes agrees down and not across, and the plain areas
    of sky and sea, which all of them share, play no part.

    Args:
        one: uint8 [n, H, W, C].
        other: likewise.

    Returns:
        float32 [n], −1 … 1, the largest over shifts by up to 3 pixels of 32, and scales from 0.9 to 1.1.
    """
    side = min(_SIDE, *one.shape[1:3])
    first, second = (resized(images, side) for images in (one, other))
    blurred = _blurred(_blurred(first))
    shift = _SHIFT * side // _SIDE
    found = np.full(len(one), -1, np.float32)
    for scale in _SCALES:
        scaled = _blurred(_blurred(_scaled(second, scale)))
        np.maximum(found, _best_agreement(blurred, scaled, shift), out=found)
    return found


def _best_agreement(one: NDArray[np.float32], other: NDArray[np.float32], shift: int) -> NDArray[np.float32]:
    """Of images [n, S, S, C] at their best shift; the border of the first, of so many pixels, is left out."""
    side = one.shape[1]
    centre = one[:, shift : side - shift, shift : side - shift]
    down, across = (list(_correlations(np.diff(centre, axis=a), np.diff(other, axis=a))) for a in (1, 2))
    found: NDArray[np.float32] = np.minimum(down, across).max(axis=0)
    return found


def _correlations(template: NDArray[np.float32], other: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """Of templates [n, h, w, C] with every window of that size in larger images: [n], window by window."""
    height, width = template.shape[1:3]
    energy = np.einsum("nhwc,nhwc->n", template, template)
    for row in range(other.shape[1] - height + 1):
        for column in range(other.shape[2] - width + 1):
            window = other[:, row : row + height, column : column + width]
            product = np.einsum("nhwc,nhwc->n", template, window)
            yield product / np.sqrt(energy * np.einsum("nhwc,nhwc->n", window, window) + _ALMOST_NONE)


def _blurred(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each pixel with half of what its neighbours are, down and across."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    quarter, half = np.float32(0.25), np.float32(0.5)
    down: NDArray[np.float32] = quarter * (padded[:, :-2] + padded[:, 2:]) + half * padded[:, 1:-1]
    blurred: NDArray[np.float32] = quarter * (down[:, :, :-2] + down[:, :, 2:]) + half * down[:, :, 1:-1]
    return blurred


def _scaled(images: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Images [n, S, S, C] made larger about their middle, or smaller with their borders repeated; bilinear."""
    side = images.shape[1]
    if scale == 1:
        return images
    centres = np.clip((np.arange(side) - (side - 1) / 2) / scale + (side - 1) / 2, 0, side - 1)
    weights = np.maximum(0, 1 - np.abs(centres[:, None] - np.arange(side))).astype(np.float32)  # [S, S]
    rows = np.einsum("ah,nhwc->nawc", weights, images, optimize=True)
    scaled: NDArray[np.float32] = np.einsum("bw,nawc->nabc", weights, rows, optimize=True)
    return scaled
