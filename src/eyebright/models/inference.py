"""A model's logits over many images, in batches."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from eyebright.backend import keras, tf

_IMAGES_AT_ONCE = 1000

Images = NDArray[np.uint8]
Logits = NDArray[np.floating]
LogitsFunction = Callable[[Images, NDArray[np.int64]], Logits]


def compiled_logits(model: keras.Model) -> LogitsFunction:
    """Compile a model for inference.

    Returns:
        A function of images (uint8 [N, H, W, C], may be memory-mapped) and indices (int64 [n]) to the logits
        [n, classes] of those images, the last partial batch included.
    """

    # `training=False` is said here once: without it dropout and batch statistics would stay on.
    @tf.function(input_signature=[tf.TensorSpec([None, *model.input.shape[1:]], tf.uint8)])  # type: ignore[untyped-decorator]
    def logits_of_batch(images: tf.Tensor) -> tf.Tensor:
        return model(images, training=False)

    def logits(images: Images, indices: NDArray[np.int64]) -> Logits:
        batches = [indices[start : start + _IMAGES_AT_ONCE] for start in range(0, len(indices), _IMAGES_AT_ONCE)]
        return np.concatenate([logits_of_batch(images[batch]).numpy() for batch in batches])

    return logits
