"""A picture is turned upright, and brought to the height and width that a classifier takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.picture_options import Fit

if TYPE_CHECKING:
    from PIL.Image import Image

SIDEWAYS = range(5, 9)  # EXIF orientations that exchange height and width
# For each EXIF orientation but 1, upright: what turns the picture upright, and which of its four sides (left, top,
# right, bottom) come to stand on the left, at the top, on the right and at the bottom.
_TURNS = {
    2: ("FLIP_LEFT_RIGHT", (2, 1, 0, 3)),
    3: ("ROTATE_180", (2, 3, 0, 1)),
    4: ("FLIP_TOP_BOTTOM", (0, 3, 2, 1)),
    5: ("TRANSPOSE", (1, 0, 3, 2)),
    6: ("ROTATE_270", (3, 0, 1, 2)),
    7: ("TRANSVERSE", (3, 2, 1, 0)),
    8: ("ROTATE_90", (1, 2, 3, 0)),
}


class Margins(NamedTuple):
    """What at the sides of an image is not part of the picture, in pixels, in fractions of them too."""

    left: float = 0.0
    top: float = 0.0
    right: float = 0.0
    bottom: float = 0.0


def turned(image: Image, margins: Margins, orientation: int) -> tuple[Image, Margins]:
    """A picture as it is shown, and the margins where they have come to stand.

    Not `ImageOps.exif_transpose`: that writes the other metadata anew as well, and fails where they are odd.

    Args:
        image: as it is stored.
        margins: of it.
        orientation: by EXIF, 1 … 8.
    """
    from PIL.Image import Transpose

    if orientation not in _TURNS:
        return image, margins
    name, sides = _TURNS[orientation]
    return image.transpose(Transpose[name]), Margins(*(margins[side] for side in sides))


def fitted(image: Image, margins: Margins, size: tuple[int, int], fit: Fit) -> Image:
    """A picture of another size, bilinear with antialiasing.

    Args:
        image: of the mode "L" or "RGB".
        margins: that are left out.
        size: (width, height) to bring it to; a picture that has it already is returned as it is.
        fit: what is done where the proportions differ: see `PictureOptions.fit`.
    """
    from PIL import Image
    from PIL.Image import Resampling

    if image.size == size and not any(margins):
        return image
    left, top, right, bottom = margins.left, margins.top, image.width - margins.right, image.height - margins.bottom
    width, height = right - left, bottom - top
    if fit == "pad":
        scale = min(size[0] / width, size[1] / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        bars = Image.new(image.mode, size)  # black
        picture = image.resize(inner, Resampling.BILINEAR, (left, top, right, bottom))
        bars.paste(picture, ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
        return bars
    if fit == "crop":
        ratio = size[0] / size[1]
        across, down = (width - min(width, height * ratio)) / 2, (height - min(height, width / ratio)) / 2
        left, top, right, bottom = left + across, top + down, right - across, bottom - down
    return image.resize(size, Resampling.BILINEAR, (left, top, right, bottom))


def images_of_shape(images: NDArray[np.uint8], shape: tuple[int, int, int], fit: Fit) -> NDArray[np.uint8]:
    """Images of one size, as arrays, brought to the size and colours of another as pictures in files are.

    Args:
        images: uint8 [N, H, W, C], C = 1 (grey) or 3 (RGB).
        shape: (height, width, channels) to bring them to; images that have it already are returned as they are.
        fit: what is done where the proportions differ.

    Returns:
        uint8 [N, height, width, channels].
    """
    from PIL import Image

    if images.shape[1:] == shape:
        return images
    height, width, channels = shape
    pictures = (Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image) for image in np.asarray(images))
    converted = (picture.convert("L" if channels == 1 else "RGB") for picture in pictures)
    brought = [np.array(fitted(picture, Margins(), (width, height), fit), np.uint8) for picture in converted]
    return np.stack(brought).reshape(-1, *shape)
