"""Images from a seeded generator: noise, gradients, shapes and patches, of which some become golden images.

They are nobody's pictures. Only raw random words and sums, products and comparisons of numbers go into them, no
function that differs between mathematical libraries.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eyebright.randomness import Stream, uniforms

_SEED = 0
_MOST_SHAPES = 4
_MOST_PATCHES = 6  # along a side


def made_images(image_shape: tuple[int, int, int], count: int) -> NDArray[np.uint8]:
    """Images, kind by kind in turn, each with random numbers of its own.

    Args:
        image_shape: (height, width, channels).
        count: how many.

    Returns:
        uint8 [count, H, W, C]. The first of many are the same as of few.
    """
    kinds = (_noise, _gradient, _shapes, _patches)
    images = [kinds[number % len(kinds)](image_shape, _Numbers(number)) for number in range(count)]
    return np.stack(images).astype(np.uint8)


def spread_over(classes: NDArray[np.integer], count: int) -> NDArray[np.int64]:
    """Some of many images, in turn one of each class, so that as many classes as can be are among them.

    Args:
        classes: int [N], of each image.
        count: how many at most.

    Returns:
        int64 [n], ascending.
    """
    order = np.argsort(classes, kind="stable")
    sizes = np.bincount(classes)
    place_in_class = np.arange(len(order)) - np.repeat(sizes.cumsum() - sizes, sizes)
    return np.sort(order[np.argsort(place_in_class, kind="stable")[:count]])


class _Numbers:
    """Uniform random numbers of one image, in (0, 1)."""

    def __init__(self, image: int) -> None:
        self._image = image
        self._taken = 0

    def take(self, *shape: int) -> NDArray[np.float64]:
        count = int(np.prod(shape))
        start, self._taken = self._taken, self._taken + count
        return uniforms(_SEED, Stream.GOLDEN, self._image, self._taken)[start:].reshape(shape)


def _noise(image_shape: tuple[int, int, int], numbers: _Numbers) -> NDArray[np.float64]:
    """Noise about a colour, weak to strong."""
    channels = image_shape[2]
    colour, strength = 255 * numbers.take(channels), numbers.take(1)
    return np.clip(colour + 255 * strength * (numbers.take(*image_shape) - 0.5), 0, 255)


def _gradient(image_shape: tuple[int, int, int], numbers: _Numbers) -> NDArray[np.float64]:
    """One colour that becomes another, in any direction."""
    height, width, channels = image_shape
    colours, (down, right) = 255 * numbers.take(2, channels), numbers.take(2) - 0.5
    y, x = np.mgrid[:height, :width] + 0.5
    along = down * y / height + right * x / width  # [H, W]
    share = ((along - along.min()) / max(float(np.ptp(along)), 1e-9))[..., None]
    image: NDArray[np.float64] = (1 - share) * colours[0] + share * colours[1]
    return image


def _shapes(image_shape: tuple[int, int, int], numbers: _Numbers) -> NDArray[np.float64]:
    """Discs and rectangles on a plain ground."""
    height, width, channels = image_shape
    image = np.broadcast_to(255 * numbers.take(channels), image_shape).copy()
    for _ in range(1 + int(_MOST_SHAPES * numbers.take(1)[0])):
        image[_inside(height, width, numbers)] = 255 * numbers.take(channels)
    return image


def _inside(height: int, width: int, numbers: _Numbers) -> NDArray[np.bool_]:
    """Which pixels of an image a disc or a rectangle covers, bool [H, W]."""
    centre_y, centre_x, half_height, half_width, kind = numbers.take(5)
    y, x = np.mgrid[:height, :width] + 0.5
    off_y, off_x = (y / height - centre_y) / half_height, (x / width - centre_x) / half_width
    inside: NDArray[np.bool_] = off_y**2 + off_x**2 < 0.5 if kind < 0.5 else np.maximum(abs(off_y), abs(off_x)) < 0.5
    return inside


def _patches(image_shape: tuple[int, int, int], numbers: _Numbers) -> NDArray[np.float64]:
    """A few large patches of colour with noise over them."""
    height, width, channels = image_shape
    along = 2 + int((_MOST_PATCHES - 1) * numbers.take(1)[0])
    colours = 255 * numbers.take(along, along, channels)
    rows, columns = np.arange(height) * along // height, np.arange(width) * along // width
    noise = 64 * numbers.take(1) * (numbers.take(*image_shape) - 0.5)
    return np.clip(colours[rows][:, columns] + noise, 0, 255)
