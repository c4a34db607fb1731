"""Findings about what images show: those of one colour, and those that are almost black."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eyebright.data.audit.report import Finding
from eyebright.data.dataset import Dataset

_AT_ONCE = 1024  # images
_SOME = 64  # pixels of an image
_FLAT = 3.0  # standard deviation of pixels, in levels: no more than what JPEG adds to one colour
_DARK = 32  # level below which a screen shows black, nearly
_LIT = 0.005  # share of brighter pixels; a digit of thin strokes has three times as many


def constant_images(dataset: Dataset) -> list[Finding]:
    """A finding for each image that is of one colour, or almost black."""
    findings = []
    for start in range(0, len(dataset), _AT_ONCE):
        pixels = dataset.images[start : start + _AT_ONCE]
        pixels = pixels.reshape(len(pixels), -1, pixels.shape[-1])  # [n, H·W, C]
        for place in np.flatnonzero(_may_show_nothing(pixels)).tolist():
            image = pixels[place].astype(np.float32)
            is_dark = float((image > _DARK).any(axis=-1).mean()) < _LIT
            if not is_dark and float(image.std(axis=0).max()) >= _FLAT:
                continue
            path = dataset.path(start + place)
            what = "almost black" if is_dark else "of one colour"
            findings.append(Finding("constant-image", f"{path}: {what}", (path,), (path,)))
    return findings


def _may_show_nothing(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Bool [n], of images [n, P, C]: false for those, nearly all, of which a few pixels show that it is not so."""
    some = pixels[:, :: max(1, pixels.shape[1] // _SOME)]
    is_flat = some.astype(np.float32).std(axis=1).max(axis=-1) < 2 * _FLAT
    may_be_dark = (some > _DARK).any(axis=-1).mean(axis=-1) < 20 * _LIT
    shows_nothing: NDArray[np.bool_] = is_flat | may_be_dark
    return shows_nothing
