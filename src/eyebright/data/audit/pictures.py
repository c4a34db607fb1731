"""Findings about what images show: those of one colour, and those that are almost black."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eyebright.data.audit.report import Finding
from eyebright.data.dataset import Dataset

_AT_ONCE = 1024  # images
_FLAT = 3.0  # standard deviation of pixels, in levels: no more than what JPEG adds to one colour
_DARK = 32  # level below which a screen shows black, nearly
_LIT = 0.005  # share of brighter pixels; a digit of thin strokes has three times as many


def constant_images(dataset: Dataset) -> list[Finding]:
    """A finding for each image that is of one colour, or almost black."""
    findings = []
    for start in range(0, len(dataset), _AT_ONCE):
        pixels = dataset.images[start : start + _AT_ONCE]
        pixels = pixels.reshape(len(pixels), -1, pixels.shape[-1])  # [n, H·W, C]
        suspects = np.flatnonzero(_is_narrow(pixels) | _is_dark(pixels))
        for place in suspects.tolist():
            path = dataset.path(start + place)
            what = "almost black" if pixels[place].mean() < _DARK else "of one colour"
            findings.append(Finding("constant-image", f"{path}: {what}", (path,), (path,)))
    return findings


def _is_narrow(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """bool [n], of images [n, P, C] whose every channel hardly varies."""
    some = pixels[:, :: max(1, pixels.shape[1] // 64)].astype(np.float32)  # 64 pixels rule out most images
    narrow = some.std(axis=1).max(axis=-1) < 2 * _FLAT
    for place in np.flatnonzero(narrow):
        narrow[place] = pixels[place].astype(np.float32).std(axis=0).max() < _FLAT
    return narrow


def _is_dark(pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """bool [n], of images [n, P, C] in which hardly any pixel is bright in any channel."""
    bright = (pixels > _DARK).any(axis=-1).mean(axis=-1)  # [n]
    return bright < _LIT
