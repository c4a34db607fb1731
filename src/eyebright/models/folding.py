"""Folding: a trained network of dense layers, written as the matrices that it amounts to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.architecture import Architecture
from eyebright.backend import keras

_NORM_EPSILON = keras.layers.BatchNormalization().epsilon

Weights = dict[str, NDArray[Any]]


def fold(architecture: Architecture, weights: Weights) -> tuple[Architecture, Weights]:
    """Make whitening and batch normalisation part of the matrices before or after them.

    In inference all of these are linear, and linear after linear is linear: what was trained as mean, whitening,
    matrix, batch normalisation, activation, matrix is saved as matrix, activation, matrix. Computed in float64, so that
    only the last rounding differs.

    Args:
        architecture: of a softmax or a fully connected network; any other comes back as it is.
        weights: its weights by name.

    Returns:
        The architecture and weights of the folded network, which takes the same uint8 pixels.
    """
    whitens = "whitening" in architecture.preprocessing
    if architecture.model not in ("softmax", "fc") or not (architecture.batch_norm or whitens):
        return architecture, weights
    layers = ["logits"] if architecture.model == "softmax" else [*_hidden(architecture), "logits"]
    folded: Weights = {}
    for number, name in enumerate(layers, start=1):
        dtype = weights[f"{name}/kernel"].dtype
        kernel = weights[f"{name}/kernel"].astype(np.float64)  # [inputs, units]
        bias = weights.get(f"{name}/bias", np.zeros(kernel.shape[1])).astype(np.float64)
        if architecture.batch_norm and name != "logits":
            kernel, bias = _fold_norm(kernel, bias, f"batch_norm_{number}", weights)
        if number == 1:
            kernel, bias = _fold_preprocessing(kernel, bias, architecture, weights)
        folded |= {f"{name}/kernel": kernel.astype(dtype), f"{name}/bias": bias.astype(dtype)}
    return architecture.model_copy(update={"batch_norm": False, "preprocessing": "none"}), folded


def _hidden(architecture: Architecture) -> list[str]:
    return [f"hidden_{layer}" for layer in range(1, architecture.layers + 1)]


def _fold_norm(
    kernel: NDArray[np.float64], bias: NDArray[np.float64], norm: str, weights: Weights
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """γ · (x·W + b - mean) / √(variance + ε) + β as one product."""
    gamma, beta, mean, variance = (
        weights[f"{norm}/{part}"].astype(np.float64) for part in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    scale = gamma / np.sqrt(variance + _NORM_EPSILON)
    return kernel * scale, (bias - mean) * scale + beta


def _fold_preprocessing(
    kernel: NDArray[np.float64], bias: NDArray[np.float64], architecture: Architecture, weights: Weights
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """((pixels - mean) / deviation · Z)·W + b as one product with the pixels."""
    mean = weights["standardize/mean"].astype(np.float64)  # [H, W, C] or [C]
    if "whitening" in architecture.preprocessing:
        kernel = weights["image_whitening/kernel"].astype(np.float64) @ kernel
    if architecture.preprocessing == "per-channel":
        deviation = weights["standardize/standard_deviation"].astype(np.float64)
        kernel = kernel / np.broadcast_to(deviation, architecture.image_shape).reshape(-1, 1)
    return kernel, bias - np.broadcast_to(mean, architecture.image_shape).reshape(-1) @ kernel
