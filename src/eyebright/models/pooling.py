"""Pooling whose gradient is quick to compute on a GPU, too."""

from __future__ import annotations

from typing import Any

from eyebright.backend import BACKEND, keras


class HalvingMaxPooling(keras.layers.MaxPooling2D):  # type: ignore[misc]
    """The largest value of each 2 × 2 places, [B, h, w, c] → [B, h/2, w/2, c]; an odd last row or column is left out.

    Keras's own layer, but on JAX it is written as the larger of two, twice: XLA's gradient of a window's largest value
    searches each window once more, and takes a GPU as long as the convolutions (see benchmarks/NOTES.md).
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(2, **arguments)

    def call(self, inputs: Any) -> Any:
        """Pooled maps."""
        if BACKEND != "jax":
            return super().call(inputs)
        height, width, channels = inputs.shape[1:]
        whole = inputs[:, : height // 2 * 2, : width // 2 * 2]
        windows = keras.ops.reshape(whole, (-1, height // 2, 2, width // 2, 2, channels))
        rows = _larger(windows[:, :, :, :, 0], windows[:, :, :, :, 1])  # [B, h/2, 2, w/2, c]
        return _larger(rows[:, :, 0], rows[:, :, 1])


def _larger(first: Any, second: Any) -> Any:
    """The larger of two; where they are equal the gradient is the first one's, as TensorFlow has it."""
    return keras.ops.where(first >= second, first, second)
