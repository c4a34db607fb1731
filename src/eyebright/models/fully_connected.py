"""The fully connected network: hidden layers of units that each see all of the layer before."""

from __future__ import annotations

from typing import Any

from eyebright.architecture import Architecture
from eyebright.backend import keras
from eyebright.models.layers import TruncatedNormal, preprocess
from eyebright.models.local import LocalDense


def build_fully_connected(architecture: Architecture, precision: str, seed: int) -> keras.Model:
    """Build a network of `layers` hidden layers: Dense, batch normalisation (or none), activation, dropout (or none).

    With one layer of 120 ReLU units it is the tutorial's: 3072 → 120 → 10.

    Args:
        architecture: its shape.
        precision: of the hidden layers' matrix products: float32, bfloat16 or float64. Weights stay float32 in
            bfloat16, and so do the logits.
        seed: the run's seed, for the initial weights.

    Returns:
        uint8 [B, H, W, C] → logits float32 [B, classes] (float64 where `precision` says so).
    """
    output_dtype = "float64" if precision == "float64" else "float32"
    hidden_dtype = "mixed_bfloat16" if precision == "bfloat16" else precision
    images = keras.Input(architecture.image_shape, dtype="uint8", name="images")
    x = preprocess(images, architecture, output_dtype, hidden_dtype)
    x = keras.layers.Flatten(dtype=x.dtype, name="flatten")(x)  # [B, H·W·C]
    for layer in range(1, architecture.layers + 1):
        x = _hidden_layer(architecture, hidden_dtype, seed, layer)(x)  # [B, hidden_units]
        if architecture.batch_norm:
            x = keras.layers.BatchNormalization(momentum=0.9, dtype=hidden_dtype, name=f"batch_norm_{layer}")(x)
        x = keras.layers.Activation(architecture.activation, dtype=hidden_dtype, name=f"activation_{layer}")(x)
        if architecture.dropout:
            x = keras.layers.Dropout(architecture.dropout, seed=0, dtype=hidden_dtype, name=f"dropout_{layer}")(x)
    logits = keras.layers.Dense(
        architecture.classes,
        kernel_initializer=TruncatedNormal(seed, architecture.layers),
        dtype=output_dtype,
        name="logits",
    )(x)
    return keras.Model(images, logits, name="fully_connected")


def _hidden_layer(architecture: Architecture, dtype: str, seed: int, layer: int) -> keras.layers.Dense:
    options: dict[str, Any] = {
        "use_bias": not architecture.batch_norm,  # batch normalisation has a bias of its own
        "dtype": dtype,
        "name": f"hidden_{layer}",
    }
    if layer == 1 and architecture.initialization == "local":
        return LocalDense(architecture.hidden_units, seed, **options)
    return keras.layers.Dense(architecture.hidden_units, kernel_initializer=TruncatedNormal(seed, layer - 1), **options)
