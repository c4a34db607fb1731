"""The gradient of a batch: of all of it at once, or of one part after the other, in the memory that a part needs."""

from __future__ import annotations

from typing import Any

from eyebright.backend import keras, tf
from eyebright.training.dropout import set_dropout_seeds
from eyebright.training.objective import Objective


class BatchGradient:
    """Loss, logits and gradient of a batch, to be called in a compiled step.

    Args:
        model: uint8 [B, H, W, C] → logits [B, classes].
        objective: what a batch is measured by.
        parts: how many parts a batch is worked through in; they divide it.
        seed: the run's, for dropout.
    """

    def __init__(self, model: keras.Model, objective: Objective, parts: int, seed: int) -> None:
        self._model = model
        self._objective = objective
        self._parts = parts
        self._seed = seed

    def __call__(self, images: Any, targets: Any, step: Any) -> tuple[Any, Any, list[Any]]:
        """Work through a batch.

        Args:
            images: uint8 [B, H, W, C], as the model is to see them.
            targets: float [B, classes], the probability of each class.
            step: int64 scalar, the step's number.

        Returns:
            The loss, a scalar; the logits [B, classes]; the gradient of each trainable weight.
        """
        size = images.shape[0] // self._parts
        losses, logits = [], []
        gradient: list[Any] = []
        for part in range(self._parts):
            with tf.control_dependencies(gradient):  # so that the memory of one part is free for the next
                own = slice(part * size, (part + 1) * size)
                loss, own_logits, own_gradient = self._of_part(images[own], targets[own], step * self._parts + part)
            losses.append(loss)
            logits.append(own_logits)
            gradient = [a + b for a, b in zip(gradient, own_gradient, strict=True)] if part else own_gradient
        if self._parts == 1:
            return losses[0], logits[0], gradient
        return tf.add_n(losses) / self._parts, tf.concat(logits, 0), [one / self._parts for one in gradient]

    def _of_part(self, images: Any, targets: Any, dropout_step: Any) -> tuple[Any, Any, list[Any]]:
        set_dropout_seeds(self._model, self._seed, dropout_step)
        with tf.GradientTape() as tape:
            logits = self._model(images, training=True)  # [B, classes]
            with tf.name_scope("loss"):
                loss = self._objective(self._model, images, logits, targets)
        with tf.name_scope("gradient"):
            return loss, logits, tape.gradient(loss, [variable.value for variable in self._model.trainable_variables])
