"""Eyebright's own steps, from its own engine, on CIFAR-10 with augmentation, as `eyebright train` takes them.

    convnet_eyebright.py prepare DATA task.npz   writes the network, its weights and its batches for the peers
    convnet_eyebright.py run DATA [--same-work]  trains and times each step: drawing its plan, gathering, augmentation
                                                 and the compiled step

With --same-work it trains as the peers do, by plain SGD with Nesterov momentum at a constant rate; without, exactly as
the preset says.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import convnet_task
import numpy as np

from eyebright import load_dataset, preset_settings
from eyebright.backend import keras
from eyebright.data.dataset import Dataset
from eyebright.data.split import split_dataset
from eyebright.models import measure
from eyebright.models.layers import Standardize
from eyebright.settings import Settings
from eyebright.training import preparation
from eyebright.training.engine_tensorflow import TensorFlowEngine
from eyebright.training.plan import Plan
from eyebright.training.preparation import build_engine, settle

# What a plain training loop of any library does, in the place of what the preset does.
SAME_WORK = {
    "optimizer": "momentum",
    "momentum": 0.9,
    "learning_rate": 0.05,
    "schedule": "constant",
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "l1": 0.0,
    "l2": 0.0,
    "clip_norm": None,
    "averaging": "none",
    "accumulate": 1,
    "dropout": 0.0,
}


class Training(NamedTuple):
    """A run about to begin, put together as `eyebright.training.trainer` does."""

    model: keras.Model
    engine: TensorFlowEngine
    plan: Plan
    settings: Settings
    dataset: Dataset


def build(preset: str, data: Path, steps: int, precision: str, changes: Mapping[str, Any]) -> Training:
    chosen = {**preset_settings(preset, max_steps=steps, precision=precision).to_dict(), **changes}
    settings = Settings(**{name: value for name, value in chosen.items() if value is not None})
    dataset = load_dataset(data)
    training = split_dataset(dataset, **settings.split).train
    settings, _ = settle(settings, dataset, training)
    model = preparation.build(settings, dataset)
    measure(model, dataset.images, training)
    plan, engine = build_engine(model, settings, dataset, training, None)
    return Training(model, engine, plan, settings, dataset)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = flags.add_subparsers(dest="command", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("data", type=Path)
    common.add_argument("--preset", default="default-cnn")
    common.add_argument("--precision", default="auto")
    common.add_argument("--steps", type=int, default=12)
    common.add_argument("--batch-size", type=int, help="the preset's if not given")
    commands.add_parser("prepare", parents=[common]).add_argument("task", type=Path)
    commands.add_parser("run", parents=[common]).add_argument("--same-work", action="store_true")
    arguments = flags.parse_args()
    changes: dict[str, Any] = dict(SAME_WORK) if arguments.command == "prepare" or arguments.same_work else {}
    if arguments.batch_size:
        changes["batch_size"] = arguments.batch_size
    training = build(arguments.preset, arguments.data, arguments.steps, arguments.precision, changes)
    if arguments.command == "prepare":
        convnet_task.write_task(arguments.task, describe(training, arguments.steps))
    else:
        run(training, arguments.steps)


def run(training: Training, steps: int) -> None:
    engine, plan = training.engine, training.plan

    def step(number: int) -> float:
        return float(engine.train(plan.steps(np.arange(number, number + 1))).losses[0])

    seconds, losses = convnet_task.timed_steps(step, iter(range(steps)))
    settings = training.settings
    parameters = sum(int(np.prod(variable.shape)) for variable in training.model.trainable_variables)
    convnet_task.report(seconds, losses, parameters, precision=settings.precision, optimizer=settings.optimizer)


def describe(training: Training, steps: int) -> convnet_task.Task:
    model, settings, dataset = training.model, training.settings, training.dataset
    plans = [training.plan.steps(np.arange(number, number + 1)) for number in range(steps)]
    weights: dict[str, Any] = {}
    layers: list[convnet_task.Layer] = []
    names_so_far: list[str] = []
    mean, deviation = np.zeros(1), np.ones(1)
    for layer in model.layers[1:]:  # the first is the input
        if isinstance(layer, Standardize):
            mean = np.asarray(layer.mean)
            deviation = np.asarray(layer.standard_deviation) if layer.method == "per-channel" else np.ones_like(mean)
            continue
        variables = _network_weights(layer)
        weights |= {variable.path: np.asarray(variable.value) for variable in variables}
        names = [variable.path for variable in variables]
        names_so_far.append(layer.name)
        layers.append(
            {**_describe_layer(layer, names_so_far), "output": list(layer.output.shape[1:]), "weights": names}
        )
    return convnet_task.Task(
        images=np.stack([training.engine.example_images(plan) for plan in plans]),
        labels=np.stack([dataset.labels[plan.rows[0]] for plan in plans]),
        mean=np.asarray(mean, np.float32),
        deviation=np.asarray(deviation, np.float32),
        layers=layers,
        weights=weights,
        classes=len(dataset.class_names),
        label_smoothing=settings.label_smoothing,
        learning_rate=settings.learning_rate,
        momentum=settings.momentum,
    )


def _describe_layer(layer: keras.layers.Layer, names: list[str]) -> convnet_task.Layer:
    """A layer; `names` are of the layers so far, it included."""
    match layer:
        case keras.layers.Conv2D(strides=(1, 1)):
            options = {"filters": layer.filters, "size": list(layer.kernel_size), "padding": layer.padding}
            return {"kind": "convolution", **options, **_trained(layer)}
        case keras.layers.MaxPooling2D(padding="valid") if layer.strides == layer.pool_size:
            return {"kind": "max_pooling", "size": layer.pool_size[0]}
        case keras.layers.GlobalMaxPooling2D():
            return {"kind": "global_max_pooling"}
        case keras.layers.BatchNormalization():
            names = ("momentum", "epsilon", "scale", "center")
            return {"kind": "normalization", **{name: getattr(layer, name) for name in names}}
        case keras.layers.Activation():
            return {"kind": "activation", "function": layer.activation.__name__}
        case keras.layers.Dense():
            return {"kind": "dense", "units": layer.units, **_trained(layer)}
        case keras.layers.Rescaling(offset=0.0):
            return {"kind": "scaling", "factor": layer.scale}
        case keras.layers.Add():
            summed = [tensor._keras_history.operation.name for tensor in layer.input]
            if len(summed) == 2 and names[-2] in summed:  # the peers go from each layer to the next
                return {"kind": "sum", "with": names.index(next(name for name in summed if name != names[-2]))}
    raise SystemExit(f"layer {layer.name} ({type(layer).__name__}): the peers of convnet.py have to be taught it")


def _trained(layer: Any) -> dict[str, bool]:
    bias = layer.bias if layer.use_bias else None
    return {"kernel_trained": layer.kernel.trainable, "bias_trained": bias is not None and bias.trainable}


def _network_weights(layer: keras.layers.Layer) -> list[Any]:
    """The weights that a gradient may change, kernels before biases; not the running averages of normalisations."""
    averages = layer.non_trainable_variables if isinstance(layer, keras.layers.BatchNormalization) else []
    weights = [variable for variable in layer.variables if not any(variable is average for average in averages)]
    return sorted(weights, key=lambda variable: -len(variable.shape))


if __name__ == "__main__":
    main()
