"""What may befall a picture, in five strengths, in the way of CIFAR-10-C.

Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations", ICLR 2019.
The strengths of noise, blur, JPEG, brightness and contrast are theirs for CIFAR-10. A blur, a shift and a hidden part
are in proportion to the image's shorter side, so that they mean the same whatever the size; a blur is no narrower than
on CIFAR-10, as less than that changes no pixel. Shift, rotation and occlusion are not among theirs, and brightness may
fall as well as rise.

Each is a pure function of (image, strength, seed). What is drawn is drawn from the seed and the image's own pixels:
two images get two noises, and an image has the same one wherever it stands in the data.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from scipy import ndimage
from scipy.special import ndtri

from eyebright.randomness import Stream, uniforms

STRENGTHS = (1, 2, 3, 4, 5)

Image = NDArray[np.uint8]
Draw = Callable[[int], NDArray[np.float64]]  # so many uniform numbers of this image

_CIFAR_SIDE = 32
_NOISE = (0.04, 0.06, 0.08, 0.09, 0.10)  # standard deviation, of the range of values
_BLUR = (0.4, 0.6, 0.7, 0.8, 1.0)  # standard deviation, pixels of 32 (or fewer)
_JPEG = (80, 65, 58, 50, 40)  # quality
_BRIGHTNESS = (0.05, 0.10, 0.15, 0.20, 0.30)  # of the range of values
_CONTRAST = (0.75, 0.5, 0.4, 0.3, 0.15)  # what is left of it
_SHIFT = (1, 2, 3, 4, 6)  # pixels of 32, along both sides
_ROTATION = (5, 10, 15, 20, 30)  # degrees
_OCCLUSION = (5, 8, 11, 14, 17)  # the side of the square that is hidden, pixels of 32


def corrupt(image: Image, kind: str, strength: int, seed: int = 0) -> Image:
    """Change an image.

    Args:
        image: uint8 [H, W, C], 0 … 255.
        kind: of `CORRUPTIONS`.
        strength: 1 … 5; 0 leaves the image as it is.
        seed: of what is drawn.

    Returns:
        uint8 [H, W, C], 0 … 255.

    Raises:
        KeyError: no such kind.
        IndexError: no such strength.
    """
    change = CORRUPTIONS[kind]
    if strength == 0:
        return image
    if strength not in STRENGTHS:
        raise IndexError(f"strength {strength}: a whole number from 0 to {STRENGTHS[-1]}.")
    key = int.from_bytes(hashlib.sha256(image.tobytes()).digest()[:8], "little")
    return change(image, strength - 1, lambda count: uniforms(seed, Stream.CORRUPTION, key, count))


def _gaussian_noise(image: Image, level: int, draw: Draw) -> Image:
    return _to_bytes(image + 255 * _NOISE[level] * ndtri(draw(image.size)).reshape(image.shape))


def _blur(image: Image, level: int, draw: Draw) -> Image:  # noqa: ARG001 - one signature for all
    deviation = _BLUR[level] * max(1.0, _scale(image))
    return _to_bytes(ndimage.gaussian_filter(image.astype(np.float64), (deviation, deviation, 0), mode="reflect"))


def _jpeg(image: Image, level: int, draw: Draw) -> Image:  # noqa: ARG001
    content = io.BytesIO()
    picture = PillowImage.fromarray(image if image.shape[2] == 3 else image[..., 0])
    picture.save(content, "JPEG", quality=_JPEG[level])
    with PillowImage.open(content) as read:
        return np.array(read, np.uint8).reshape(image.shape)


def _brightness(image: Image, level: int, draw: Draw) -> Image:
    return _to_bytes(image + 255 * _BRIGHTNESS[level] * _sign(draw(1)[0]))


def _contrast(image: Image, level: int, draw: Draw) -> Image:  # noqa: ARG001
    mean = image.mean(axis=(0, 1))
    return _to_bytes(mean + _CONTRAST[level] * (image - mean))


def _shift(image: Image, level: int, draw: Draw) -> Image:
    down, right = (_SHIFT[level] * _scale(image) * _sign(u) for u in draw(2))
    return _to_bytes(ndimage.shift(image.astype(np.float64), (down, right, 0), order=1, mode="reflect"))


def _rotation(image: Image, level: int, draw: Draw) -> Image:
    angle = _ROTATION[level] * _sign(draw(1)[0])
    return _to_bytes(ndimage.rotate(image.astype(np.float64), angle, reshape=False, order=1, mode="reflect"))


def _occlusion(image: Image, level: int, draw: Draw) -> Image:
    side = max(1, round(_OCCLUSION[level] * _scale(image)))
    top, left = (int(u * (whole - side + 1)) for u, whole in zip(draw(2), image.shape[:2], strict=True))
    hidden = image.copy()
    hidden[top : top + side, left : left + side] = np.round(image.mean(axis=(0, 1)))
    return hidden


CORRUPTIONS: dict[str, Callable[[Image, int, Draw], Image]] = {
    "gaussian-noise": _gaussian_noise,
    "blur": _blur,
    "jpeg": _jpeg,
    "brightness": _brightness,
    "contrast": _contrast,
    "shift": _shift,
    "rotation": _rotation,
    "occlusion": _occlusion,
}


def _scale(image: Image) -> float:
    return float(min(image.shape[:2])) / _CIFAR_SIDE


def _sign(u: float) -> int:
    return 1 if u < 0.5 else -1


def _to_bytes(values: NDArray[np.floating]) -> Image:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
