"""k training steps in one compiled call, on JAX."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.backend import jax, keras
from eyebright.compilation import Compiled
from eyebright.models import first_layer
from eyebright.training.augmentation.apply import apply
from eyebright.training.dropout import set_dropout_seeds
from eyebright.training.engine import Engine, StepRecords
from eyebright.training.feed import Part
from eyebright.training.optimizers import shrink
from eyebright.training.placement import placement
from eyebright.training.plan import Steps

_STEPS_OF_A_LOOP = 128

Values = list[Any]


class JaxEngine(Engine):
    """Trains in a compiled loop of XLA's.

    The pixels stay on the device as they are, uint8; a step gathers its images there and changes them there. All
    variables are an argument of the call and its result, and their memory is given to it, so that they are on the
    device once. A call is compiled for a fixed number of steps and told how many of them to do: XLA compiles for
    shapes, and a call for each number of steps would be compiled a dozen times. On a processor a call is one step:
    within a loop XLA's convolutions there take twenty times as long.

    Args: see `Engine`.
    """

    def _prepare(self) -> None:
        self._trained = list(self.variables.values())
        self._fixed = self._objective.variables
        self._placement = placement()
        self._compiled = Compiled(self._steps, donated=0, sharding=self._placement.everywhere)
        self._at_once = 1 if jax.default_backend() == "cpu" else _STEPS_OF_A_LOOP

    def graph(self) -> None:
        """None: JAX has no graph that TensorBoard could show."""

    def _train_part(self, part: Part) -> StepRecords:
        starts = range(0, len(part.steps), self._at_once)
        records = [self._train_steps(part, start, min(start + self._at_once, len(part.steps))) for start in starts]
        losses, accuracies, logits = zip(*records, strict=True)
        return StepRecords(np.concatenate(losses), np.concatenate(accuracies), logits[-1])

    def _train_steps(self, part: Part, start: int, end: int) -> StepRecords:
        steps, length = part.steps.part(start, end), end - start
        arguments = (
            [variable.value for variable in self._trained],
            [variable.value for variable in self._fixed],
            part.images,
            part.labels,
        )
        inputs = self._inputs(steps, part.rows[start:end])
        returned = self._compiled(*self._placement.whole(arguments), inputs, self._placement.whole(np.int32(length)))
        values, losses, accuracies, logits = self._placement.own(returned)
        for variable, value in zip(self._trained, values, strict=True):
            variable.assign(value)
        return StepRecords(np.asarray(losses)[:length], np.asarray(accuracies)[:length], np.asarray(logits))

    def _inputs(self, steps: Steps, rows: NDArray[np.int32]) -> dict[str, Any]:
        """What each step differs by, filled up to the number of steps that a call is compiled for."""
        of_steps = {  # [k]
            "learning_rate": steps.learning_rates,
            "decay": steps.decays,
            "number": steps.numbers.astype(np.uint32),
        }
        of_images = {  # [k, B, …]
            "rows": rows,
            **{f"augmentation/{name}": array for name, array in steps.augmentation.items()},
        }
        return {
            **{name: self._placement.whole(_filled(array, self._at_once)) for name, array in of_steps.items()},
            **{name: self._placement.divided(_filled(array, self._at_once)) for name, array in of_images.items()},
        }

    def _steps(
        self, values: Values, fixed: Values, images: Any, labels: Any, inputs: dict[str, Any], length: Any
    ) -> tuple[Values, Any, Any, Any]:
        """The loop that is compiled."""
        dtype, classes = self.model.output.dtype, self.model.output.shape[1]

        def train_one(i: Any, carried: Any) -> Any:
            values, losses, accuracies, _ = carried
            own = {name: array[i] for name, array in inputs.items()}
            rows = own.pop("rows")  # [B]
            values, loss, accuracy, logits = self._step(values, fixed, images[rows], labels[rows], own)
            return values, losses.at[i].set(loss), accuracies.at[i].set(accuracy), logits

        logits = jax.numpy.zeros([inputs["rows"].shape[1], classes], dtype)
        losses, accuracies = (jax.numpy.zeros(self._at_once, kind) for kind in (dtype, "float32"))
        start = (values, losses, accuracies, logits)
        done: Any = train_one(0, start) if self._at_once == 1 else jax.lax.fori_loop(0, length, train_one, start)
        return done  # type: ignore[no-any-return]

    def _step(
        self, values: Values, fixed: Values, images: Any, labels: Any, own: dict[str, Any]
    ) -> tuple[Values, Any, Any, Any]:
        """One step: the loss of a batch, its gradient, and the optimizer's change of the weights."""
        mapping = [*zip(self._trained, values, strict=True), *zip(self._fixed, fixed, strict=True)]
        # In this scope variables have these values, and what is assigned to them stays in it.
        with keras.StatelessScope(state_mapping=mapping):
            self._optimizer.learning_rate.assign(own["learning_rate"])
            targets = keras.ops.one_hot(labels, self.model.output.shape[1], dtype=self.model.output.dtype)
            parameters = {name.partition("/")[2]: array for name, array in own.items() if "/" in name}
            images, targets = apply(self._policy, images, targets, parameters)
            loss, logits, gradient = self._gradient(images, targets, own["number"])
            self._optimizer.apply(gradient, self.model.trainable_variables)
            if self._settings.l1 and first_layer(self.model).trainable:
                shrink(first_layer(self.model).kernel, self._settings.l1 * self._optimizer.learning_rate)
            if self._average:
                self._average.update(own["decay"])
            right = keras.ops.argmax(logits, axis=1) == keras.ops.argmax(
                targets, axis=1
            )  # of a mixed image, its larger part
            accuracy = keras.ops.mean(keras.ops.cast(right, "float32"))
            changed = [variable.value for variable in self._trained]
        return changed, loss, accuracy, logits

    def _gradient(self, images: Any, targets: Any, step: Any) -> tuple[Any, Any, Values]:
        """Loss, logits and gradient of a batch, worked through in `accumulate` parts."""
        parts = self._settings.accumulate
        size = images.shape[0] // parts
        losses, logits = [], []
        gradient: Values = []
        for part in range(parts):
            own = slice(part * size, (part + 1) * size)
            loss, own_logits, own_gradient = self._of_part(images[own], targets[own], step * parts + part)
            losses.append(loss)
            logits.append(own_logits)
            gradient = [a + b for a, b in zip(gradient, own_gradient, strict=True)] if part else own_gradient
        return sum(losses) / parts, keras.ops.concatenate(logits), [one / parts for one in gradient]

    def _of_part(self, images: Any, targets: Any, dropout_step: Any) -> tuple[Any, Any, Values]:
        images, targets = self._placement.spread(images), self._placement.spread(targets)
        trainable, others = self.model.trainable_variables, self.model.non_trainable_variables
        constant = [(variable, variable.value) for variable in [*others, *self._fixed]]

        def loss_of(weights: Values) -> Any:
            mapping = [*zip(trainable, weights, strict=True), *constant]
            with keras.StatelessScope(state_mapping=mapping):
                set_dropout_seeds(self.model, self._settings.seed, dropout_step)
                logits = self.model(images, training=True)  # [B, classes]
                loss = self._objective(self.model, images, logits, targets)
                return loss, (logits, [variable.value for variable in others])

        weights = [variable.value for variable in trainable]
        (loss, (logits, statistics)), gradient = jax.value_and_grad(loss_of, has_aux=True)(weights)
        for variable, value in zip(others, statistics, strict=True):
            variable.assign(value)
        return loss, logits, gradient


def _filled(array: NDArray[Any], length: int) -> NDArray[Any]:
    """An array [k, …] filled up with zeros to [length, …]."""
    full = np.zeros((length, *array.shape[1:]), array.dtype)
    full[: len(array)] = array
    return full
