"""The optimizer that the settings name, as Keras has it."""

from __future__ import annotations

from typing import Any

from eyebright.backend import keras
from eyebright.settings import Settings
from eyebright.training.muon import Muon
from eyebright.training.objective import weight_matrices


def shrink(weights: Any, threshold: Any) -> None:
    """Move each weight towards zero by a threshold, and those that are smaller to zero (soft threshold).

    After a gradient step this is L1 regularisation done exactly (Beck and Teboulle, "A fast iterative
    shrinkage-thresholding algorithm", 2009).

    Args:
        weights: a variable.
        threshold: scalar, at least 0.
    """
    value, ops = keras.ops.convert_to_tensor(weights.value), keras.ops
    weights.assign(ops.sign(value) * ops.relu(ops.abs(value) - ops.cast(threshold, value.dtype)))


def build_optimizer(settings: Settings, model: keras.Model) -> Any:
    """A Keras optimizer for a model, its slots built.

    `momentum` is SGD with Nesterov momentum (Sutskever et al., 2013); the others have Keras's own parameters. Weight
    decay is decoupled (Loshchilov and Hutter, 2019) and leaves biases and scales alone. `clip_norm` bounds the norm of
    the gradient as a whole.
    """
    arguments: dict[str, Any] = {
        "learning_rate": settings.learning_rate,
        "weight_decay": settings.weight_decay or None,
        "global_clipnorm": settings.clip_norm,
    }
    name = settings.optimizer
    if name == "momentum":
        name, arguments["momentum"], arguments["nesterov"] = "sgd", settings.momentum, True
    if name == "adamw":  # Keras's AdamW has a decay of its own unless it is given one
        arguments["weight_decay"] = settings.weight_decay
    if name == "muon":
        arguments["last_layer"] = model.get_layer("logits").kernel.path
        arguments["momentum"] = settings.momentum
        arguments["batch_size"] = settings.batch_size
        arguments["product_dtype"] = "bfloat16" if settings.precision == "bfloat16" else "float32"
    classes = {key.lower(): value for key, value in vars(keras.optimizers).items()} | {"muon": Muon}
    optimizer = classes[name](**arguments)
    if settings.weight_decay:
        decayed = {id(weights) for weights in weight_matrices(model)}
        optimizer.exclude_from_weight_decay([v for v in model.trainable_variables if id(v) not in decayed])
    optimizer.build(model.trainable_variables)
    return optimizer
