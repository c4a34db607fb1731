"""Keras's own training loop, `fit`, on float32 arrays in memory."""

from __future__ import annotations

import time
from typing import Any

import keras
import task


def dense(units: int, fan_in: int, **options: Any) -> keras.layers.Dense:
    return keras.layers.Dense(
        units,
        kernel_initializer=keras.initializers.TruncatedNormal(stddev=fan_in**-0.5),
        kernel_regularizer=keras.regularizers.L2(task.L2 / 2),  # Keras's L2 has no ½
        **options,
    )


def main() -> None:
    flags = task.parser(__doc__)
    flags.add_argument("--steps-per-execution", type=int, default=1)
    arguments = flags.parse_args()
    data = task.read_data(arguments.data)
    keras.utils.set_random_seed(arguments.seed)
    model = keras.Sequential(
        [
            keras.layers.Input((task.PIXELS,)),
            dense(task.HIDDEN_UNITS, task.PIXELS, activation="relu"),
            dense(task.CLASSES, task.HIDDEN_UNITS),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.SGD(task.LEARNING_RATE),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
        steps_per_execution=arguments.steps_per_execution,
    )
    started = time.perf_counter()
    model.fit(
        data.train_images,
        data.train_labels,
        batch_size=task.BATCH_SIZE,
        epochs=arguments.steps // task.STEPS_PER_EPOCH,
        verbose=0,
    )
    train_seconds = time.perf_counter() - started
    test = model.evaluate(data.test_images, data.test_labels, batch_size=task.BATCH_SIZE, verbose=0, return_dict=True)
    task.report(train_seconds, test_accuracy=test["accuracy"])


if __name__ == "__main__":
    main()
