"""Pictures that are made for a benchmark: JPEG files in a folder of classes, as many and as large as asked for."""

from __future__ import annotations

import io
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track

CLASSES = 10
QUALITY = 90
# Noise of each scale, in pixels, and its strength: a photograph has less of it the finer it is. A file of 300 × 250
# pixels comes to some 20 kB.
TEXTURE_SIDE = 2048  # of each class's texture, that its pictures are cut out of at random places
SCALES = ((64, 50), (16, 30), (4, 16), (1, 5))


def png(image: NDArray[np.uint8]) -> bytes:
    """An image [H, W, C] as a file that loses nothing."""
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "PNG")
    return file.getvalue()


def make_pictures(directory: Path, count: int, width: int, height: int, spread: float = 0.0) -> None:
    """Write `count` JPEG files, in folders of ten classes that differ in brightness.

    Args:
        directory: to make.
        count: of all.
        width: in pixels.
        height: in pixels.
        spread: sides differ by up to this share of them, up or down.
    """
    textures = []
    for label in range(CLASSES):
        (directory / f"class-{label}").mkdir(parents=True)
        textures.append(texture(np.random.default_rng(label), TEXTURE_SIDE, 40 + 18 * label))

    def make(number: int) -> None:
        chance = np.random.default_rng(number)
        wide, high = (round(side * (1 + spread * chance.uniform(-1, 1))) for side in (width, height))
        left, top = chance.integers(TEXTURE_SIDE - wide), chance.integers(TEXTURE_SIDE - high)
        label = number % CLASSES
        cut = textures[label][top : top + high, left : left + wide]
        Image.fromarray(cut).save(directory / f"class-{label}" / f"{number:06}.jpg", quality=QUALITY)

    with ThreadPoolExecutor() as pool:
        for _ in track(
            pool.map(make, range(count)), "Making pictures", count, console=Console(file=sys.stderr), transient=True
        ):
            pass


def texture(chance: np.random.Generator, side: int, brightness: float) -> NDArray[np.uint8]:
    """Smooth noise of several scales around a brightness: uint8 [side, side, 3]."""
    total = np.full((side, side, 3), brightness, np.float32)
    for scale, strength in SCALES:
        coarse = chance.integers(0, 256, (-(-side // scale) + 1, -(-side // scale) + 1, 3), np.uint8)
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        total += strength / 128 * (np.asarray(image, np.float32) - 128)
    return total.clip(0, 255).astype(np.uint8)
