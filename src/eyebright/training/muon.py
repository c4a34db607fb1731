"""Muon: kernels move by orthogonalised momentum, everything else by plain momentum."""

from __future__ import annotations

from typing import Any

from eyebright.backend import keras

ops = keras.ops

_QUINTIC = (3.4445, -4.7750, 2.0315)  # of the polynomial that draws singular values to 1, steep at 0
_ITERATIONS = 3  # more bring nothing in accuracy
_KERNEL_MOMENTUM = 0.6
# Rates of the last layer, and of biases and scales, as multiples of the learning rate for each image of the batch.
_LAST_LAYER_RATE = 0.007
_BIAS_RATE = 0.055


class Muon(keras.optimizers.Optimizer):  # type: ignore[misc]
    """Momentum whose kernel updates are orthogonalised, so that no direction is favoured (Jordan and others, 2024).

    A kernel W, as a matrix [inputs, units], moves by `learning_rate` · U Vᵀ, where U S Vᵀ is the gradient with Nesterov
    momentum 0.6, by three Newton-Schulz iterations; before that it is scaled to the norm √units, so that the
    learning rate is relative to its size. The last layer, biases and scales move by Nesterov momentum at multiples of
    the learning rate, in proportion to the batch. The numbers are those of airbench94_muon (Jordan, 2024), for mean
    losses, but that biases move an eighth as fast, which was better on validation images. Of weight decay, which the
    scaling undoes, only the last layer keeps anything.

    Args:
        learning_rate: of the kernels.
        last_layer: path of the kernel that makes the logits.
        momentum: of what is no kernel.
        batch_size: images in a step.
        product_dtype: of the matrix products of the iterations.
        **arguments: of every Keras optimizer.
    """

    def __init__(
        self,
        learning_rate: float,
        *,
        last_layer: str,
        momentum: float,
        batch_size: int,
        product_dtype: str,
        **arguments: Any,
    ) -> None:
        super().__init__(learning_rate, **arguments)
        self._last_layer = last_layer
        self._momentum = momentum
        self._ratios = {True: _LAST_LAYER_RATE * batch_size, False: _BIAS_RATE * batch_size}
        self._product_dtype = product_dtype

    def build(self, variables: list[Any]) -> None:
        """Add a momentum for each variable."""
        if self.built:
            return
        super().build(variables)
        self._momenta = self.add_optimizer_variables(variables, "momentum")
        self._is_kernel = [len(v.shape) > 1 and v.path != self._last_layer for v in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Move one variable."""
        rate = ops.cast(learning_rate, variable.dtype)
        index = self._get_variable_index(variable)
        momentum, is_kernel = self._momenta[index], self._is_kernel[index]
        kept = _KERNEL_MOMENTUM if is_kernel else self._momentum
        self.assign(momentum, momentum * kept + gradient)
        update = gradient + kept * momentum  # Nesterov's
        if is_kernel:
            shape = variable.shape
            norm = ops.sqrt(ops.sum(ops.square(variable)))
            matrix = ops.reshape(update, (-1, shape[-1]))  # [inputs, units]
            self.assign(variable, variable * (shape[-1] ** 0.5 / (norm + 1e-7)))
            update = ops.reshape(self._orthogonal(matrix), shape)
            self.assign_sub(variable, rate * ops.cast(update, variable.dtype))
            return
        self.assign_sub(variable, rate * self._ratios[len(variable.shape) > 1] * update)

    def _orthogonal(self, matrix: Any) -> Any:
        """About U Vᵀ of a matrix U S Vᵀ."""
        a, b, c = _QUINTIC
        x = ops.cast(matrix / (ops.sqrt(ops.sum(ops.square(matrix))) + 1e-7), self._product_dtype)
        wide = x.shape[0] <= x.shape[1]
        for _ in range(_ITERATIONS):
            gram = ops.matmul(x, ops.transpose(x)) if wide else ops.matmul(ops.transpose(x), x)
            polynomial = b * gram + c * ops.matmul(gram, gram)
            x = a * x + (ops.matmul(polynomial, x) if wide else ops.matmul(x, polynomial))
        return x
