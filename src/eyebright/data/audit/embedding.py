"""Images as short vectors in which near twins point the same way, and other images hardly ever do."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_SIDE = 8  # pixels of the small images: so few that a shift by a pixel or two of the image hardly matters
_VALUES_AT_ONCE = 2**22  # of pixels, as float32 with what is made of them some 64 MB; of a larger image, its own
_SAMPLE = 20_000  # images that the directions are measured on
# The variance v of a direction becomes about v^(1 - 2 · power): broad light and dark, which half of all photographs
# share (sky above sea), no longer outweighs what is particular to one. 0.35 had the fewest other pairs of CIFAR-10
# above the least similar of ten pairs of true twins: 80,000 of 1.8 billion, where plain correlation (0) had 3 million.
_POWER = 0.35
_FLOOR = 1e-3  # of the mean variance: directions of less are noise


class Embeddings(NamedTuple):
    """Vectors of length 1, float32 [N, D]: of the images, and of their mirror images (None for grey ones)."""

    plain: NDArray[np.float32]
    mirrored: NDArray[np.float32] | None


def embed(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> Embeddings:
    """Embed images.

    Each is averaged to 8 × 8 pixels; its colour cast and its contrast are taken off; and the directions in which images
    vary are brought nearer to equal variance (partial whitening by principal components).

    Args:
        images: uint8 [N, H, W, C], of any size.
        indices: int64 [n], which to embed.

    Returns:
        Of an image of one colour, zeros: it resembles none. Grey images (C = 1) have no mirror images: of letters and
        digits they are others.
    """
    small = _small(images, indices)  # [n, 8, 8, C]
    mirrored = small[:, :, ::-1] if images.shape[3] == 3 else None
    sample = small[:: -(-len(small) // _SAMPLE)]
    both = sample if mirrored is None else np.concatenate([sample, sample[:, :, ::-1]])
    weights = _whitening(both.reshape(len(both), -1))
    return Embeddings(_projected(small, weights), None if mirrored is None else _projected(mirrored, weights))


def images_at_once(images: NDArray[np.uint8]) -> int:
    """How many of such images [N, H, W, C] are looked at together: as many as memory is sure to hold, at least one."""
    return max(1, _VALUES_AT_ONCE // int(np.prod(images.shape[1:])))


def averaging(length: int, parts: int) -> NDArray[np.float32]:
    """float32 [parts, length]: takes a row of pixels to the averages of as many equal parts of it.

    >>> averaging(4, 2).tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    edges = np.linspace(0, length, parts + 1)
    starts = np.arange(length)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    weights: NDArray[np.float32] = (np.maximum(overlap, 0) * parts / length).astype(np.float32)
    return weights


def resized(images: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Images [n, H, W, C] averaged to side × side pixels, float32 [n, side, side, C]."""
    rows, columns = averaging(images.shape[1], side), averaging(images.shape[2], side)
    shrunk: NDArray[np.float32] = np.einsum("ah,nhwc->nawc", rows, images.astype(np.float32), optimize=True)
    small: NDArray[np.float32] = np.einsum("bw,nawc->nabc", columns, shrunk, optimize=True)
    return small


def _small(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> NDArray[np.float32]:
    """The images small, without their mean colour, and of the same contrast; zeros where there is next to none."""
    small = np.empty((len(indices), _SIDE, _SIDE, images.shape[3]), np.float32)
    at_once = images_at_once(images)
    for start in range(0, len(indices), at_once):
        small[start : start + at_once] = resized(images[indices[start : start + at_once]], _SIDE)
    small -= small.mean((1, 2), keepdims=True)
    contrast = np.sqrt((small**2).mean((1, 2, 3), keepdims=True))
    return np.where(contrast < 1, 0, small / np.maximum(contrast, 1)).astype(np.float32)  # less than one level


def _whitening(sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32 [D, D]: to principal components, each scaled by its variance to the power of −0.35."""
    covariance = (sample.T @ sample).astype(np.float64) / len(sample)
    variances, directions = np.linalg.eigh(covariance)
    floor = max(_FLOOR * float(variances.mean()), 1e-9)
    weights: NDArray[np.float32] = (directions * np.maximum(variances, floor) ** -_POWER).astype(np.float32)
    return weights


def _projected(small: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    vectors = small.reshape(len(small), -1) @ weights
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)
    return vectors
