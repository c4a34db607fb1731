"""The optimizer that the settings name, as Keras has it."""

from __future__ import annotations

from typing import Any

from eyebright.backend import keras
from eyebright.settings import Settings
from eyebright.training.objective import weight_matrices


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
    if name == "muon":  # all but matrices it leaves to Adam, which has yet another decay
        arguments["adam_weight_decay"] = arguments["weight_decay"]
    classes = {key.lower(): value for key, value in vars(keras.optimizers).items()}
    optimizer = classes[name](**arguments)
    if settings.weight_decay:
        decayed = {id(weights) for weights in weight_matrices(model)}
        optimizer.exclude_from_weight_decay([v for v in model.trainable_variables if id(v) not in decayed])
    optimizer.build(model.trainable_variables)
    return optimizer
