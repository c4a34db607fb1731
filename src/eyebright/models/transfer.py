"""Transfer learning: a network that was trained on other images, with a new last layer for these classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from eyebright.architecture import Architecture
from eyebright.backend import keras
from eyebright.models.backbones import application_features
from eyebright.models.convnet import build_convnet
from eyebright.models.fully_connected import build_fully_connected
from eyebright.models.layers import TruncatedNormal, preprocess

_OUR_NETWORKS = {"fc": build_fully_connected, "cnn": build_convnet}
_HEAD = 1_000_000  # the stream of the head's weights, past those of any backbone


def build_transfer(architecture: Architecture, precision: str, seed: int) -> keras.Model:
    """Build backbone → features → dropout (or none) → logits, one flat model.

    The backbone's preprocessing is its own and inside: what a network of ours measured of the images that it was
    trained on, or the scaling that a network of Keras's was trained with. Its weights are drawn from the seed here;
    those that it was trained to are put in by whoever has them.

    Args:
        architecture: its shape.
        precision: as for our other networks.
        seed: the run's seed, for the initial weights.

    Returns:
        uint8 [B, H, W, C] → logits float32 [B, classes] (float64 where `precision` says so).
    """
    output_dtype = "float64" if precision == "float64" else "float32"
    dtype = "mixed_bfloat16" if precision == "bfloat16" else precision
    if isinstance(architecture.backbone, Architecture):
        own = architecture.backbone.model_copy(update={"dropout": 0.0})
        trained = _OUR_NETWORKS[own.model](own, precision, seed)
        images, x = trained.input, trained.get_layer("logits").input
    else:
        images = keras.Input(architecture.image_shape, dtype="uint8", name="images")
        pixels = preprocess(images, architecture, output_dtype, dtype)
        x = application_features(str(architecture.backbone), pixels, dtype, seed)
    if architecture.dropout:  # [B, features]
        x = keras.layers.Dropout(architecture.dropout, seed=0, dtype=dtype, name="dropout")(x)
    logits = keras.layers.Dense(
        architecture.classes, kernel_initializer=TruncatedNormal(seed, _HEAD), dtype=output_dtype, name="logits"
    )(x)
    return keras.Model(images, logits, name="transfer")


def is_head(weight_name: str) -> bool:
    """Whether a weight, by its name, is of the last layer rather than of the backbone."""
    return weight_name.startswith("logits/")


def features_of(model: keras.Model) -> keras.Model:
    """A model up to what its last layer reads, of a transfer model its backbone: uint8 [B, H, W, C] → float [B, d]."""
    return keras.Model(model.input, model.get_layer("logits").input)


def with_features(model: keras.Model) -> keras.Model:
    """A model that gives what its last layer reads, too: uint8 [B, H, W, C] → (logits [B, classes], float [B, d])."""
    return keras.Model(model.input, [model.output, model.get_layer("logits").input])


def freeze_statistics(model: keras.Model) -> None:
    """Keep batch normalisation as it was trained: running statistics in training, too, and no change of its weights.

    The statistics of a few small batches of other images would undo what the layers after it have learnt to expect.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False


def standardised(architecture: Architecture, weights: dict[str, Any]) -> tuple[Architecture, dict[str, Any]]:
    """A fully connected network that takes standardised pixels and answers as one that takes them as they are.

    x·W + b = ((x - 127.5) / 64)·(64·W) + (b + 127.5·ΣW), and likewise where a mean image was taken off. Weights of
    pixels up to 255 are so small that no rate is right for them and for the other layers.

    Args:
        architecture: any; one that takes standardised pixels, or whitened ones, or is not fully connected, comes back
            as it is.
        weights: its weights by name.
    """
    if (
        architecture.model != "fc"
        or architecture.batch_norm
        or architecture.preprocessing not in ("none", "mean-image")
    ):
        return architecture, weights
    kernel = weights["hidden_1/kernel"].astype(np.float64)  # [H·W·C, units]
    mean = np.broadcast_to(weights.get("standardize/mean", 0.0), architecture.image_shape).reshape(-1)
    centre, spread = np.full(architecture.image_shape[2], 127.5), np.full(architecture.image_shape[2], 64.0)
    changed = {
        "hidden_1/kernel": (64.0 * kernel).astype(np.float32),
        "hidden_1/bias": (weights["hidden_1/bias"] + (127.5 - mean) @ kernel).astype(np.float32),
        "standardize/mean": centre.astype(np.float32),
        "standardize/standard_deviation": spread.astype(np.float32),
    }
    return architecture.model_copy(update={"preprocessing": "per-channel"}), {**weights, **changed}
