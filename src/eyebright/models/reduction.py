"""A smaller image that says nearly as much: brightness at 20 × 20 pixels, colours at 8 × 8, as photographs are coded.

That is 5/8 and 1/4 of the sides of CIFAR's images. Smaller images stay as they are; larger ones get no more, as a
network that is fully connected has no use for finer detail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

_BRIGHTNESS = 20  # pixels a side
_COLOURS = 8


def reduction(image_shape: tuple[int, int, int], directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """The linear map from pixels to the smaller image.

    Channels are turned to `directions`; of each, the low frequencies of the cosine transform are taken back to a
    coarser grid of pixels. Each output is therefore still of one place.

    Args:
        image_shape: (H, W, C).
        directions: float64 [C, C], orthonormal columns, brightness first.

    Returns:
        float64 [H·W·C, outputs], orthonormal columns; the outputs are those of `grid`.
    """
    height, width, channels = image_shape
    columns = []
    for channel in range(channels):
        rows, cols = _coarse(height, width, channel)
        y, x = _resampling(height, rows), _resampling(width, cols)  # [rows, H], [cols, W]
        column = np.einsum("ay,bx,c->yxcab", y, x, directions[:, channel])
        columns.append(column.reshape(height * width * channels, rows * cols))
    return np.concatenate(columns, axis=1)


def grid(height: int, width: int, channels: int, *, compact: bool) -> NDArray[np.float64]:
    """Where in the image the outputs are, y and x in pixels: of `reduction`, or else of the pixels themselves.

    Returns:
        float64 [outputs, 2].
    """
    if not compact:
        places = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), axis=-1)  # [H, W, 2]
        return np.repeat(places.reshape(-1, 2), channels, axis=0).astype(np.float64)
    parts = []
    for channel in range(channels):
        rows, cols = _coarse(height, width, channel)
        y = (np.arange(rows) + 0.5) * height / rows - 0.5
        x = (np.arange(cols) + 0.5) * width / cols - 0.5
        parts.append(np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2))
    return np.concatenate(parts)


def channel_directions(batches: Callable[[], Iterator[NDArray[np.float32]]]) -> NDArray[np.float64]:
    """The principal directions of the channels' values, float64 [C, C], the one that varies most (brightness) first.

    Args:
        batches: the training images less their mean, float32 [n, H, W, C] a batch.
    """
    products: NDArray[np.float64] | float = 0.0
    for batch in batches():
        pixels = batch.reshape(-1, batch.shape[-1])
        products = products + (pixels.T @ pixels).astype(np.float64)
    directions: NDArray[np.float64] = np.linalg.eigh(products)[1][:, ::-1]
    return directions


def _coarse(height: int, width: int, channel: int) -> tuple[int, int]:
    side = _COLOURS if channel else _BRIGHTNESS
    return min(height, side), min(width, side)


def _resampling(size: int, coarse: int) -> NDArray[np.float64]:
    """[coarse, size], orthonormal rows: the lowest frequencies of `size` pixels, as `coarse` pixels."""
    return _cosines(coarse, coarse).T @ _cosines(size, coarse)


def _cosines(size: int, frequencies: int) -> NDArray[np.float64]:
    """The discrete cosine transform's lowest frequencies, [frequencies, size], orthonormal rows."""
    frequency, pixel = np.arange(frequencies)[:, None], np.arange(size)[None, :]
    cosines: NDArray[np.float64] = np.cos(np.pi * (pixel + 0.5) * frequency / size) * np.sqrt(2 / size)
    cosines[0] /= np.sqrt(2)
    return cosines
