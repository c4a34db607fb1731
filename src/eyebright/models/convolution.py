"""A convolution whose gradient is quick to compute on small maps, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from eyebright.backend import BACKEND, keras, tf

_SMALL = 8  # pixels a side


class Convolution(keras.layers.Conv2D):  # type: ignore[misc]
    """Keras's convolution; on small maps, in bfloat16 on TensorFlow, with another way to the kernel's gradient.

    Small are those of at most 8 pixels a side. For that gradient the matrix library sums over places along a row, and
    is at a third of its speed where rows are as short as that. As one matrix product, of all patches with all
    gradients, it takes half the time or less (see benchmarks/NOTES.md); on larger maps, and in float32, it would take
    longer.

    float [B, h, w, c] → [B, h, w, filters]; stride 1, padded to the same size.

    Args:
        filters: how many.
        size: of the kernel, odd.
    """

    def __init__(self, filters: int, size: int, **arguments: Any) -> None:
        super().__init__(filters, size, padding="same", **arguments)

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """The convolution without bias."""
        if BACKEND == "tensorflow" and self.compute_dtype == "bfloat16" and max(inputs.shape[1:3]) <= _SMALL:
            return _of_small_maps(tf.convert_to_tensor(inputs), tf.convert_to_tensor(kernel))
        return super().convolution_op(inputs, kernel)


def _of_small_maps(maps: Any, kernel: Any) -> Any:
    return tf.custom_gradient(_with_gradient)(maps, kernel)


def _with_gradient(maps: Any, kernel: Any) -> tuple[Any, Callable[[Any], tuple[Any, Any]]]:
    size, _, channels, filters = kernel.shape
    height, width = maps.shape[1:3]

    def gradient(upstream: Any) -> tuple[Any, Any]:
        of_maps = tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.shape(maps), filter=kernel, out_backprop=upstream, strides=[1, 1, 1, 1], padding="SAME"
        )
        around = size // 2
        padded = tf.pad(maps, [[0, 0], [around, around], [around, around], [0, 0]])
        shifted = [padded[:, i : i + height, j : j + width] for i in range(size) for j in range(size)]
        patches = tf.reshape(tf.concat(shifted, axis=-1), [-1, size * size * channels])  # [B·h·w, size·size·c]
        of_kernel = tf.matmul(patches, tf.reshape(upstream, [-1, filters]), transpose_a=True)
        return of_maps, tf.reshape(of_kernel, kernel.shape)

    return tf.nn.conv2d(maps, kernel, 1, "SAME"), gradient
