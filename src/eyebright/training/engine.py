"""What trains a model, k steps a call: what the engines of the two backends have in common."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.backend import keras
from eyebright.data.dataset import Dataset
from eyebright.models.inference import compiled_logits
from eyebright.settings import Settings
from eyebright.training.averaging import build_average
from eyebright.training.checkpoint import training_variables
from eyebright.training.feed import Part, build_feed
from eyebright.training.objective import Objective
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


class Engine(ABC):
    """Trains a model on a data set's uint8 pixels.

    Which of the two it is changes no batch, no augmentation, no schedule and no name in a checkpoint: they are planned
    in NumPy (see `plan`). It changes how sums are rounded, and dropout's random numbers.

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
        self._settings = settings
        self._dataset = dataset
        self._plan = plan
        self._policy = plan.policy
        self._objective = objective
        self._average = build_average(settings, model)
        self._feed = build_feed(dataset, plan)
        self._logits = compiled_logits(model)
        self._prepare()

    @abstractmethod
    def _prepare(self) -> None:
        """Make what the backend needs beside; all that the constructor was given is there."""

    @property
    def variables(self) -> dict[str, Any]:
        """All variables of the training by name, for its checkpoints."""
        return training_variables(self.model, self._optimizer, self._average.variables if self._average else {})

    def train(self, steps: Steps) -> StepRecords:
        """Train k steps."""
        records = [self._train_part(part) for part in self._feed.parts(steps)]
        losses, accuracies = (np.concatenate(figures) for figures in list(zip(*records, strict=True))[:2])
        return StepRecords(losses, accuracies, records[-1].logits)

    @abstractmethod
    def _train_part(self, part: Part) -> StepRecords:
        """Train some steps on the images that came with them."""

    @abstractmethod
    def graph(self) -> bytes | None:
        """One step as a serialised GraphDef, for TensorBoard; None where the backend has none."""

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
