"""k training steps in one compiled call, on TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np

from eyebright.backend import keras, tf
from eyebright.models import first_layer
from eyebright.training.augmentation.apply import apply
from eyebright.training.engine import Engine, StepRecords
from eyebright.training.feed import Part
from eyebright.training.gradient import BatchGradient
from eyebright.training.optimizers import shrink


class TensorFlowEngine(Engine):
    """Trains in a compiled loop of TensorFlow's.

    A step gathers its images inside the compiled call, from all pixels or, where they are streamed, from those of some
    steps (see `feed`). They are an argument of the call, not a constant in it: a constant would be copied and folded.

    Args: see `Engine`.
    """

    def _prepare(self) -> None:
        settings, dataset = self._settings, self._dataset
        self._gradient = BatchGradient(self.model, self._objective, settings.accumulate, settings.seed)
        augmentation = {
            name: tf.TensorSpec([None, *array.shape[1:]], array.dtype)
            for name, array in self._plan.steps(np.arange(1)).augmentation.items()
        }
        self._compiled_step = tf.function(
            self._step,
            input_signature=[
                tf.TensorSpec([settings.batch_size, *dataset.image_shape], tf.uint8, "images"),
                tf.TensorSpec([settings.batch_size], tf.int32, "labels"),
                {name: tf.TensorSpec(spec.shape[1:], spec.dtype, name) for name, spec in augmentation.items()},
                tf.TensorSpec([], tf.float32, "decay"),
                tf.TensorSpec([], tf.int64, "step"),
            ],
            autograph=False,  # nothing in it depends on a tensor's value; to look for it takes a quarter of a second
        )
        self._compiled_steps = tf.function(
            self._steps,
            input_signature=[
                tf.TensorSpec([None, *dataset.image_shape], tf.uint8),
                tf.TensorSpec([None], tf.int32),
                tf.TensorSpec([None, settings.batch_size], tf.int32),
                tf.TensorSpec([None], tf.float32),
                tf.TensorSpec([None], tf.float32),
                augmentation,
                tf.TensorSpec([None], tf.int64),
            ],
            autograph=False,
        )

    def _train_part(self, part: Part) -> StepRecords:
        steps = part.steps
        records = self._compiled_steps(
            part.images,
            part.labels,
            part.rows,
            steps.learning_rates,
            steps.decays,
            steps.augmentation,
            steps.numbers,
        )
        return StepRecords(*(record.numpy() for record in records))

    def graph(self) -> bytes:
        """One step as a serialised GraphDef, for TensorBoard: it shows nothing of what is within the compiled loop."""
        step = self._compiled_step.get_concrete_function()
        serialised: bytes = step.graph.as_graph_def().SerializeToString()
        return serialised

    def _steps(
        self,
        images: Any,
        labels: Any,
        rows: Any,
        learning_rates: Any,
        decays: Any,
        augmentation: dict[str, Any],
        numbers: Any,
    ) -> Any:
        """The loop that is compiled. Written out, as for TensorFlow to make one of a `for` takes it 0.3 s."""
        k = tf.shape(rows)[0]
        dtype = self.model.output.dtype

        def train_one(i: Any, losses: Any, accuracies: Any, _: Any) -> Any:
            self._optimizer.learning_rate.assign(learning_rates[i])
            batch = rows[i]  # [B]
            loss, accuracy, logits = self._compiled_step(
                tf.gather(images, batch),
                tf.gather(labels, batch),
                {name: parameter[i] for name, parameter in augmentation.items()},
                decays[i],
                numbers[i],
            )
            return i + 1, losses.write(i, loss), accuracies.write(i, accuracy), logits

        records = tf.TensorArray(dtype, k), tf.TensorArray(tf.float32, k)
        logits = tf.zeros([rows.shape[1], self.model.output.shape[1]], dtype)
        _, losses, accuracies, logits = tf.while_loop(lambda i, *_: i < k, train_one, (0, *records, logits))
        return losses.stack(), accuracies.stack(), logits

    def _step(
        self, images: Any, labels: Any, augmentation: dict[str, Any], decay: Any, step: Any
    ) -> tuple[Any, Any, Any]:
        """One step: the loss of a batch, its gradient, and the optimizer's change of the weights."""
        with tf.name_scope("augmentation"):  # a box in TensorBoard's picture of the graph
            images, targets = apply(self._policy, images, self._targets(labels), augmentation)
        loss, logits, gradient = self._gradient(images, targets, step)
        with tf.name_scope("optimizer"):
            self._optimizer.apply(gradient, self.model.trainable_variables)
            if self._settings.l1 and first_layer(self.model).trainable:
                shrink(first_layer(self.model).kernel, self._settings.l1 * self._optimizer.learning_rate)
            if self._average:
                self._average.update(decay)
        with tf.name_scope("accuracy"):
            right = tf.argmax(logits, axis=1) == tf.argmax(targets, axis=1)  # of a mixed image, its larger part
            accuracy = tf.reduce_mean(tf.cast(right, tf.float32))
        return loss, accuracy, logits

    def _targets(self, labels: Any) -> Any:
        return keras.ops.one_hot(labels, self.model.output.shape[1], dtype=self.model.output.dtype)
