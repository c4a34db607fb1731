"""What the models are made of beyond Keras's own layers: the preprocessing, and weights drawn from the run's seed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from eyebright.architecture import Architecture, Pixels
from eyebright.backend import keras
from eyebright.models.whitening import ImageWhitening
from eyebright.randomness import Stream, uniforms

_VALUES_AT_ONCE = 2**24  # of images; bounds the memory whatever their size and number
_SQUARES_AT_ONCE = 2**16  # of a pixel's values: their sum fits 32 bits, in which it takes half the time


def preprocess(images: Any, architecture: Architecture, dtype: str, product_dtype: str) -> Any:
    """The first layers of every model: from pixels to what it learns from.

    Args:
        images: uint8 [B, H, W, C].
        architecture: `preprocessing` is read.
        dtype: of everything but the product with the whitening matrix.
        product_dtype: of that.

    Returns:
        float [B, H, W, C], or [B, outputs] of a whitening.
    """
    if architecture.preprocessing in ("whitening", "compact-whitening"):
        x = Standardize("mean-image", dtype=dtype, name="standardize")(images)
        return ImageWhitening(
            architecture.whitening_epsilon,
            compact=architecture.preprocessing == "compact-whitening",
            dtype=product_dtype,
            name="image_whitening",
        )(x)
    return Standardize(architecture.preprocessing, dtype=dtype, name="standardize")(images)


class Standardize(keras.layers.Layer):  # type: ignore[misc]
    """Pixels less their mean over the training images and, for "per-channel", over their standard deviation.

    x = (pixels - mean) / standard_deviation

    uint8 [B, H, W, C] in; float [B, H, W, C] out. The same in training and inference. Mean and deviation are weights,
    so that they travel with the saved classifier and nobody applies them twice or never.

    Args:
        method: "mean-image" (a mean for each pixel, no scaling), "per-channel" (a mean and deviation a channel), or
            "none": pixels as they are, 0 … 255.
    """

    def __init__(self, method: Pixels, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.method = method

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Add the weights: shape [H, W, C] for "mean-image", [C] for "per-channel"."""
        if self.method == "none":
            return
        shape = input_shape[1:] if self.method == "mean-image" else input_shape[-1:]
        self.mean = self.add_weight(name="mean", shape=shape, initializer="zeros", trainable=False)
        if self.method == "per-channel":
            self.standard_deviation = self.add_weight(
                name="standard_deviation", shape=shape, initializer="ones", trainable=False
            )

    def call(self, images: Any) -> Any:
        """Standardised images."""
        if self.method == "none":
            return keras.ops.cast(images, self.compute_dtype)
        centred = keras.ops.cast(images, self.compute_dtype) - self.mean
        return centred if self.method == "mean-image" else centred / self.standard_deviation

    def measure(self, images: NDArray[np.uint8], indices: NDArray[np.int64]) -> None:
        """Set mean and deviation to those of the training images.

        Sums are of whole numbers, hence exact and independent of any order.

        Args:
            images: uint8 [N, H, W, C].
            indices: int64 [n]: which of them are the training images.
        """
        if self.method == "none":
            return
        total = np.zeros(images.shape[1:], np.int64)  # [H, W, C]
        squares = np.zeros(images.shape[1:], np.int64)
        at_once = max(1, min(_VALUES_AT_ONCE // total.size, _SQUARES_AT_ONCE))
        for start in range(0, len(indices), at_once):
            chunk = images[indices[start : start + at_once]]
            total += chunk.sum(axis=0, dtype=np.uint32)
            if self.method == "per-channel":
                squares += np.square(chunk, dtype=np.uint16).sum(axis=0, dtype=np.uint32)
        if self.method == "mean-image":
            self.mean.assign(total / len(indices))
            return
        pixels = len(indices) * images.shape[1] * images.shape[2]
        mean = total.sum(axis=(0, 1)) / pixels  # [C]
        deviation = np.sqrt(squares.sum(axis=(0, 1)) / pixels - mean**2)
        self.mean.assign(mean)
        # A channel that never changes stays zero rather than becoming infinite.
        self.standard_deviation.assign(np.where(deviation > 0, deviation, 1.0))


class TruncatedNormal(keras.initializers.Initializer):  # type: ignore[misc]
    """Weights from a normal distribution of standard deviation 1/√fan_in, values past two deviations redrawn.

    Drawn by inverting the cumulative distribution, from the run's seed by way of NumPy, so that every backend starts
    from the same weights.

    Args:
        seed: the run's seed.
        index: which of the model's weights these are; each index is a stream of its own.
    """

    def __init__(self, seed: int, index: int) -> None:
        self.seed = seed
        self.index = index

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> NDArray[np.float64]:
        """Weights of this shape, [..., fan_in, units]."""
        u = uniforms(self.seed, Stream.WEIGHTS, self.index, int(np.prod(shape)))
        normal = ndtri(ndtr(-2.0) + (ndtr(2.0) - ndtr(-2.0)) * u)
        fan_in = np.prod(shape[:-1])
        weights: NDArray[np.float64] = (normal / np.sqrt(fan_in)).reshape(shape)
        return weights.astype(dtype or "float32")
