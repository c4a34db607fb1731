"""k training steps in one compiled call, on TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.backend import keras, tf
from eyebright.data.dataset import Dataset
from eyebright.models import first_layer
from eyebright.models.inference import compiled_logits
from eyebright.settings import Settings
from eyebright.training.augmentation.apply import apply
from eyebright.training.averaging import build_average
from eyebright.training.checkpoint import training_variables
from eyebright.training.feed import Part, build_feed
from eyebright.training.gradient import BatchGradient
from eyebright.training.objective import Objective
from eyebright.training.optimizers import shrink
from eyebright.training.plan import Plan, Steps
from eyebright.training.preview import augmented_batch


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
    """Trains a model on a data set's uint8 pixels.

    A step gathers its images inside the compiled call, from all pixels or, where they are streamed, from those of some
    steps (see `feed`). They are an argument of the call, not a constant in it: a constant would be copied and folded.

    Args:
        model: uint8 [B, H, W, C] → logits [B, classes].
        optimizer: a Keras optimizer.
        settings: those of the objective, `averaging`, `accumulate` and `seed` are read.
        dataset: where the images come from.
        plan: of the run, whose steps are trained.
        objective: what a batch is measured by.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: Any,
        settings: Settings,
        dataset: Dataset,
        plan: Plan,
        objective: Objective,
    ) -> None:
        self.model = model
        self._optimizer = optimizer
        self._average = build_average(settings, model)
        self._policy = plan.policy
        self._gradient = BatchGradient(model, objective, settings.accumulate, settings.seed)
        self._l1 = settings.l1
        self._dataset = dataset
        self._feed = build_feed(dataset, plan)
        augmentation = {
            name: tf.TensorSpec([None, *array.shape[1:]], array.dtype)
            for name, array in plan.steps(np.arange(1)).augmentation.items()
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
        self._logits = compiled_logits(model)

    @property
    def variables(self) -> dict[str, Any]:
        """All variables of the training by name, for its checkpoints."""
        return training_variables(self.model, self._optimizer, self._average.variables if self._average else {})

    def train(self, steps: Steps) -> StepRecords:
        """Train k steps."""
        records = [self._train_part(part) for part in self._feed.parts(steps)]
        losses, accuracies = (np.concatenate(figures) for figures in list(zip(*records, strict=True))[:2])
        return StepRecords(losses, accuracies, records[-1].logits)

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

    @contextlib.contextmanager
    def final_weights(self) -> Iterator[None]:
        """For as long as this lasts the model has the weights that are validated and saved: the average, if any."""
        with self._average.in_place() if self._average else contextlib.nullcontext():
            yield

    def logits(self, indices: NDArray[np.int64]) -> NDArray[np.floating]:
        """Logits [n, classes] of some images, as in inference."""
        with self.final_weights():
            return self._logits(self._dataset.images, indices)

    def labels(self, indices: NDArray[np.int64]) -> NDArray[np.int32]:
        """Labels int32 [n] of some images."""
        return self._dataset.labels[indices]

    def example_images(self, steps: Steps) -> NDArray[np.uint8]:
        """Pixels uint8 [B, H, W, C] of the first of some steps, as the model sees them."""
        pixels: NDArray[np.uint8] = augmented_batch(self._policy, self._dataset, steps, 0)[0]
        return pixels

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
            if self._l1 and first_layer(self.model).trainable:
                shrink(first_layer(self.model).kernel, self._l1 * self._optimizer.learning_rate)
            if self._average:
                self._average.update(decay)
        with tf.name_scope("accuracy"):
            right = tf.argmax(logits, axis=1) == tf.argmax(targets, axis=1)  # of a mixed image, its larger part
            accuracy = tf.reduce_mean(tf.cast(right, tf.float32))
        return loss, accuracy, logits

    def _targets(self, labels: Any) -> Any:
        return keras.ops.one_hot(labels, self.model.output.shape[1], dtype=self.model.output.dtype)
