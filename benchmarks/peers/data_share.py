"""The share of a training step that is work on data: drawing its plan, gathering its images, augmenting them.

In one process, in turns: some steps of the engine as a whole, and the data work of the same steps alone, by the same
functions in a compiled call of its own. The share is (plan + data work alone) ÷ (plan + whole steps); in a step, too,
one operation runs after the other.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from convnet_eyebright import Training, build

from eyebright.backend import tf
from eyebright.training.augmentation.apply import apply

SECONDS_OF_A_CALL = 0.5  # about, as in training
MANY = 100_000  # steps, more than are ever taken


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("data", type=Path)
    flags.add_argument("--preset", default="default-cnn")
    flags.add_argument("--calls", type=int, default=12)
    arguments = flags.parse_args()
    training = build(arguments.preset, arguments.data, MANY, "auto", {})
    data_work = compiled_data_work(training)
    turn(training, data_work, np.arange(1))  # compiles
    whole, _ = turn(training, data_work, np.arange(1, 3))
    steps = max(1, int(SECONDS_OF_A_CALL / (whole / 2)))
    turns = [
        turn(training, data_work, np.arange(first, first + steps))
        for first in range(3, 3 + arguments.calls * steps, steps)
    ]
    print(
        json.dumps(
            {
                "share": median(alone / whole for whole, alone in turns),
                "step_seconds": median(whole / steps for whole, _ in turns),
                "data_seconds": median(alone / steps for _, alone in turns),
                "augment": training.settings.augment,
                "batch_size": training.settings.batch_size,
                "precision": training.settings.precision,
            }
        )
    )


def compiled_data_work(training: Training) -> Any:
    """A function of the plan of some steps that does their data work and nothing else."""
    policy, classes = training.plan.policy, training.model.output.shape[1]
    images = tf.convert_to_tensor(training.dataset.images)
    labels = tf.convert_to_tensor(training.dataset.labels)
    shape = [training.settings.batch_size, *training.dataset.image_shape]

    @tf.function
    def of_steps(images: Any, labels: Any, rows: Any, augmentation: dict[str, Any]) -> Any:
        total = tf.zeros([], tf.int32)
        for i in tf.range(tf.shape(rows)[0]):
            batch = tf.ensure_shape(tf.gather(images, rows[i]), shape)
            targets = tf.one_hot(tf.gather(labels, rows[i]), classes)
            parameters = {name: array[i] for name, array in augmentation.items()}
            batch, targets = apply(policy, batch, targets, parameters)
            total += tf.cast(batch[0, 0, 0, 0], tf.int32) + tf.cast(targets[0, 0], tf.int32)  # so that none is skipped
        return total

    return lambda steps: of_steps(images, labels, steps.rows, steps.augmentation).numpy()


def turn(training: Training, data_work: Any, numbers: Any) -> tuple[float, float]:
    """Seconds of whole steps of these numbers, and of their data work alone; the plan is in both."""
    started = time.perf_counter()
    steps = training.plan.steps(numbers)
    planned = time.perf_counter()
    training.engine.train(steps)
    trained = time.perf_counter()
    data_work(steps)
    alone = time.perf_counter() - trained
    return trained - started, planned - started + alone


if __name__ == "__main__":
    main()
