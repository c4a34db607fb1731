"""The tutorial's way, in TensorFlow 2: Python shuffles, cuts the batches and feeds each to a compiled step."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import task
import tensorflow as tf


class Network(tf.Module):
    """3072 → 120 ReLU → 10, with the tutorial's loss and optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.w1 = tf.Variable(tf.random.truncated_normal([task.PIXELS, task.HIDDEN_UNITS], stddev=task.PIXELS**-0.5))
        self.b1 = tf.Variable(tf.zeros([task.HIDDEN_UNITS]))
        self.w2 = tf.Variable(
            tf.random.truncated_normal([task.HIDDEN_UNITS, task.CLASSES], stddev=task.HIDDEN_UNITS**-0.5)
        )
        self.b2 = tf.Variable(tf.zeros([task.CLASSES]))
        self.global_step = tf.Variable(0, dtype=tf.int64, trainable=False)

    def logits(self, images: Any) -> Any:
        return tf.nn.relu(images @ self.w1 + self.b1) @ self.w2 + self.b2

    def loss(self, logits: Any, labels: Any) -> Any:
        cross_entropy = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        return cross_entropy + task.L2 * (tf.nn.l2_loss(self.w1) + tf.nn.l2_loss(self.w2))

    @tf.function
    def measure(self, images: Any, labels: Any) -> Any:
        """Logits, loss and accuracy of a batch."""
        logits = self.logits(images)
        hits = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
        return logits, self.loss(logits, labels), tf.reduce_mean(tf.cast(hits, tf.float32))

    @tf.function
    def train_step(self, images: Any, labels: Any) -> None:
        weights = [self.w1, self.b1, self.w2, self.b2]
        with tf.GradientTape() as tape:
            loss = self.loss(self.logits(images), labels)
        for weight, gradient in zip(weights, tape.gradient(loss, weights), strict=True):
            weight.assign_sub(task.LEARNING_RATE * gradient)
        self.global_step.assign_add(1)


def batches(data: task.Data, steps: int, seed: int) -> Iterator[tuple[Any, Any]]:
    """Walk the shuffled training set front to back, and shuffle it again at its end."""
    generator = np.random.default_rng(seed)
    start = count = len(data.train_labels)
    for _ in range(steps):
        if start + task.BATCH_SIZE > count:
            order, start = generator.permutation(count), 0
        rows = order[start : start + task.BATCH_SIZE]
        yield data.train_images[rows], data.train_labels[rows]
        start += task.BATCH_SIZE


def train(network: Network, data: task.Data, steps: int, seed: int, run_dir: Path) -> None:
    manager = tf.train.CheckpointManager(tf.train.Checkpoint(network=network), str(run_dir), max_to_keep=5)
    with tf.summary.create_file_writer(str(run_dir)).as_default():
        for step, (images, labels) in enumerate(batches(data, steps, seed)):
            if step % 100 == 0:
                logits, loss, accuracy = network.measure(images, labels)
                print(f"Step {step}, training accuracy {accuracy.numpy():g}")
                tf.summary.scalar("loss", loss, step)
                tf.summary.scalar("train_accuracy", accuracy, step)
                tf.summary.histogram("logits", logits, step)
            network.train_step(images, labels)
            if (step + 1) % 1000 == 0:
                manager.save(checkpoint_number=step + 1)


def main() -> None:
    arguments = task.parser(__doc__).parse_args()
    data = task.read_data(arguments.data)
    tf.random.set_seed(arguments.seed)
    network = Network()
    with tempfile.TemporaryDirectory() as run_dir:
        started = time.perf_counter()
        train(network, data, arguments.steps, arguments.seed, Path(run_dir))
        train_seconds = time.perf_counter() - started
    _, _, accuracy = network.measure(data.test_images, data.test_labels)
    task.report(train_seconds, test_accuracy=float(accuracy))


if __name__ == "__main__":
    main()
