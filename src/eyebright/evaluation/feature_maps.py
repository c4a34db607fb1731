"""What the layers of a convolutional network make of one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.backend import keras
from eyebright.classifier import Classifier
from eyebright.errors import SettingsError
from eyebright.evaluation.picture_grid import draw_grid

_MAPS = 11  # of each layer


def layer_outputs(
    classifier: Classifier, images: NDArray[np.uint8], layers: Sequence[str]
) -> dict[str, NDArray[np.floating]]:
    """What some layers put out, in inference.

    Args:
        classifier: whose model.
        images: uint8 [N, H, W, C], of its `image_shape`.
        layers: names of layers of the model.

    Returns:
        By the layers' names: float32 [N, …].

    Raises:
        SettingsError: no such layer.
    """
    model = classifier.model
    known = [layer.name for layer in model.layers]
    for name in layers:
        if name not in known:
            raise SettingsError(f"layer {name}: the model has no such layer. Its layers: {', '.join(known)}.")
    part = keras.Model(model.input, {name: model.get_layer(name).output for name in layers})
    return {name: keras.ops.convert_to_numpy(output) for name, output in part(images, training=False).items()}


def draw_features(classifier: Classifier, image: NDArray[np.uint8], path: Path) -> None:
    """Draw what each activation of a convolutional network makes of one picture, as a PNG.

    A row a layer: the picture, then those of the layer's maps that respond most strongly, the strongest first. Black is
    no response; white is the strongest in the layer.

    Args:
        classifier: with convolutions.
        image: uint8 [H, W, C], of the classifier's `image_shape`.
        path: of the PNG.

    Raises:
        SettingsError: a model without convolutions.
        StorageError: the PNG cannot be written.
    """
    layers = [
        layer.name
        for layer in classifier.model.layers
        if isinstance(layer, keras.layers.Activation) and len(layer.output.shape) == 4
    ]
    if not layers:
        raise SettingsError(
            f"--what features: the {classifier.architecture.model} model has no feature maps, which are made by "
            "convolutions. Use --what weights, or a run with --model cnn."
        )
    pictures, captions = [], []
    for name, output in layer_outputs(classifier, image[np.newaxis], layers).items():
        maps = _strongest(output[0])  # [n, h, w]
        height, width, channels = output.shape[1:]
        pictures += [image, *maps]
        captions += [f"{name}: {channels} maps of {height} × {width}", *[""] * len(maps)]
        missing = _MAPS - len(maps)
        pictures += [np.full((1, 1), 255, np.uint8)] * missing
        captions += [""] * missing
    draw_grid(path, pictures, captions, _MAPS + 1)


def _strongest(output: NDArray[Any]) -> NDArray[np.uint8]:
    """Of maps [h, w, channels] the strongest, uint8 [n, h, w] with 255 for the largest value of all."""
    strength = output.max(axis=(0, 1))  # [channels]
    order = np.argsort(-strength, kind="stable")[:_MAPS]
    maps = np.maximum(np.moveaxis(output[..., order], 2, 0), 0)
    scaled: NDArray[Any] = maps / (maps.max() or 1.0) * 255
    return scaled.astype(np.uint8)
