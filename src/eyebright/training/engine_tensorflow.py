"""k training steps in one compiled call, on TensorFlow."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.backend import keras, tf
from eyebright.data.dataset import Dataset
from eyebright.models.inference import compiled_logits
from eyebright.randomness import Stream, random_words
from eyebright.settings import Settings
from eyebright.training.objective import cross_entropy, l2_penalty


class StepRecords(NamedTuple):
    """What k steps report, each figure of the batch before the step changed the weights.

    Attributes:
        losses: float [k].
        accuracies: float32 [k].
        logits: float [B, classes], of the last of the steps.
    """

    losses: NDArray[np.floating]
    accuracies: NDArray[np.float32]
    logits: NDArray[np.floating]


class TensorFlowEngine:
    """Trains a model on a data set whose uint8 pixels lie in memory, in TensorFlow's own copy of them.

    A step gathers its images from these pixels inside the compiled call, so that no batch is ever built by Python. The
    pixels are an argument of the call, not a constant in it: TensorFlow would copy and fold a constant.

    Args:
        model: uint8 [B, H, W, C] → logits [B, classes].
        optimizer: a Keras optimizer.
        settings: `l2`, `label_smoothing` and `seed` are read.
        dataset: where the images come from.
    """

    def __init__(self, model: keras.Model, optimizer: Any, settings: Settings, dataset: Dataset) -> None:
        self.model = model
        self.optimizer = optimizer
        self._settings = settings
        with tf.device("CPU"):
            self._images = tf.convert_to_tensor(dataset.images)  # uint8 [N, H, W, C]
            self._labels = tf.convert_to_tensor(dataset.labels)  # int32 [N]
        self._dropout_seeds = _dropout_seeds(model, settings.seed)
        self._compiled_step = tf.function(
            self._step,
            input_signature=[
                tf.TensorSpec([settings.batch_size, *dataset.image_shape], tf.uint8, "images"),
                tf.TensorSpec([settings.batch_size], tf.int32, "labels"),
                tf.TensorSpec([], tf.int64, "step"),
            ],
            autograph=False,  # nothing in it depends on a tensor's value; to look for it takes a quarter of a second
        )
        self._compiled_steps = tf.function(
            self._steps,
            input_signature=[
                tf.TensorSpec(self._images.shape, tf.uint8),
                tf.TensorSpec(self._labels.shape, tf.int32),
                tf.TensorSpec([None, settings.batch_size], tf.int32),
                tf.TensorSpec([None], tf.float32),
                tf.TensorSpec([], tf.int64),
            ],
        )
        self._dataset = dataset
        self._logits = compiled_logits(model)

    def train(self, rows: NDArray[np.int32], learning_rates: NDArray[np.float32], first_step: int) -> StepRecords:
        """Train k steps.

        Args:
            rows: int32 [k, B], which images make each step.
            learning_rates: float32 [k].
            first_step: number of the first of these steps.
        """
        records = self._compiled_steps(self._images, self._labels, rows, learning_rates, first_step)
        return StepRecords(*(record.numpy() for record in records))

    def logits(self, indices: NDArray[np.int64]) -> NDArray[np.floating]:
        """Logits [n, classes] of some images, as in inference."""
        return self._logits(self._dataset.images, indices)

    def labels(self, indices: NDArray[np.int64]) -> NDArray[np.int32]:
        """Labels int32 [n] of some images."""
        return self._dataset.labels[indices]

    def example_images(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Pixels uint8 [n, H, W, C] of some images."""
        return self._dataset.images[indices]

    def graph(self) -> bytes:
        """One step as a serialised GraphDef, for TensorBoard: it shows nothing of what is within the compiled loop."""
        step = self._compiled_step.get_concrete_function()
        serialised: bytes = step.graph.as_graph_def().SerializeToString()
        return serialised

    def _steps(self, images: Any, labels: Any, rows: Any, learning_rates: Any, first_step: Any) -> Any:
        """The loop that is compiled: TensorFlow turns this `for` over a tensor into one of its own."""
        k = tf.shape(rows)[0]
        dtype = self.model.output.dtype
        losses = tf.TensorArray(dtype, k)
        accuracies = tf.TensorArray(tf.float32, k)
        logits = tf.zeros([rows.shape[1], self.model.output.shape[1]], dtype)
        for i in tf.range(k):
            self.optimizer.learning_rate.assign(learning_rates[i])
            batch = rows[i]  # [B]
            loss, accuracy, logits = self._compiled_step(
                tf.gather(images, batch), tf.gather(labels, batch), first_step + tf.cast(i, tf.int64)
            )
            losses = losses.write(i, loss)
            accuracies = accuracies.write(i, accuracy)
        return losses.stack(), accuracies.stack(), logits

    def _step(self, images: Any, labels: Any, step: Any) -> tuple[Any, Any, Any]:
        """One step: the loss of a batch, its gradient, and the optimizer's change of the weights."""
        for state, key in self._dropout_seeds:
            state.assign(tf.stack([tf.constant(key, state.dtype), tf.cast(step, state.dtype)]))
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)  # [B, classes]
            with tf.name_scope("loss"):  # a box in TensorBoard's picture of the graph
                loss = cross_entropy(logits, labels, self._settings.label_smoothing)
                if self._settings.l2:
                    loss += l2_penalty(self.model, self._settings.l2)
        variables = self.model.trainable_variables
        with tf.name_scope("gradient"):
            gradient = tape.gradient(loss, [variable.value for variable in variables])
        with tf.name_scope("optimizer"):
            self.optimizer.apply(gradient, variables)
        with tf.name_scope("accuracy"):
            predicted = tf.argmax(logits, axis=1, output_type=tf.int32)
            accuracy = tf.reduce_mean(tf.cast(predicted == labels, tf.float32))
        return loss, accuracy, logits


def _dropout_seeds(model: keras.Model, seed: int) -> list[tuple[Any, int]]:
    """The state of each dropout layer, and the key that the run's seed gives it.

    Keras counts that state up in each call and restores it from no file; it is set before each step instead, to
    (key, step), so that a step's dropout depends on the seed and the step alone.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    keys = random_words(seed, Stream.DROPOUT, 0, len(layers)) >> np.uint64(33)  # 31 bits fit any integer type
    return [(layer.seed_generator.state, int(key)) for layer, key in zip(layers, keys, strict=True)]
