"""Numbers in JSON become images, for the protocols that send arrays."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.serving.refusals import Refusal

_MOST = 255


def images_of(values: Any, image_shape: tuple[int, int, int], where: str) -> NDArray[np.uint8]:
    """Nested lists of whole numbers, 0 … 255, as images.

    Args:
        values: [N, H, W, C], or for grey images [N, H, W]; or the numbers of all in one list.
        image_shape: (H, W, C) that is wanted.
        where: in the request, for messages.

    Returns:
        uint8 [N, H, W, C].

    Raises:
        Refusal: 400, they are something else.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # lists of several lengths, in some versions of NumPy
            array = np.asarray(values)
    except (ValueError, OverflowError, Warning) as error:
        raise Refusal(400, f"{where}: not an array of numbers, with as many in each row.") from error
    if array.dtype.kind not in "iuf" or not array.size:
        raise Refusal(400, f"{where}: not an array of numbers.")
    if array.ndim == 1 and array.size % np.prod(image_shape) == 0:
        array = array.reshape(-1, *image_shape)
    if array.ndim == len(image_shape) and image_shape[2] == 1:
        array = array[..., None]
    if array.shape[1:] != image_shape:
        raise Refusal(
            400, f"{where}: of shape {list(array.shape)}, where [N, {', '.join(map(str, image_shape))}] is due."
        )
    if not ((array >= 0) & (array <= _MOST) & (array == np.floor(array))).all():
        raise Refusal(400, f"{where}: pixels are whole numbers, 0 … 255, as they are in a picture: not scaled.")
    return array.astype(np.uint8)
