"""The softmax classifier: one linear layer on the pixels."""

from __future__ import annotations

from eyebright.architecture import Architecture
from eyebright.backend import keras
from eyebright.models.layers import preprocess


def build_softmax(architecture: Architecture, precision: str, seed: int) -> keras.Model:  # noqa: ARG001
    """Build the softmax classifier, logits = x·W + b, its weights from zero.

    Its one matrix product is its output, so it is computed in the output's precision whatever `precision` says, and
    nothing in it is drawn from `seed`.

    Returns:
        uint8 [B, H, W, C] → logits float32 [B, classes] (float64 where `precision` says so).
    """
    dtype = "float64" if precision == "float64" else "float32"
    images = keras.Input(architecture.image_shape, dtype="uint8", name="images")
    x = preprocess(images, architecture, dtype, dtype)
    x = keras.layers.Flatten(dtype=dtype, name="flatten")(x)  # [B, H·W·C]
    logits = keras.layers.Dense(architecture.classes, kernel_initializer="zeros", dtype=dtype, name="logits")(x)
    return keras.Model(images, logits, name="softmax")
