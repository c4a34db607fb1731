"""Grad-CAM: which places of a convolutional network's last maps speak for a class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.backend import keras, require_tensorflow, tf
from eyebright.models.whitening import PatchWhitening

_POOLING = (keras.layers.GlobalMaxPooling2D, keras.layers.GlobalAveragePooling2D)


GradCam = Callable[[NDArray[np.uint8], NDArray[np.int64]], NDArray[np.float64]]


def grad_cam(model: keras.Model, *, pooled_gradient: bool = True) -> GradCam:
    """Prepare Grad-CAM over the last maps before the pooling, brought to the size of the images.

    Grad-CAM (Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization",
    ICCV 2017) weighs each map by the mean of its gradient over all places: heat = max(0, Σₖ αₖ·Aₖ). Behind a global
    pooling αₖ is in proportion to the last layer's weight of the map, whether that takes the mean of a map or, as in
    our convolutional network, its largest value. HiResCAM (Draelos and Carin, 2020) multiplies each place by its own
    gradient, heat = max(0, Σₖ gₖ·Aₖ), which adds up to what the maps put into the logit. Behind a mean the two are the
    same; behind a largest value HiResCAM shows the places of these values alone, a single one a map.

    Args:
        model: with last maps (see `last_maps_shape`).
        pooled_gradient: Grad-CAM; else HiResCAM.

    Returns:
        A function of images (uint8 [n, H, W, C]) and the class of each that is asked for (int64 [n]) to the heat,
        float64 [n, H, W], at least 0.

    Raises:
        ValueError: the model has none.
    """
    require_tensorflow("Grad-CAM")
    trunk, rest = _parts(model)
    height, width = model.input.shape[1:3]
    down, across = trunk.output.shape[1:3]
    rows = _interpolation(map_centres(model, height, down), height)  # [H, h]
    columns = _interpolation(map_centres(model, width, across), width)  # [W, w]

    def heat_of(images: NDArray[np.uint8], classes: NDArray[np.int64]) -> NDArray[np.float64]:
        maps = trunk(images, training=False)  # [n, h, w, channels]
        with tf.GradientTape() as tape:
            tape.watch(maps)
            logits = rest(maps, training=False)
            chosen = tf.reduce_sum(logits * tf.one_hot(classes, logits.shape[-1], dtype=logits.dtype))
        gradient = tape.gradient(chosen, maps)
        if pooled_gradient:
            gradient = tf.reduce_mean(gradient, axis=(1, 2), keepdims=True)
        heat = np.maximum(tf.reduce_sum(gradient * maps, axis=-1).numpy().astype(np.float64), 0)  # [n, h, w]
        enlarged: NDArray[np.float64] = rows @ heat @ columns.T
        return enlarged

    return heat_of


def last_maps_shape(model: keras.Model) -> tuple[int, int] | None:
    """Height and width, in cells, of the last maps of a model before its global pooling; None without such."""
    pooling = [layer for layer in model.layers if isinstance(layer, _POOLING)]
    return tuple(pooling[-1].input.shape[1:3]) if pooling else None


def _parts(model: keras.Model) -> tuple[keras.Model, keras.Model]:
    """A model cut in two at its last maps: images → maps, maps → logits. Its layers are called once more for that."""
    pooled = []

    def called(layer: keras.layers.Layer, *arguments: Any, **keywords: Any) -> Any:
        if isinstance(layer, _POOLING):
            pooled.append(arguments[0])
        return layer(*arguments, **keywords)

    again = keras.models.clone_model(model, clone_function=lambda layer: layer, call_function=called)
    if not pooled:
        raise ValueError("grad_cam: the model has no maps that are pooled.")
    return keras.Model(again.input, pooled[-1]), keras.Model(pooled[-1], again.output)


def map_centres(model: keras.Model, side: int, cells: int) -> NDArray[np.float64]:
    """Which pixel the middle of each cell of the last maps lies over, float64 [cells]; pixels are counted from 0.

    Our network does not pad where it whitens and pools, so that its cells come to lie in the upper left of what an even
    division of the image gives; the networks of Keras's are taken to divide it evenly.

    Args:
        model: with last maps.
        side: of the images, in pixels.
        cells: along that side.
    """
    if any(isinstance(layer, PatchWhitening) for layer in model.layers):
        stride = 1 << sum(isinstance(layer, keras.layers.MaxPooling2D) for layer in model.layers)
        return stride * np.arange(cells, dtype=np.float64) + (min(side, 2) - 1 + stride - 1) / 2
    return side / cells * (np.arange(cells, dtype=np.float64) + 0.5) - 0.5


def _interpolation(centres: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """The matrix [side, cells] that interpolates linearly between cells, and keeps the outermost ones' value beyond."""
    return np.stack([np.interp(np.arange(side), centres, cell) for cell in np.eye(len(centres))], axis=1)
