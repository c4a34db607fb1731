"""The models, by the names that `--model` takes. Importing this imports Keras."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import partial

import numpy as np
from numpy.typing import NDArray

from eyebright.architecture import Architecture
from eyebright.backend import keras
from eyebright.errors import SettingsError
from eyebright.models.convnet import build_convnet
from eyebright.models.fully_connected import build_fully_connected
from eyebright.models.inference import outputs
from eyebright.models.local import LocalDense
from eyebright.models.reduction import grid
from eyebright.models.softmax import build_softmax
from eyebright.models.transfer import build_transfer
from eyebright.models.whitening import PATCH_IMAGES, ImageWhitening, PatchWhitening

__all__ = ["MODELS", "Architecture", "build_model", "first_layer", "freeze", "measure"]

MODELS = {
    "softmax": build_softmax,
    "fc": build_fully_connected,
    "cnn": build_convnet,
    "transfer": build_transfer,
}
_VALUES_AT_ONCE = 2**22  # bounds the memory, whatever the size of the images


def build_model(architecture: Architecture, precision: str = "float32", seed: int = 0) -> keras.Model:
    """Build a model with its initial weights; it has yet to `measure` the training images.

    Returns:
        uint8 [B, H, W, C] → logits float32 [B, classes].
    """
    return MODELS[architecture.model](architecture, precision, seed)


def measure(model: keras.Model, images: NDArray[np.uint8], indices: NDArray[np.int64]) -> None:
    """Set what a model has from the training images by measuring, not by gradients: means, whitening, first weights.

    Args:
        model: as `build_model` made it.
        images: uint8 [N, H, W, C].
        indices: int64 [n]: which of them are the training images.
    """
    model.get_layer("standardize").measure(images, indices)
    height, width, channels = model.input.shape[1:]
    places = grid(height, width, channels, compact=False)
    for layer in model.layers:
        if isinstance(layer, (ImageWhitening, PatchWhitening)):
            chosen = indices
            if isinstance(layer, PatchWhitening):  # some are enough, of the whole set, which may be sorted by class
                chosen = indices[:: max(1, len(indices) // PATCH_IMAGES)]
            layer.measure(partial(_outputs, keras.Model(model.input, layer.input), images, chosen))
        if isinstance(layer, ImageWhitening):
            places = layer.places
        if isinstance(layer, LocalDense):
            layer.localise(places, (height, width))


def freeze(model: keras.Model, names: tuple[str, ...]) -> None:
    """Keep the weights of some layers as they are.

    Args:
        model: before its optimizer is built.
        names: of layers; * stands for any characters.

    Raises:
        SettingsError: a name that no layer with weights has, or nothing is left to train.
    """
    layers = [layer for layer in model.layers if layer.trainable_variables]
    for name in names:
        frozen = [layer for layer in layers if fnmatchcase(layer.name, name)]
        if not frozen:
            known = ", ".join(layer.name for layer in layers)
            raise SettingsError(f"--freeze {name}: no layer of this model is called so. Layers with weights: {known}.")
        for layer in frozen:
            layer.trainable = False
    if not model.trainable_variables:
        raise SettingsError(f"--freeze {','.join(names)}: no layer is left to train.")


def first_layer(model: keras.Model) -> keras.layers.Layer:
    """The first layer whose kernel gradients train, be it that it is frozen; what is measured comes before it."""
    kinds = keras.layers.Dense | keras.layers.Conv2D
    layers = (layer for layer in model.layers if isinstance(layer, kinds) and not isinstance(layer, PatchWhitening))
    return next(layers)


def _outputs(
    model: keras.Model, images: NDArray[np.uint8], indices: NDArray[np.int64]
) -> Iterator[NDArray[np.float32]]:
    at_once = max(1, _VALUES_AT_ONCE // int(np.prod(images.shape[1:])))
    compute = outputs(model)
    for start in range(0, len(indices), at_once):
        yield np.asarray(compute(images[indices[start : start + at_once]])).astype(np.float32)
