"""What each pixel of an image has to do with the logit of a class, for any model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from eyebright.backend import keras, require_tensorflow, tf
from eyebright.evaluation.occlusion import mean_colour
from eyebright.randomness import Stream, uniforms

_VALUES_AT_ONCE = 2**20  # of pixels × images; bounds the memory of a pass with gradients
_NOISE = 0.05  # SmoothGrad's, of the range of an image's pixels

PixelGradients = Callable[[NDArray[np.floating], int], NDArray[np.float64]]


def compiled_pixel_gradients(model: keras.Model) -> PixelGradients:
    """Compile the gradient of a class's logit with respect to pixels.

    A model takes pixels as whole numbers, which have no gradient. Its own layers are therefore called once more, on
    pixels as floats: there is no second definition of the model, and no copy of its weights.

    Returns:
        A function of pixels (float [n, H, W, C], 0 … 255) and a class to the gradients, float64 [n, H, W, C].
    """
    require_tensorflow("A gradient of pixels")
    shape = model.input.shape[1:]
    of_floats = keras.models.clone_model(
        model, input_tensors=keras.Input(shape, dtype="float32"), clone_function=lambda layer: layer
    )

    @tf.function(  # type: ignore[untyped-decorator]
        input_signature=[tf.TensorSpec([None, *shape], tf.float32), tf.TensorSpec([], tf.int32)], autograph=False
    )
    def of_batch(pixels: Any, class_index: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(pixels)
            logit = tf.reduce_sum(tf.gather(of_floats(pixels, training=False), class_index, axis=1))
        return tape.gradient(logit, pixels)

    at_once = max(1, _VALUES_AT_ONCE // int(np.prod(shape)))

    def gradients(pixels: NDArray[np.floating], class_index: int) -> NDArray[np.float64]:
        parts = (pixels[start : start + at_once] for start in range(0, len(pixels), at_once))
        return np.concatenate([of_batch(part.astype(np.float32), class_index).numpy() for part in parts]).astype(float)

    return gradients


def integrated_gradients(
    gradients: PixelGradients,
    image: NDArray[np.uint8],
    class_index: int,
    baseline: NDArray[np.floating] | None = None,
    steps: int = 64,
) -> NDArray[np.float64]:
    """Integrated gradients (Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017).

    (pixel - baseline) · the mean of the gradient on the straight way from the baseline to the image, by the midpoint
    rule. They add up to the logit of the image less that of the baseline, but for the error of the rule.

    Args:
        gradients: of the model.
        image: uint8 [H, W, C].
        class_index: the class that is asked for.
        baseline: float [H, W, C], an image with nothing in it; None for one of the image's mean colour.
        steps: of the rule.

    Returns:
        float64 [H, W, C], logits; positive is for the class.
    """
    pixels = image.astype(np.float64)
    start = np.broadcast_to(mean_colour(image), pixels.shape) if baseline is None else baseline
    shares = ((np.arange(steps) + 0.5) / steps).reshape(-1, 1, 1, 1)
    attribution: NDArray[np.float64] = (pixels - start) * gradients(
        start + shares * (pixels - start), class_index
    ).mean(0)
    return attribution


def smoothgrad(
    gradients: PixelGradients, image: NDArray[np.uint8], class_index: int, samples: int = 32, seed: int = 0
) -> NDArray[np.float64]:
    """SmoothGrad (Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017).

    The mean of the gradient over copies of the image with noise of a standard deviation of 5% of its range of values:
    with the paper's 10 to 20% the gradient is that of noise rather than of the picture (benchmarks/NOTES.md).

    Args:
        gradients: of the model.
        image: uint8 [H, W, C].
        class_index: the class that is asked for.
        samples: how many copies.
        seed: of the noise.

    Returns:
        float64 [H, W, C], logits a pixel value.
    """
    deviation = _NOISE * (int(image.max()) - int(image.min()))
    noise = ndtri(uniforms(seed, Stream.EXPLANATION, 0, samples * image.size)).reshape(samples, *image.shape)
    mean: NDArray[np.float64] = gradients(image + deviation * noise, class_index).mean(axis=0)
    return mean
