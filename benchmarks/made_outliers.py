"""Pictures that are unlike photographs: noise, digits blown up, and textures of several kinds, in colours."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eyebright import load_dataset

SIDE = 32
Images = NDArray[np.uint8]


def made_outliers(count: int, seed: int) -> dict[str, Images]:
    """By kind, `count` pictures uint8 [count, 32, 32, 3]."""
    kinds = {"uniform noise": uniform_noise, "Gaussian noise": gaussian_noise, "digits": digits, **TEXTURES}
    return {
        kind: make(count, np.random.default_rng([seed, number])) for number, (kind, make) in enumerate(kinds.items())
    }


def uniform_noise(count: int, generator: np.random.Generator) -> Images:
    return generator.integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def gaussian_noise(count: int, generator: np.random.Generator) -> Images:
    """About mid-grey, with the spread that photographs have."""
    return _pixels(generator.normal(127.5, 64, (count, SIDE, SIDE, 3)))


def digits(count: int, generator: np.random.Generator) -> Images:
    """Handwritten digits of 8 × 8 pixels, blown up as `predict` does it."""
    small = load_dataset("digits").images[:, :, :, 0]
    chosen = small[generator.permutation(len(small))[:count]]
    large = [Image.fromarray(digit).resize((SIDE, SIDE), Image.Resampling.BILINEAR) for digit in chosen]
    return np.repeat(np.stack([np.asarray(picture) for picture in large])[..., np.newaxis], 3, axis=3)


def gratings(count: int, generator: np.random.Generator) -> Images:
    """Sine waves of any direction and a length of 3 to 16 pixels."""
    y, x = np.mgrid[:SIDE, :SIDE]
    angle, phase = generator.uniform(0, 2 * np.pi, (2, count, 1, 1))
    waves = 2 * np.pi / generator.uniform(3, 16, (count, 1, 1))
    return _coloured(np.sin(waves * (x * np.cos(angle) + y * np.sin(angle)) + phase) / 2 + 0.5, generator)


def checkerboards(count: int, generator: np.random.Generator) -> Images:
    """Squares of 2 to 8 pixels, from any place on."""
    y, x = np.mgrid[:SIDE, :SIDE]
    size = generator.integers(2, 9, (count, 1, 1))
    down, across = generator.integers(0, 16, (2, count, 1, 1))
    return _coloured(((y + down) // size + (x + across) // size) % 2, generator)


def clouds(count: int, generator: np.random.Generator) -> Images:
    """Perlin-like: smooth noise of four scales, each half as strong as the next coarser."""
    total = np.zeros((count, SIDE, SIDE))
    for octave in range(4):
        cells = 2 ** (octave + 1)
        rough = generator.random((count, cells, cells)).astype(np.float32)
        smooth = [np.asarray(Image.fromarray(one).resize((SIDE, SIDE), Image.Resampling.BICUBIC)) for one in rough]
        total += np.stack(smooth) / 2**octave
    return _coloured(_stretched(total), generator)


def blobs(count: int, generator: np.random.Generator) -> Images:
    """Eight soft round spots, each of its own colour, on a ground of another."""
    y, x = np.mgrid[:SIDE, :SIDE]
    picture = np.broadcast_to(generator.uniform(0, 255, (count, 1, 1, 3)), (count, SIDE, SIDE, 3)).copy()
    for _ in range(8):
        top, left = generator.uniform(0, SIDE, (2, count, 1, 1))
        radius = generator.uniform(2, 6, (count, 1, 1))
        weight = np.exp(-((y - top) ** 2 + (x - left) ** 2) / (2 * radius**2))[..., np.newaxis]
        picture += weight * (generator.uniform(0, 255, (count, 1, 1, 3)) - picture)
    return _pixels(picture)


TEXTURES: dict[str, Callable[[int, np.random.Generator], Images]] = {
    "gratings": gratings,
    "checkerboards": checkerboards,
    "clouds": clouds,
    "blobs": blobs,
}


def _coloured(pattern: NDArray[np.floating], generator: np.random.Generator) -> Images:
    """A pattern [N, H, W] of 0 … 1 as the way from one colour to another, both by chance."""
    first, second = generator.uniform(0, 255, (2, len(pattern), 1, 1, 3))
    return _pixels(first + pattern[..., np.newaxis] * (second - first))


def _stretched(pattern: NDArray[np.floating]) -> NDArray[np.floating]:
    low, high = pattern.min(axis=(1, 2), keepdims=True), pattern.max(axis=(1, 2), keepdims=True)
    return (pattern - low) / (high - low)


def _pixels(values: NDArray[np.floating]) -> Images:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
