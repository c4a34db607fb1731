"""Keras's own training loop, `fit`, on float32 arrays in memory, standardised beforehand."""

from __future__ import annotations

import time
from typing import Any

import convnet_task
import keras
import numpy as np


class Clock(keras.callbacks.Callback):
    """Seconds and losses of the steps; Keras reports the mean loss since the epoch's beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.losses: list[float] = []
        self._last = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.losses.append((batch + 1) * logs["loss"] - sum(self.losses))
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now


def build(task: convnet_task.Task) -> keras.Model:
    layers = [_layer(layer) for layer in task.layers]
    images = keras.Input(task.images.shape[2:])
    outputs = [images]
    for built, layer in zip(layers, task.layers, strict=True):
        inputs = [outputs[-1], outputs[1 + layer["with"]]] if layer["kind"] == "sum" else outputs[-1]
        outputs.append(built(inputs))
    model = keras.Model(images, outputs[-1])
    for built, layer in zip(layers, task.layers, strict=True):
        if layer["kind"] == "convolution":
            built.kernel.trainable = layer["kernel_trained"]
        for variable, value in zip(built.trainable_weights, _trained_values(task, layer), strict=True):
            variable.assign(value)
        if layer["weights"] and not layer.get("kernel_trained", True):
            built.kernel.assign(task.weights_of(layer)[0])
    return model


def _trained_values(task: convnet_task.Task, layer: convnet_task.Layer) -> list[Any]:
    return task.weights_of(layer) if layer.get("kernel_trained", True) else task.weights_of(layer)[1:]


def _layer(layer: convnet_task.Layer) -> keras.layers.Layer:
    match layer["kind"]:
        case "convolution":
            has_bias = len(layer["weights"]) == 2
            return keras.layers.Conv2D(layer["filters"], layer["size"], padding=layer["padding"], use_bias=has_bias)
        case "max_pooling":
            return keras.layers.MaxPooling2D(layer["size"])
        case "global_max_pooling":
            return keras.layers.GlobalMaxPooling2D()
        case "normalization":
            names = ("momentum", "epsilon", "scale", "center")
            return keras.layers.BatchNormalization(**{name: layer[name] for name in names})
        case "activation":
            return keras.layers.Activation(layer["function"])
        case "dense":
            return keras.layers.Dense(layer["units"], use_bias=len(layer["weights"]) == 2, dtype="float32")
        case "scaling":
            return keras.layers.Rescaling(layer["factor"], dtype="float32")
        case "sum":
            return keras.layers.Add()
    raise SystemExit(f"no layer {layer['kind']}")


def main() -> None:
    arguments = convnet_task.parser(__doc__).parse_args()
    task = convnet_task.read_task(arguments.task)
    if arguments.precision == "bfloat16":
        keras.config.set_dtype_policy("mixed_bfloat16")
    model = build(task)
    model.compile(
        optimizer=keras.optimizers.SGD(task.learning_rate, momentum=task.momentum, nesterov=True),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=task.label_smoothing),
        metrics=["accuracy"],
    )
    images, labels = task.standardized(), np.eye(task.classes, dtype=np.float32)[task.labels.reshape(-1)]
    clock = Clock()
    # In the order given, so that all peers see the same batches; to shuffle would cost nothing that could be seen.
    model.fit(images, labels, batch_size=task.batch_size, epochs=1, shuffle=False, verbose=0, callbacks=[clock])
    parameters = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    convnet_task.report(clock.seconds, clock.losses, parameters)


if __name__ == "__main__":
    main()
