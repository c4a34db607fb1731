"""`POST /explain`: where in a picture the evidence lies, as a picture; by occlusion, which asks the model alone."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable

import numpy as np
from numpy.typing import NDArray

from eyebright.evaluation.occlusion import mean_fall, occluded

_SIDE = 256  # pixels of the picture that is drawn
_MOST_OPAQUE = 0.75
# Of matplotlib's inferno at 0, ¼, ½, ¾ and 1; between them it is nearly straight.
_COLOURS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float64)

Ask = Callable[[NDArray[np.uint8]], Awaitable[NDArray[np.floating]]]


async def overlay(image: NDArray[np.uint8], ask: Ask) -> bytes:
    """Draw the evidence for the likeliest class of an image over a grey copy of it.

    Args:
        image: uint8 [H, W, C].
        ask: of images [N, H, W, C] the log-probabilities [N, classes].

    Returns:
        A PNG, the longer side 256 pixels.
    """
    pictures, hidden = await asyncio.to_thread(occluded, image)
    scores = await ask(np.concatenate([image[None], pictures]))
    likeliest = int(scores[0].argmax())
    return await asyncio.to_thread(lambda: _drawn(image, mean_fall(scores[:, likeliest], hidden)))


def _drawn(image: NDArray[np.uint8], falls: NDArray[np.float64]) -> bytes:
    from PIL import Image

    heat = np.maximum(falls, 0)
    heat /= heat.max() or 1.0  # [H, W], 0 … 1
    places = np.linspace(0, 1, len(_COLOURS))
    colours = np.stack([np.interp(heat, places, channel) for channel in _COLOURS.T], axis=-1)  # [H, W, 3]
    grey = image.mean(axis=-1, keepdims=True)
    blended = grey + _MOST_OPAQUE * heat[..., None] * (colours - grey)
    picture = Image.fromarray(blended.astype(np.uint8))
    scale = _SIDE / max(picture.size)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    file = io.BytesIO()
    picture.resize(size, Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()
