"""Averages of the weights over the steps, which are often better than the weights themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.backend import keras
from eyebright.settings import Settings

# Decay, and steps between two updates, where the settings leave them open; Jordan's 0.95⁵ for look-ahead.
_USUAL = {"ema": (0.999, 1), "look-ahead": (0.774, 5)}


def averaging_decays(settings: Settings, steps: NDArray[np.int64], total_steps: int) -> NDArray[np.float32]:
    """What the average keeps of itself after each of some steps: average ← decay · average + (1 - decay) · weights.

    - ema: `averaging_decay`, and less in the beginning, (1 + n)/(10 + n) at update n, so that the random initial
      weights are soon forgotten (as TensorFlow's `ExponentialMovingAverage` has it).
    - swa: the weights themselves until `averaging_start`, then the plain mean (Izmailov et al., "Averaging weights
      leads to wider optima and better generalization", 2018).
    - look-ahead: `averaging_decay` · (share of the run)³; training goes on from the average (Zhang et al., "Lookahead
      optimizer: k steps forward, 1 step back", 2019, with the schedule of Jordan, 2024).

    Args:
        settings: `averaging` and its parameters are read.
        steps: int64 [k], step numbers from 0.
        total_steps: length of the run.

    Returns:
        float32 [k], 0 … 1; 1 where no update is due, and 0 before the first one: until then the average is the
        weights themselves, never the random ones that a training begins with.
    """
    usual_decay, usual_steps = _USUAL.get(settings.averaging, (0.0, 1))
    every, largest = settings.averaging_steps or usual_steps, settings.averaging_decay or usual_decay
    update = (steps + 1) // every - 1  # [k], number of the update, from 0
    decay: NDArray[np.floating]
    match settings.averaging:
        case "none":
            return np.ones(len(steps), np.float32)
        case "ema":
            decay = np.minimum(largest, (1 + update) / (10 + update))
        case "swa":
            before = int(settings.averaging_start * total_steps) // every  # updates until the mean begins
            averaged = np.maximum(update - before, 0)
            decay = averaged / (averaged + 1)
        case "look-ahead":
            decay = largest * ((steps + 1) / total_steps) ** 3
    between = np.where(steps + 1 < every, 0.0, 1.0)
    return np.where((steps + 1) % every == 0, decay, between).astype(np.float32)


class WeightAverage:
    """The average of a model's trained weights and of the statistics of its batch normalisations.

    The statistics are averaged as the weights are, not measured again with the averaged weights: that would take a pass
    over the training images at each validation.

    Args:
        model: whose weights are averaged.
        back: whether each update puts the average into the model, as look-ahead does.
    """

    def __init__(self, model: keras.Model, *, back: bool) -> None:
        self._averaged = [*model.trainable_variables, *_statistics(model)]
        self._back = back
        self.variables = {
            variable.path: keras.Variable(variable.numpy(), dtype=variable.dtype, trainable=False, name="average")
            for variable in self._averaged
        }

    def update(self, decay: Any) -> None:
        """Take the model's weights in, to be called in a compiled step.

        Args:
            decay: float32 scalar, what the average keeps of itself; 1 changes nothing.
        """
        for variable in self._averaged:
            average, weights = self.variables[variable.path], keras.ops.convert_to_tensor(variable.value)
            share = keras.ops.cast(1 - decay, weights.dtype)
            average.assign(average.value + share * (weights - average.value))
            if self._back:
                variable.assign(keras.ops.where(decay < 1, average.value, weights))

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the average's weights for as long as this lasts."""
        own = [variable.numpy() for variable in self._averaged]
        for variable in self._averaged:
            variable.assign(self.variables[variable.path])
        try:
            yield
        finally:
            for variable, value in zip(self._averaged, own, strict=True):
                variable.assign(value)


def build_average(settings: Settings, model: keras.Model) -> WeightAverage | None:
    """The average that the settings ask for, or None."""
    if settings.averaging == "none":
        return None
    return WeightAverage(model, back=settings.averaging == "look-ahead")


def _statistics(model: keras.Model) -> list[Any]:
    norms = (layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable)
    return [variable for layer in norms for variable in layer.non_trainable_variables]
