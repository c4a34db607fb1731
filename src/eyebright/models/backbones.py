"""The backbones of transfer learning that Keras has, by the names that `--backbone` takes."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eyebright.backend import keras
from eyebright.models.layers import TruncatedNormal

_USUAL_SHAPE = (224, 224, 3)  # weights are the same for every size
SMALLEST_SIDE = 32  # pixels; these networks halve an image five times
# The running averages follow the batches closely, as in our own networks; Keras's 0.999 would need thousands of steps.
_NORM_MOMENTUM = 0.6


class Application(NamedTuple):
    """A network of `keras.applications`.

    Attributes:
        function: its name there.
        scaled: whether it has to be given pixels from -1 to 1, as it does not scale them itself.
    """

    function: str
    scaled: bool = False


APPLICATIONS = {
    "mobilenet-v2": Application("MobileNetV2", scaled=True),
    "mobilenet-v3-small": Application("MobileNetV3Small"),
    "mobilenet-v3-large": Application("MobileNetV3Large"),
    "efficientnet-v2-b0": Application("EfficientNetV2B0"),
    "efficientnet-v2-b1": Application("EfficientNetV2B1"),
    "efficientnet-v2-s": Application("EfficientNetV2S"),
    "resnet-50-v2": Application("ResNet50V2", scaled=True),
    "convnext-tiny": Application("ConvNeXtTiny"),
    "convnext-small": Application("ConvNeXtSmall"),
}


def application_features(name: str, pixels: Any, dtype: str, seed: int) -> Any:
    """What a backbone of Keras's makes of images, with weights drawn from the seed.

    Grey images are given to it as three equal channels. Images whose shorter side is less than 32 pixels are enlarged,
    bilinearly and keeping their proportions, until it is 32.

    Args:
        name: of `APPLICATIONS`.
        pixels: float [B, H, W, C], 0 … 255.
        dtype: Keras's name of the arithmetic: float32, mixed_bfloat16 or float64.
        seed: the run's seed.

    Returns:
        float [B, features], the mean of each of its last maps.
    """
    height, width, channels = pixels.shape[1:]
    if channels == 1:
        pixels = keras.layers.Concatenate(dtype=dtype, name="three_channels")([pixels] * 3)
    shorter = min(height, width)
    if shorter < SMALLEST_SIDE:
        size = tuple(round(side * SMALLEST_SIDE / shorter) for side in (height, width))
        pixels = keras.layers.Resizing(*size, dtype=dtype, name="enlarge")(pixels)
    if APPLICATIONS[name].scaled:
        pixels = keras.layers.Rescaling(1 / 127.5, offset=-1.0, dtype=dtype, name="scale")(pixels)
    with _arithmetic(dtype):
        application = _finished(name, _application(name, pixels))
    _draw(application, seed)
    return application.output


def application_of_imagenet(name: str) -> keras.Model:
    """A backbone of Keras's with the weights that it learnt on ImageNet, from Keras's cache or downloaded into it.

    Raises:
        Exception: the download failed, or is not the file whose hash Keras knows.
    """
    return _finished(name, _application(name, keras.Input(_USUAL_SHAPE), "imagenet"))


def application_of_file(name: str, path: Path) -> keras.Model:
    """A backbone of Keras's with weights of a file that Keras saved of it, with its head or without.

    Raises:
        OSError, ValueError, KeyError, TypeError or AttributeError: Keras cannot load them, or loads some of them alone.
    """
    model = _application(name, keras.Input(_USUAL_SHAPE))
    before = model.get_weights()
    with warnings.catch_warnings():  # Keras only warns of weights that it does not find, hundreds of times
        warnings.simplefilter("ignore", UserWarning)
        model.load_weights(path)
    for weight, old in zip(model.weights, before, strict=True):
        if len(weight.shape) > 1 and np.array_equal(weight.numpy(), old):
            raise ValueError(f"there is no {weight.path} in it.")
    return _finished(name, model)


def _application(name: str, pixels: Any, weights: str | None = None) -> keras.Model:
    """A network of Keras's without its head, applied to pixels; the mean of each of its last maps is its output."""
    build = getattr(keras.applications, APPLICATIONS[name].function)
    return build(weights=weights, include_top=False, pooling="avg", input_tensor=pixels)


def _finished(name: str, model: keras.Model) -> keras.Model:
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = _NORM_MOMENTUM
    return _named(model) if "convnext" in name else model


class LayerScale(keras.layers.Layer):  # type: ignore[misc]
    """A factor for each channel (Touvron et al., "Going deeper with image transformers", 2021): x · γ."""

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._first, self._channels = init_values, projection_dim

    def build(self, input_shape: tuple[int | None, ...]) -> None:  # noqa: ARG002 - Keras's signature
        """Add γ, shape [channels]."""
        first = keras.initializers.Constant(self._first)
        self.gamma = self.add_weight(name="gamma", shape=(self._channels,), initializer=first)

    def call(self, x: Any) -> Any:
        """Scaled maps."""
        return x * self.gamma


def _named(model: keras.Model) -> keras.Model:
    """A ConvNeXt whose weights have the same names each time that it is built; Keras counts some of them up."""

    def named(layer: keras.layers.Layer) -> keras.layers.Layer:
        if type(layer).__name__ == "LayerScale":
            return LayerScale.from_config(layer.get_config())
        if layer is model.layers[-1]:
            return keras.layers.LayerNormalization.from_config(layer.get_config() | {"name": "last_layernorm"})
        return layer

    copy = keras.models.clone_model(model, input_tensors=model.input, clone_function=named)
    copy.set_weights(model.get_weights())
    return copy


def _draw(model: keras.Model, seed: int) -> None:
    """Draw the weights of matrices and kernels from the run's seed; the others keep what they begin with."""
    index = 0
    for layer in _all_layers(model):
        for weight in layer.trainable_weights:
            if len(weight.shape) < 2:
                continue
            values = TruncatedNormal(seed, index)(tuple(weight.shape))
            if isinstance(layer, keras.layers.DepthwiseConv2D):  # each output has one channel as its input
                values = values * np.sqrt(weight.shape[2])
            weight.assign(values)
            index += 1


def _all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers, those of models within it included."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _all_layers(layer)
        else:
            yield layer


@contextlib.contextmanager
def _arithmetic(dtype: str) -> Iterator[None]:
    """Keras's applications take their arithmetic from Keras's global policy alone."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
