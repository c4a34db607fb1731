"""The models, by the names that `--model` takes. Importing this imports Keras."""

from __future__ import annotations

from eyebright.backend import keras
from eyebright.models.architecture import Architecture
from eyebright.models.fully_connected import build_fully_connected
from eyebright.models.softmax import build_softmax

__all__ = ["MODELS", "Architecture", "build_model"]

MODELS = {"softmax": build_softmax, "fc": build_fully_connected}


def build_model(architecture: Architecture, precision: str = "float32", seed: int = 0) -> keras.Model:
    """Build a model with its initial weights; its preprocessing has yet to measure the training images.

    Returns:
        uint8 [B, H, W, C] → logits float32 [B, classes].
    """
    return MODELS[architecture.model](architecture, precision, seed)
