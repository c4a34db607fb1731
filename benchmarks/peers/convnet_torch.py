"""PyTorch: the images resident as one float32 tensor, standardised beforehand, each batch gathered by its rows."""

from __future__ import annotations

import argparse
import os
import tempfile
from typing import Any

import convnet_task
import numpy as np
import torch
from torch import nn


class Network(nn.Module):
    """The task's layers on images [B, C, H, W]."""

    def __init__(self, task: convnet_task.Task) -> None:
        super().__init__()
        inputs = task.images.shape[-1]
        modules = []
        self.summed = {number: layer["with"] for number, layer in enumerate(task.layers) if layer["kind"] == "sum"}
        for layer in task.layers:
            is_sum = layer["kind"] == "sum"  # `forward` adds
            modules.append(nn.Identity() if is_sum else _module(layer, inputs, task.weights_of(layer)))
            inputs = layer["output"][-1]
        self.layers = nn.ModuleList(modules)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x, kept = images, {}
        for number, layer in enumerate(self.layers):
            x = layer(x) if number not in self.summed else x + kept[self.summed[number]]
            if number in self.summed.values():
                kept[number] = x
        return x


class Lambda(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def _module(layer: convnet_task.Layer, inputs: int, weights: list[Any]) -> nn.Module:
    match layer["kind"]:
        case "convolution":
            padding, has_bias = layer["padding"], len(weights) == 2
            module = nn.Conv2d(inputs, layer["filters"], layer["size"], padding=padding, bias=has_bias)
            _set(module.weight, weights[0].transpose(3, 2, 0, 1), layer["kernel_trained"])
            if has_bias:
                _set(module.bias, weights[1], layer["bias_trained"])
            return module
        case "max_pooling":
            return nn.MaxPool2d(layer["size"])
        case "global_max_pooling":
            return Lambda(lambda x: x.amax((2, 3)))
        case "normalization":
            module = nn.BatchNorm2d(inputs, eps=layer["epsilon"], momentum=1 - layer["momentum"])
            module.weight.requires_grad_(layer["scale"])
            module.bias.requires_grad_(layer["center"])
            return module
        case "activation":
            return nn.ReLU() if layer["function"] == "relu" else Lambda(getattr(nn.functional, layer["function"]))
        case "dense":
            module = nn.Linear(inputs, layer["units"], bias=len(weights) == 2)
            _set(module.weight, weights[0].T, layer["kernel_trained"])
            if len(weights) == 2:
                _set(module.bias, weights[1], layer["bias_trained"])
            return module
        case "scaling":
            factor = layer["factor"]
            return Lambda(lambda x: x * factor)
    raise SystemExit(f"no layer {layer['kind']}")


def _set(parameter: nn.Parameter, value: Any, trained: bool) -> None:
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))
    parameter.requires_grad_(trained)


def main() -> None:
    flags = convnet_task.parser(__doc__)
    flags.add_argument("--channels-last", action="store_true")
    flags.add_argument("--compile", action="store_true")
    arguments = flags.parse_args()
    with tempfile.TemporaryDirectory() as compiled:  # each time anew, so that the time to compile is what a user sees
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = compiled
        train(arguments)


def train(arguments: argparse.Namespace) -> None:
    task = convnet_task.read_task(arguments.task)
    memory_format = torch.channels_last if arguments.channels_last else torch.contiguous_format
    network = Network(task).to(memory_format=memory_format)
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=task.learning_rate, momentum=task.momentum, nesterov=True)
    cross_entropy = nn.CrossEntropyLoss(label_smoothing=task.label_smoothing)
    images = torch.from_numpy(task.standardized()).permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
    labels = torch.from_numpy(task.labels.reshape(-1)).long()
    model = torch.compile(network) if arguments.compile else network

    def step(rows: torch.Tensor) -> float:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.precision == "bfloat16"):
            logits = model(images[rows])
        loss = cross_entropy(logits.float(), labels[rows])
        loss.backward()
        optimizer.step()
        return loss.item()

    seconds, losses = convnet_task.timed_steps(step, iter(torch.arange(len(labels)).split(task.batch_size)))
    counted = sum(parameter.numel() for parameter in parameters)
    convnet_task.report(seconds, losses, counted, version=torch.__version__)


if __name__ == "__main__":
    main()
