"""JAX: the layers as plain functions of arrays [B, H, W, C], a step compiled as a whole."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import convnet_task
import jax
import jax.numpy as jnp
from jax import lax

_NUMBERS = ("NHWC", "HWIO", "NHWC")
Arrays = dict[str, Any]
State = tuple[Arrays, Arrays, Arrays]


def forward(task: convnet_task.Task, weights: Arrays, averages: Arrays, x: Any, dtype: Any) -> tuple[Any, Arrays]:
    """Logits of a batch in training, and the new running averages of the normalisations."""
    x = x.astype(dtype)
    updated: Arrays = {}
    outputs: list[Any] = []
    for number, layer in enumerate(task.layers):
        own = [weights[name] for name in layer["weights"]]
        match layer["kind"]:
            case "convolution":
                kernel, *bias = (weight.astype(dtype) for weight in own)
                x = lax.conv_general_dilated(x, kernel, (1, 1), layer["padding"].upper(), dimension_numbers=_NUMBERS)
                x = x + bias[0] if bias else x
            case "max_pooling":
                window = (1, layer["size"], layer["size"], 1)
                x = lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")
            case "global_max_pooling":
                x = x.max((1, 2))
            case "normalization":
                x, updated[str(number)] = normalize(layer, own, averages[str(number)], x)
            case "activation":
                x = getattr(jax.nn, layer["function"])(x)
            case "dense":
                x = x.astype(jnp.float32) @ own[0]
                x = x + own[1] if len(own) == 2 else x
            case "scaling":
                x = x * layer["factor"]
            case "sum":
                x = x + outputs[layer["with"]]
            case kind:
                raise SystemExit(f"no layer {kind}")
        outputs.append(x)
    return x, updated


def normalize(layer: convnet_task.Layer, own: list[Any], averages: tuple[Any, Any], x: Any) -> tuple[Any, Any]:
    wide = x.astype(jnp.float32)
    mean, variance = wide.mean((0, 1, 2)), wide.var((0, 1, 2))
    own = list(own)
    scale = own.pop(0) if layer["scale"] else 1.0
    offset = own.pop(0) if layer["center"] else 0.0
    normalized = (wide - mean) * (lax.rsqrt(variance + layer["epsilon"]) * scale) + offset
    kept = layer["momentum"]
    return normalized.astype(x.dtype), tuple(
        kept * average + (1 - kept) * new for average, new in zip(averages, (mean, variance), strict=True)
    )


def compiled_step(task: convnet_task.Task, dtype: Any, fixed: Arrays) -> Callable[..., Any]:
    """A function of (trained weights, their momenta, averages) and a batch to those after the step, and the loss."""

    def loss_of(trained: Arrays, averages: Arrays, images: Any, labels: Any) -> tuple[Any, Arrays]:
        logits, updated = forward(task, trained | fixed, averages, images, dtype)
        targets = jax.nn.one_hot(labels, task.classes) * (1 - task.label_smoothing)
        targets = targets + task.label_smoothing / task.classes
        return -(targets * jax.nn.log_softmax(logits)).sum(-1).mean(), updated

    @partial(jax.jit, donate_argnums=0)
    def step(state: State, images: Any, labels: Any) -> tuple[State, Any]:
        trained, momenta, averages = state
        (loss, averages), gradient = jax.value_and_grad(loss_of, has_aux=True)(trained, averages, images, labels)
        momenta = {name: task.momentum * momenta[name] + gradient[name] for name in trained}
        trained = {
            name: weight - task.learning_rate * (gradient[name] + task.momentum * momenta[name])
            for name, weight in trained.items()
        }
        return (trained, momenta, averages), loss

    return step


def fixed_names(task: convnet_task.Task) -> set[str]:
    fixed = set()
    for layer in task.layers:
        for name, key in zip(layer["weights"], ("kernel_trained", "bias_trained"), strict=False):
            if not layer.get(key, True):
                fixed.add(name)
    return fixed


def main() -> None:
    arguments = convnet_task.parser(__doc__).parse_args()
    task = convnet_task.read_task(arguments.task)
    weights = {name: jnp.asarray(value) for name, value in task.weights.items()}
    fixed = {name: weights[name] for name in fixed_names(task)}
    trained = {name: weight for name, weight in weights.items() if name not in fixed}
    momenta = {name: jnp.zeros_like(weight) for name, weight in trained.items()}
    averages = {
        str(number): (jnp.zeros(layer["output"][-1]), jnp.ones(layer["output"][-1]))
        for number, layer in enumerate(task.layers)
        if layer["kind"] == "normalization"
    }
    images, labels = jnp.asarray(task.standardized()), jnp.asarray(task.labels.reshape(-1))
    train_step = compiled_step(task, jnp.dtype(arguments.precision), fixed)
    state = (trained, momenta, averages)

    def step(first: int) -> float:
        nonlocal state
        last = first + task.batch_size
        state, loss = train_step(state, images[first:last], labels[first:last])
        return float(loss)

    seconds, losses = convnet_task.timed_steps(step, iter(range(0, len(labels), task.batch_size)))
    parameters = sum(task.weights[name].size for name in trained)
    convnet_task.report(seconds, losses, parameters, version=jax.__version__)


if __name__ == "__main__":
    main()
