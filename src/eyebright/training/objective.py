"""What training makes small: mean cross-entropy, with label smoothing and class weights, plus L2 on the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.backend import BACKEND, keras, tf
from eyebright.settings import Settings
from eyebright.training.distillation import Teacher, distillation_loss


def cross_entropy(logits: Any, targets: Any, label_smoothing: float = 0.0, class_weights: Any = None) -> Any:
    """Mean cross-entropy of a batch, in nats.

    Label smoothing (Szegedy et al., "Rethinking the Inception architecture", 2016) moves that share of the target's
    probability to all classes alike. With class weights each image counts as much as the weights of its classes, in
    the shares of its target: a mixed image of two classes has the mean of their weights by these shares.

    Args:
        logits: float [B, classes].
        targets: float [B, classes], the probability of each class.
        label_smoothing: 0 … 1.
        class_weights: float [classes], or None where all are 1.

    Returns:
        A scalar.
    """
    smoothed = (1.0 - label_smoothing) * targets + label_smoothing / logits.shape[-1]
    losses = -keras.ops.sum(smoothed * keras.ops.log_softmax(logits), axis=-1)  # [B]
    if class_weights is not None:
        losses = losses * keras.ops.sum(targets * class_weights, axis=-1)
    return keras.ops.mean(losses)


def balanced_class_weights(labels: NDArray[np.int32], classes: int) -> NDArray[np.float64]:
    """Weights that give each class the same share of the loss: images / (classes · images of the class).

    Args:
        labels: int32 [n], of the training images.
        classes: how many there are.

    Returns:
        float64 [classes]; their mean over the images is 1. A class without images has weight 1.

    >>> balanced_class_weights(np.array([0, 0, 0, 1], np.int32), 2).round(2).tolist()
    [0.67, 2.0]
    """
    counts = np.bincount(labels, minlength=classes)
    present = int((counts > 0).sum())
    return np.where(counts > 0, len(labels) / (present * np.maximum(counts, 1)), 1.0)


def weight_matrices(model: keras.Model) -> list[Any]:
    """The trainable weights that L2 and weight decay apply to: matrices and kernels, not biases or scales."""
    return [variable for variable in model.trainable_variables if len(variable.shape) > 1]


def l2_penalty(model: keras.Model, l2: float) -> Any:
    """l2 · Σ ½‖W‖² over the weight matrices."""
    return l2 * sum(_half_squared_norm(weights.value) for weights in weight_matrices(model))


def _half_squared_norm(weights: Any) -> Any:
    if BACKEND == "tensorflow":
        # One fused operation forward and one backward; written out it would cost a tenth of the tutorial's step.
        return tf.nn.l2_loss(weights)
    return keras.ops.sum(keras.ops.square(weights)) / 2


class Objective:
    """The loss of a batch, as the settings put it together.

    Label smoothing and class weights are of the labels' share of it, not of the teacher's.

    Args:
        settings: `l2`, `label_smoothing`, `class_weights` and those of distillation are read.
        labels: int32 [n], of the training images.
        classes: how many there are.
        teacher: uint8 images [B, H, W, C] → logits [B, classes], or None.
    """

    def __init__(
        self, settings: Settings, labels: NDArray[np.int32], classes: int, teacher: Teacher | None = None
    ) -> None:
        self._settings = settings
        self._teacher = teacher
        balanced = settings.class_weights == "balanced"
        self._class_weights = balanced_class_weights(labels, classes) if balanced else None

    @property
    def variables(self) -> list[Any]:
        """The variables that it computes with beside the model's: the teacher's."""
        return [] if self._teacher is None else self._teacher.variables

    def __call__(self, model: keras.Model, images: Any, logits: Any, targets: Any) -> Any:
        """The loss, a scalar.

        Args:
            model: what is trained.
            images: uint8 [B, H, W, C], as the model saw them.
            logits: float [B, classes], what it made of them.
            targets: float [B, classes], the probability of each class.
        """
        settings = self._settings
        loss = cross_entropy(logits, targets, settings.label_smoothing, self._class_weights)
        if self._teacher is not None:
            weight, temperature = settings.distillation_weight, settings.distillation_temperature
            distance = distillation_loss(logits, self._teacher(images), temperature)
            loss = (1 - weight) * loss + weight * distance
        if settings.l2:
            loss += l2_penalty(model, settings.l2)
        return loss
