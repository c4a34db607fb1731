"""What the peers of convnet.py share: one network layer by layer with its weights, and its batches, in one file.

Eyebright writes the file (`convnet_eyebright.py prepare`), from its own model; the peers build the same network from
it, start from the same weights and see the same images. Needs NumPy alone.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Layer = dict[str, Any]
"""A layer: its "kind", the options of this kind, "output" (its shape less the batch) and "weights", names of arrays.

- convolution: filters, size, padding; kernel_trained, bias_trained (none without a bias)
- max_pooling, global_max_pooling: size (of the former)
- normalization: momentum (of the running averages), epsilon, scale, center
- activation: function, by the name that all libraries give it
- dense: units; kernel_trained, bias_trained
- scaling: factor
- sum: with, the place in the list of the layer whose output is added
"""


class Task(NamedTuple):
    """What is trained.

    Attributes:
        images: uint8 [steps, B, H, W, C], the batch of each step, augmented.
        labels: int32 [steps, B].
        mean: of the pixels, float32 [C] or [H, W, C].
        deviation: what they are divided by, of the same shape.
        layers: the network after that.
        weights: the initial ones, by name; kernels [h, w, inputs, filters] and [inputs, units].
        classes: how many there are.
        label_smoothing: probability mass spread over all classes.
        learning_rate: of SGD with Nesterov momentum, constant.
        momentum: of it.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int32]
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]
    layers: list[Layer]
    weights: dict[str, NDArray[np.float32]]
    classes: int
    label_smoothing: float
    learning_rate: float
    momentum: float

    @property
    def batch_size(self) -> int:
        return self.images.shape[1]

    def weights_of(self, layer: Layer) -> list[NDArray[np.float32]]:
        return [self.weights[name] for name in layer["weights"]]

    def standardized(self) -> NDArray[np.float32]:
        """The images of all steps as the network sees them, float32 [steps · B, H, W, C]."""
        pixels = self.images.reshape(-1, *self.images.shape[2:]).astype(np.float32)
        pixels -= self.mean
        pixels /= self.deviation
        return pixels


def write_task(path: Path, task: Task) -> None:
    arrays = {name: getattr(task, name) for name in ("images", "labels", "mean", "deviation")}
    rest = {name: value for name, value in task._asdict().items() if name not in {*arrays, "weights"}}
    weights = {f"weight/{name}": array for name, array in task.weights.items()}
    np.savez(path, **arrays, **weights, rest=np.array(json.dumps(rest)))


def read_task(path: Path) -> Task:
    with np.load(path) as file:
        arrays = {name: file[name] for name in ("images", "labels", "mean", "deviation")}
        weights = {name.removeprefix("weight/"): file[name] for name in file.files if name.startswith("weight/")}
        return Task(**arrays, weights=weights, **json.loads(str(file["rest"])))


def parser(description: str | None) -> argparse.ArgumentParser:
    """The flags that every peer has."""
    flags = argparse.ArgumentParser(description=description)
    flags.add_argument("task", type=Path, help="what `convnet_eyebright.py prepare` wrote")
    flags.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    return flags


def step_flops(layers: list[Layer], weights: dict[str, NDArray[np.float32]], batch_size: int) -> int:
    """Operations of one step in its convolutions and dense layers: forward, and both products of the backward pass.

    A multiplication and an addition count as two. What no gradient needs is not counted: that of a fixed kernel, and
    that of the input of a layer before which nothing is trained.
    """
    total, trained_before = 0, False
    for layer in layers:
        if layer["kind"] in ("convolution", "dense"):
            kernel = weights[layer["weights"][0]]
            places = int(np.prod(layer["output"][:-1]))  # 1 of a dense layer
            forward = 2 * batch_size * places * kernel.size
            total += forward * (1 + trained_before + layer["kernel_trained"])
        trained_before = trained_before or _is_trained(layer)
    return total


def timed_steps(step: Callable[[Any], float], batches: Iterator[Any]) -> tuple[list[float], list[float]]:
    """Train on each batch: the seconds of each step (to the arrival of its loss), and its loss."""
    seconds, losses = [], []
    for batch in batches:
        started = time.perf_counter()
        losses.append(step(batch))
        seconds.append(time.perf_counter() - started)
    return seconds, losses


def report(seconds: list[float], losses: list[float], parameters: int, **figures: Any) -> None:
    """Print the line of JSON that the benchmark reads; `parameters` are those that are trained."""
    figures = {"step_seconds": seconds, "losses": losses, "parameters": int(parameters)} | figures
    print(json.dumps(figures))


def _is_trained(layer: Layer) -> bool:
    if layer["kind"] == "normalization":
        return bool(layer["scale"] or layer["center"])
    return bool(layer.get("kernel_trained") or layer.get("bias_trained"))
