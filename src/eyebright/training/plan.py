"""All that is decided about a step before it is computed: a pure function of (settings, step)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.augmentation import Augmentation
from eyebright.settings import Settings
from eyebright.training.augmentation.parameters import draw
from eyebright.training.averaging import averaging_decays
from eyebright.training.batches import batch_positions, steps_per_epoch
from eyebright.training.schedule import learning_rates, run_length


@dataclass(frozen=True)
class Steps:
    """Some steps that are about to be computed.

    Attributes:
        numbers: int64 [k], from 0.
        rows: int32 [k, B], which images of the data set make each.
        learning_rates: float32 [k].
        decays: float32 [k], what the average of the weights keeps of itself after each; 1 where it stays.
        augmentation: what is done to each image, arrays [k, B, …] by name, see `augmentation.parameters.draw`.
    """

    numbers: NDArray[np.int64]
    rows: NDArray[np.int32]
    learning_rates: NDArray[np.float32]
    decays: NDArray[np.float32]
    augmentation: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.numbers)

    def part(self, start: int, end: int) -> Steps:
        """Those from place `start` to before place `end`."""
        return Steps(
            self.numbers[start:end],
            self.rows[start:end],
            self.learning_rates[start:end],
            self.decays[start:end],
            {name: array[start:end] for name, array in self.augmentation.items()},
        )


class Plan:
    """Plans the steps of a run.

    Args:
        settings: the run's.
        training: int64 [n], which images of the data set are for training.
        image_shape: (height, width, channels).
    """

    def __init__(self, settings: Settings, training: NDArray[np.int64], image_shape: tuple[int, int, int]) -> None:
        self.total_steps = run_length(settings, len(training))
        self.policy: Augmentation = settings.policy(image_shape)
        self._settings = settings
        self._training = training.astype(np.int32)
        self._image_shape = image_shape

    def rows(self, numbers: NDArray[np.int64]) -> NDArray[np.int32]:
        """Which images of the data set make the steps of these numbers, int64 [k]: int32 [k, B]."""
        settings = self._settings
        return self._training[batch_positions(settings.seed, numbers, len(self._training), settings.batch_size)]

    def steps(self, numbers: NDArray[np.int64]) -> Steps:
        """Plan the steps of these numbers, int64 [k]; none depends on those before it."""
        settings, images = self._settings, len(self._training)
        rows = self.rows(numbers)  # [k, B]
        return Steps(
            numbers,
            rows,
            learning_rates(settings, numbers, self.total_steps),
            averaging_decays(settings, numbers, self.total_steps),
            draw(
                self.policy,
                settings.seed,
                numbers,
                settings.batch_size,
                self._image_shape,
                rows,
                steps_per_epoch(images, settings.batch_size),
            ),
        )
