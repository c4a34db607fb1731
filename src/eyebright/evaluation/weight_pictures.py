"""The weights of a layer as pictures: what each of its units or filters looks for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.errors import SettingsError, suggestion
from eyebright.evaluation.picture_grid import draw_grid

_MOST_PICTURES = 50  # units or filters that are drawn
_FEW = 10  # … that are drawn large
_DEEP_FILTERS = 12  # … of a layer above the first, one a row, and as many of each one's channels
_LAST_LAYER = "logits"  # whose units are the classes
_SPAN = 3.0  # standard deviations of a picture's weights from grey to white, and to black


def draw_weights(classifier: Classifier, path: Path, layer: str | None = None) -> None:
    """Draw the weights of a layer as a PNG. Grey is zero, bright is positive, dark is negative.

    A layer that looks at pixels gives one picture a unit, in the pixels' colours: a fully connected one of the image's
    size, a convolution of its filter's. A convolution further in gives a row a filter, and in it a grey picture for
    each channel that it reads.

    Args:
        classifier: whose weights.
        path: of the picture.
        layer: its name; None for the first.

    Raises:
        SettingsError: no such layer, or one whose weights are no pictures.
        StorageError: the picture cannot be written.
    """
    kernels = _kernels_that_are_pictures(classifier)
    layer = next(iter(kernels)) if layer is None else layer
    if layer not in kernels:
        raise SettingsError(
            f"--layer {layer}: the model has no layer of that name whose weights are pictures."
            f"{suggestion(layer, kernels)}"
        )
    kernel = kernels[layer]
    if kernel.shape[2] == classifier.image_shape[2]:
        pictures = [_as_bytes(unit) for unit in np.moveaxis(kernel, 3, 0)[:_MOST_PICTURES]]  # [h, w, C] each
        columns, side = (5, 128) if len(pictures) <= _FEW else (10, 64)
    else:
        filters = np.moveaxis(kernel, (3, 2), (0, 1))[:_DEEP_FILTERS, :_DEEP_FILTERS]  # [filters, channels, h, w]
        pictures = [picture for one in filters for picture in _as_bytes(one)]
        columns, side = filters.shape[1], 32
    captions = classifier.class_names[: len(pictures)] if layer == _LAST_LAYER else [""] * len(pictures)
    draw_grid(path, pictures, captions, columns, side)


def _kernels_that_are_pictures(classifier: Classifier) -> dict[str, NDArray[Any]]:
    """The kernels of the layers that look at places, [h, w, channels, units] by the layers' names, first to last."""
    kernels = {}
    for name, weights in classifier.weights.items():
        layer, _, kind = name.rpartition("/")
        if kind != "kernel":
            continue
        if weights.ndim == 4:
            kernels[layer] = weights
        elif weights.shape[0] == np.prod(classifier.image_shape):
            kernels[layer] = weights.reshape(*classifier.image_shape, -1)
    return kernels


def _as_bytes(weights: NDArray[Any]) -> NDArray[np.uint8]:
    """Weights as uint8 of the same shape; 128 is zero, and what lies past `_SPAN` deviations is cut off."""
    deviation = float(np.sqrt(np.mean(np.square(weights, dtype=np.float64)))) or 1.0
    scaled: NDArray[Any] = 128 + 127 * np.clip(weights / (_SPAN * deviation), -1, 1)
    return scaled.astype(np.uint8)
