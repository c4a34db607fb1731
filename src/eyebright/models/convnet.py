"""The convolutional network: whitened patches, then a few blocks of convolutions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.architecture import Architecture
from eyebright.backend import keras
from eyebright.models.convolution import Convolution
from eyebright.models.layers import preprocess
from eyebright.models.normalization import FusedBatchNormalization
from eyebright.models.pooling import HalvingMaxPooling
from eyebright.models.whitening import PatchWhitening
from eyebright.randomness import Stream, uniforms

# The running averages of batch normalisation follow the weights closely: at a high learning rate those of Keras's
# momentum of 0.99 describe a network that is long gone.
_NORM_MOMENTUM = 0.6
_LOGIT_SCALE = 1 / 9
_SMALLEST_POOLED = 4  # pixels a side; smaller maps are not pooled any further


def build_convnet(architecture: Architecture, precision: str, seed: int) -> keras.Model:
    """Build the network of Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU" (2024), with ReLU for GELU.

    A 2×2 convolution that whitens patches, then for each number of `channels` a block: convolution 3×3, max pooling
    2×2, batch normalisation, activation, convolution 3×3, batch normalisation, activation. The last block, or
    each, has a third convolution, whose normalised maps are added to its input (He et al., "Deep residual learning",
    2016). The largest value of each map goes into a linear layer. Images of any size: maps smaller than 4 pixels are
    not pooled any further.

    Args:
        architecture: its shape.
        precision: of the convolutions: float32, bfloat16 or float64. Weights stay float32 in bfloat16, and so do the
            logits.
        seed: the run's seed, for the initial weights.

    Returns:
        uint8 [B, H, W, C] → logits float32 [B, classes] (float64 where `precision` says so).
    """
    output_dtype = "float64" if precision == "float64" else "float32"
    dtype = "mixed_bfloat16" if precision == "bfloat16" else precision
    height, width, channels = architecture.image_shape
    images = keras.Input(architecture.image_shape, dtype="uint8", name="images")
    x = preprocess(images, architecture, output_dtype, dtype)
    x = PatchWhitening((min(height, 2), min(width, 2)), channels, dtype=dtype, name="whiten")(x)
    x = keras.layers.Activation(architecture.activation, dtype=dtype, name="whiten_activation")(x)
    blocks = len(architecture.channels)
    for block, filters in enumerate(architecture.channels, start=1):
        x = _block(x, f"block_{block}", filters, architecture, dtype, (seed, 2 * block - 2))
        if block == blocks or architecture.residuals == "all":
            x = _residual(x, f"block_{block}", architecture, dtype, (seed, 2 * blocks + 1 + blocks - block))
    x = keras.layers.GlobalMaxPooling2D(dtype=dtype, name="pool")(x)  # [B, channels]
    if architecture.dropout:
        x = keras.layers.Dropout(architecture.dropout, seed=0, dtype=dtype, name="dropout")(x)
    x = keras.layers.Dense(
        architecture.classes,
        use_bias=False,
        kernel_initializer=IdentityUniform(seed, 2 * blocks, identity=False),
        dtype=output_dtype,
        name="logits",
    )(x)
    logits = keras.layers.Rescaling(_LOGIT_SCALE, dtype=output_dtype, name="scaled_logits")(x)
    return keras.Model(images, logits, name="convolutional")


def _block(x: Any, name: str, filters: int, architecture: Architecture, dtype: str, stream: tuple[int, int]) -> Any:
    """[B, h, w, c] → [B, h/2, w/2, filters]."""
    for half in (1, 2):
        x = _convolution(x, f"{name}_conv_{half}", filters, dtype, (stream[0], stream[1] + half - 1))
        if half == 1 and min(x.shape[1:3]) >= _SMALLEST_POOLED:
            x = HalvingMaxPooling(dtype=dtype, name=f"{name}_pool")(x)
        x = _normalized(x, f"{name}_norm_{half}", dtype)
        x = keras.layers.Activation(architecture.activation, dtype=dtype, name=f"{name}_activation_{half}")(x)
    return x


def _residual(x: Any, name: str, architecture: Architecture, dtype: str, stream: tuple[int, int]) -> Any:
    """A third convolution, [B, h, w, c] → the same; on the last and smallest maps it costs a twentieth of a step."""
    y = _convolution(x, f"{name}_conv_3", x.shape[-1], dtype, stream)
    y = _normalized(y, f"{name}_norm_3", dtype)
    x = keras.layers.Add(dtype=dtype, name=f"{name}_sum")([x, y])
    return keras.layers.Activation(architecture.activation, dtype=dtype, name=f"{name}_activation_3")(x)


def _convolution(x: Any, name: str, filters: int, dtype: str, stream: tuple[int, int]) -> Any:
    return Convolution(
        filters,
        3,
        use_bias=False,  # batch normalisation has a bias of its own
        kernel_initializer=IdentityUniform(*stream),
        dtype=dtype,
        name=name,
    )(x)


def _normalized(x: Any, name: str, dtype: str) -> Any:
    return FusedBatchNormalization(scale=False, momentum=_NORM_MOMENTUM, epsilon=1e-5, dtype=dtype, name=name)(x)


class IdentityUniform(keras.initializers.Initializer):  # type: ignore[misc]
    """Weights uniform within ±1/√fan_in; of a convolution, the first filters hand on one input channel each.

    With a filter for each input channel that hands it on, an untrained network passes its input to its last layer
    (Zagoruyko and Komodakis, "DiracNets", 2017).

    Args:
        seed: the run's seed.
        index: which of the model's weights these are; each index is a stream of its own.
        identity: whether the first filters hand channels on.
    """

    def __init__(self, seed: int, index: int, *, identity: bool = True) -> None:
        self.seed = seed
        self.index = index
        self.identity = identity

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> NDArray[np.floating]:
        """Weights of this shape, [h, w, channels, filters] or [fan_in, units]."""
        uniform = uniforms(self.seed, Stream.WEIGHTS, self.index, int(np.prod(shape))).reshape(shape)
        weights: NDArray[np.floating] = (2 * uniform - 1) / np.sqrt(np.prod(shape[:-1]))
        if self.identity:
            height, width, channels, filters = shape
            handed_on = np.arange(min(channels, filters))
            weights[..., handed_on] = 0
            weights[height // 2, width // 2, handed_on, handed_on] = 1
        return weights.astype(dtype or "float32")
