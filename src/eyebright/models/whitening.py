"""Whitening: fixed linear layers, measured on the training images, whose outputs are uncorrelated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.backend import keras
from eyebright.models.reduction import channel_directions, grid, reduction

PATCH_IMAGES = 5_000  # more change the filters by less than a thousandth
_PATCH_EPSILON = 5e-4  # added to the variance of each direction: those without any are not blown up

# The training images as they come to a layer, float32 [n, H, W, C] a batch; each call begins anew.
Batches = Callable[[], Iterator[NDArray[np.float32]]]


class ImageWhitening(keras.layers.Layer):  # type: ignore[misc]
    """Images multiplied by a matrix that makes their pixels uncorrelated and leaves each where it is (ZCA).

    y = x · V (Λ + ε·λ)^-½ Vᵀ, where V and Λ are eigenvectors and eigenvalues of the covariance of the training images'
    pixels and λ is the pixels' mean variance (Bell and Sejnowski, "The independent components of natural scenes are
    edge filters", 1997; with ε as in Coates, Ng and Lee, "An analysis of single-layer networks in unsupervised feature
    learning", 2011).

    Compact: x is first reduced, brightness to 20 × 20 pixels and colours to 8 × 8 (see `reduction`): a sixth of the
    numbers of 32 × 32 pixels, which say nearly as much.

    Mean zero in, [B, H, W, C]; out [B, H·W·C], or [B, fewer] where it is compact. A linear layer may follow it without
    loss: the two are one matrix.

    Args:
        epsilon: ε, > 0.
        compact: whether images are reduced first.
    """

    def __init__(self, epsilon: float, *, compact: bool, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.epsilon = epsilon
        self.compact = compact

    def build(self, input_shape: tuple[int, int, int, int]) -> None:
        """Add the matrix, [H·W·C, outputs]."""
        self.image_shape = input_shape[1:]
        outputs = len(self.places)
        self.kernel = self.add_weight(
            name="kernel", shape=(int(np.prod(self.image_shape)), outputs), initializer="zeros", trainable=False
        )

    @property
    def places(self) -> NDArray[np.float64]:
        """Where in the image each output is, in pixels: float64 [outputs, 2], y and x."""
        height, width, channels = self.image_shape
        return grid(height, width, channels, compact=self.compact)

    def call(self, images: Any) -> Any:
        """Whitened images, [B, outputs]."""
        return keras.ops.matmul(keras.ops.reshape(images, (-1, self.kernel.shape[0])), self.kernel)

    def measure(self, batches: Batches) -> None:
        """Set the matrix from the training images."""
        basis = reduction(self.image_shape, channel_directions(batches)) if self.compact else None
        outputs, variance, images = self.kernel.shape[1], 0.0, 0
        total, products = np.zeros(outputs), np.zeros((outputs, outputs))
        for batch in batches():
            flat = batch.reshape(len(batch), -1)
            variance += float(np.square(flat, dtype=np.float64).sum()) / flat.shape[1]
            reduced = flat if basis is None else flat @ basis.astype(np.float32)  # [n, outputs]
            total += reduced.sum(axis=0, dtype=np.float64)
            products += reduced.T @ reduced
            images += len(flat)
        mean = total / images
        eigenvalues, vectors = np.linalg.eigh(products / images - np.outer(mean, mean))
        eigenvalues = np.maximum(eigenvalues, 0)  # rounding makes some of those that are zero negative
        scale = eigenvalues + self.epsilon * (variance / images or 1.0)
        whitening = (vectors / np.sqrt(scale)) @ vectors.T
        self.kernel.assign(whitening if basis is None else basis @ whitening)


class PatchWhitening(keras.layers.Conv2D):  # type: ignore[misc]
    """A convolution whose filters are the principal directions of the training images' patches, scaled to variance 1.

    Each filter comes twice, with either sign, so that the ReLU after it loses nothing. The filters stay as they were
    measured, the biases are trained (Page, "How to train your ResNet", 2019; Jordan, "94% on CIFAR-10 in 3.29 seconds
    on a single GPU", 2024).

    float [B, H, W, C] → [B, H - h + 1, W - w + 1, 2·h·w·C].

    Args:
        size: (h, w) of the patches.
        channels: C.
    """

    def __init__(self, size: tuple[int, int], channels: int, **kwargs: Any) -> None:
        super().__init__(2 * size[0] * size[1] * channels, size, kernel_initializer="zeros", **kwargs)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Add the filters, which no gradient changes, and the biases."""
        super().build(input_shape)
        self._kernel.trainable = False

    def measure(self, batches: Batches) -> None:
        """Set the filters from training images."""
        height, width, channels, _ = self.kernel.shape
        size = height * width * channels
        products, patches = np.zeros((size, size)), 0
        for batch in batches():
            windows = np.lib.stride_tricks.sliding_window_view(batch, (height, width), axis=(1, 2))
            # One copy, in the order and type that the product needs: [patches, h·w·C].
            flat = windows.transpose(0, 1, 2, 4, 5, 3).astype(np.float64, order="C").reshape(-1, size)
            products += flat.T @ flat
            patches += len(flat)
        variances, directions = np.linalg.eigh(products / patches)
        filters = directions / np.sqrt(np.maximum(variances, 0) + _PATCH_EPSILON)  # a column each
        filters = filters[:, ::-1].reshape(height, width, channels, size)  # the strongest first
        self.kernel.assign(np.concatenate([filters, -filters], axis=-1))
