"""Numbers in JSON become images, for the protocols that send arrays."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.serving.bodies import check_count
from eyebright.serving.options import Limits
from eyebright.serving.refusals import Refusal

_MOST = 255
_NUMBERS = {int, float}  # not bool


def images_of(values: Any, image_shape: tuple[int, int, int], where: str, limits: Limits) -> NDArray[np.uint8]:
    """Nested lists of whole numbers, 0 … 255, as images.

    The lists are walked to the depth that is known, into an array that is there already: NumPy, left to find out what
    they are, makes gigabytes of a long text beside many short ones.

    Args:
        values: [N, H, W, C], or for grey images [N, H, W]; or the numbers of all in one list.
        image_shape: (H, W, C) that is wanted.
        where: in the request, for messages.
        limits: of the number of images.

    Returns:
        uint8 [N, H, W, C].

    Raises:
        Refusal: 400, they are something else, or too many.
    """
    depth, number = _depth(values), len(values) if isinstance(values, list) else 0
    if depth == 1:
        number, rest = divmod(number, math.prod(image_shape))
        if rest:
            raise _wrong(where, image_shape)
    if not number or depth not in ((1, 3, 4) if image_shape[2] == 1 else (1, 4)):
        raise _wrong(where, image_shape)
    check_count(number, limits)
    images = np.empty((number, *image_shape), np.uint8)
    target = images if depth == 4 else images[..., 0] if depth == 3 else images.reshape(-1)
    if not _filled(target, values):
        raise _wrong(where, image_shape)
    return images


def _depth(values: Any) -> int:
    """How deep the lists are, by the first of each; 5 for any that are deeper than images are."""
    depth = 0
    while isinstance(values, list) and values and depth <= 4:
        values = values[0]
        depth += 1
    return depth


def _filled(target: NDArray[np.uint8], values: Any) -> bool:
    """Whether nested lists are as long as an array, and numbers as they should be; they are written into it."""
    if not isinstance(values, list) or len(values) != len(target):
        return False
    if target.ndim > 2:
        return all(_filled(part, value) for part, value in zip(target, values, strict=True))
    if target.ndim == 2:  # a row of pixels at once: a pixel at a time takes ten times as long
        if not all(isinstance(value, list) and len(value) == target.shape[1] for value in values):
            return False
        values = list(chain.from_iterable(values))
    if not set(map(type, values)) <= _NUMBERS or min(values) < 0 or max(values) > _MOST:
        return False
    numbers = np.array(values, np.float64)
    target[...] = numbers.reshape(target.shape)
    return bool((numbers == np.floor(numbers)).all())


def _wrong(where: str, image_shape: tuple[int, int, int]) -> Refusal:
    shape = ", ".join(map(str, image_shape))
    return Refusal(
        400,
        f"{where}: an array [N, {shape}] is due, nested lists of as many numbers each. Pixels are whole numbers, "
        "0 … 255, as they are in a picture: not scaled.",
    )
