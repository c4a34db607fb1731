"""PyTorch's way: the training set resident as one float32 tensor, a batch gathered by its rows each step."""

from __future__ import annotations

import time

import task
import torch


def dense(inputs: int, outputs: int) -> torch.nn.Linear:
    layer = torch.nn.Linear(inputs, outputs)
    deviation = inputs**-0.5
    torch.nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
    torch.nn.init.zeros_(layer.bias)
    return layer


def train(model: torch.nn.Module, images: torch.Tensor, labels: torch.Tensor, steps: int) -> None:
    weights = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    biases = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    # In plain SGD weight decay is the gradient of l2 · ½‖W‖², to the letter.
    groups = [{"params": weights, "weight_decay": task.L2}, {"params": biases}]
    optimizer = torch.optim.SGD(groups, lr=task.LEARNING_RATE)
    cross_entropy = torch.nn.CrossEntropyLoss()
    for _ in range(steps // task.STEPS_PER_EPOCH):
        for rows in torch.randperm(len(labels)).split(task.BATCH_SIZE):
            optimizer.zero_grad()
            cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()


def main() -> None:
    arguments = task.parser(__doc__).parse_args()
    data = task.read_data(arguments.data)
    torch.manual_seed(arguments.seed)
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels).long()
    model = torch.nn.Sequential(
        dense(task.PIXELS, task.HIDDEN_UNITS), torch.nn.ReLU(), dense(task.HIDDEN_UNITS, task.CLASSES)
    )
    started = time.perf_counter()
    train(model, images, labels, arguments.steps)
    train_seconds = time.perf_counter() - started
    with torch.inference_mode():
        predictions = model(torch.from_numpy(data.test_images)).argmax(dim=1).numpy()
    test_accuracy = float((predictions == data.test_labels).mean())
    task.report(train_seconds, test_accuracy=test_accuracy, torch=torch.__version__)


if __name__ == "__main__":
    main()
