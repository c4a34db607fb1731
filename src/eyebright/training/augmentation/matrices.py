"""Maps of places and of colours as matrices, composed on the host; the step applies one of each kind to an image."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LUMA = np.array([0.299, 0.587, 0.114])  # what red, green and blue weigh in grey (ITU-R BT.601)
# Grey and two differences of colour (YIQ). The rows of the differences sum to 0, so that turning them leaves grey grey.
_YIQ = np.array([LUMA, [0.596, -0.275, -0.321], [0.212, -0.523, 0.311]])


def place_maps(
    degrees: Any = 0.0,
    scale_x: Any = 1.0,
    scale_y: Any = 1.0,
    shear_x: Any = 0.0,
    shear_y: Any = 0.0,
    move_x: Any = 0.0,
    move_y: Any = 0.0,
) -> NDArray[np.float64]:
    """Where each pixel of the new image is taken from.

    A place (x right, y down, in pixels from the image's centre) is scaled, sheared, turned, and moved, in this order.

    Args:
        degrees: the new image is the old one turned counterclockwise by this angle.
        scale_x: below 1, the new image shows a part of the old one, enlarged.
        scale_y: the same from top to bottom.
        shear_x: pixels to the right for each pixel down.
        shear_y: pixels down for each pixel to the right.
        move_x: pixels to the right.
        move_y: pixels down.
        All of them numbers or arrays of shapes that broadcast to [...].

    Returns:
        float64 [..., 3, 3], acting on columns (x, y, 1). Of two maps f @ g, the new image of f is the old one of g.
    """
    angle = np.deg2rad(degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    # Turning, after shearing, after scaling, multiplied out. y points down, so this angle is counterclockwise.
    upper = (scale_x * (cosine - sine * shear_y), scale_y * (cosine * shear_x - sine), move_x)
    lower = (scale_x * (sine + cosine * shear_y), scale_y * (sine * shear_x + cosine), move_y)
    return _matrix([upper, lower, (0.0, 0.0, 1.0)])


class ColourMaps(NamedTuple):
    """new colour = own @ colour + mean @ (the image's mean colour), colours as columns.

    Attributes:
        own: float64 [..., C, C].
        mean: float64 [..., C, C].
    """

    own: NDArray[np.float64]
    mean: NDArray[np.float64]

    def then(self, other: ColourMaps) -> ColourMaps:
        """This map, and the other one of its result."""
        return ColourMaps(other.own @ self.own, other.own @ self.mean + other.mean @ (self.own + self.mean))


def colour_maps(
    channels: int, brightness: Any = 1.0, contrast: Any = 1.0, saturation: Any = 1.0, turn: Any = 0.0
) -> ColourMaps:
    """Brightness, then contrast, then saturation, then hue.

    Args:
        channels: 1 or 3. Saturation and hue are for 3.
        brightness: factor of the colour; 0 is black.
        contrast: factor of the difference from the mean grey of the image; 0 is that grey everywhere.
        saturation: factor of the difference from the pixel's own grey; 0 is grey.
        turn: of the hue, in parts of the circle, at constant grey.
        The last four numbers or arrays of shapes that broadcast to [...].
    """
    brightness, contrast, saturation, turn = (
        np.asarray(value, np.float64)[..., None, None] for value in (brightness, contrast, saturation, turn)
    )
    identity = np.eye(channels)
    grey = np.ones((channels, 1)) * (LUMA if channels == 3 else np.ones(1))  # [C, C]: each channel becomes the grey
    last = identity
    if channels == 3:
        last = _hue_turns(turn[..., 0, 0]) @ (saturation * identity + (1 - saturation) * grey)
    return ColourMaps(last * (contrast * brightness), last @ grey * ((1 - contrast) * brightness))


def _hue_turns(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64 [..., 3, 3]: the plane of the two differences of colour, turned."""
    cosine, sine = np.cos(2 * np.pi * turn), np.sin(2 * np.pi * turn)
    turned = _matrix([(1.0, 0.0, 0.0), (0.0, cosine, -sine), (0.0, sine, cosine)])
    turns: NDArray[np.float64] = np.linalg.inv(_YIQ) @ turned @ _YIQ
    return turns


def _matrix(rows: list[tuple[Any, Any, Any]]) -> NDArray[np.float64]:
    """float64 [..., 3, 3] of nine numbers or arrays [...]."""
    entries = np.broadcast_arrays(*(entry for row in rows for entry in row))
    matrices: NDArray[np.float64] = np.stack(entries, axis=-1, dtype=np.float64)
    return matrices.reshape(*entries[0].shape, 3, 3)
