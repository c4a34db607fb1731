"""Batch normalisation of feature maps in one pass."""

from __future__ import annotations

from typing import Any

from eyebright.backend import BACKEND, keras, tf


class FusedBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Keras's batch normalisation of feature maps, in training by TensorFlow's fused operation.

    y = (x - mean) / √(variance + ε) · γ + β, mean and variance of the batch, [B, h, w, C] in and out. Keras writes it
    as several operations, each of which goes through all of the maps; fused it takes a third of the time (a twelfth
    of a convolutional network's step, see benchmarks/NOTES.md). The running variance is the unbiased one,
    n/(n - 1) of the batch's; float64, which TensorFlow does not fuse, and inference are Keras's own.
    """

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalised maps."""
        if not training or not self.trainable or self.compute_dtype == "float64":
            return super().call(inputs, training=training, mask=mask)
        maps, mean, variance = self._fused(inputs) if BACKEND == "tensorflow" else self._written_out(inputs)
        for running, of_batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            running.assign(running * self.momentum + of_batch * (1 - self.momentum))
        return maps

    def _fused(self, inputs: Any) -> tuple[Any, Any, Any]:
        channels = inputs.shape[-1]
        maps, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=tf.convert_to_tensor(self.gamma) if self.scale else tf.ones([channels]),
            offset=tf.convert_to_tensor(self.beta) if self.center else tf.zeros([channels]),
            mean=tf.zeros([0]),
            variance=tf.zeros([0]),
            epsilon=self.epsilon,
            is_training=True,
        )
        return maps, mean, variance

    def _written_out(self, inputs: Any) -> tuple[Any, Any, Any]:
        """The same for XLA, which fuses it itself."""
        ops = keras.ops
        maps = ops.cast(inputs, "float32")
        mean, variance = ops.moments(maps, axes=(0, 1, 2))
        scale = ops.rsqrt(variance + self.epsilon)
        if self.scale:
            scale = scale * self.gamma
        offset = -mean * scale + (self.beta if self.center else 0.0)
        n = maps.shape[0] * maps.shape[1] * maps.shape[2]
        return ops.cast(maps * scale + offset, inputs.dtype), mean, variance * (n / max(n - 1, 1))
