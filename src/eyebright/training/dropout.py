"""Dropout that depends on the seed and the step alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from eyebright.backend import keras
from eyebright.randomness import Stream, random_words


def set_dropout_seeds(model: keras.Model, seed: int, step: Any) -> None:
    """Set the state of each dropout layer to (its key, step), its key drawn from the run's seed.

    Keras counts that state up in each call and restores it from no file; set before each step it is a pure function of
    seed and step.

    Args:
        model: whose dropout layers they are.
        seed: the run's.
        step: whole number, a scalar of the backend's.
    """
    layers = [layer for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    keys = random_words(seed, Stream.DROPOUT, 0, len(layers)) >> np.uint64(33)  # 31 bits fit any integer type
    for layer, key in zip(layers, keys.tolist(), strict=True):
        state = layer.seed_generator.state
        words = [keras.ops.convert_to_tensor(key, state.dtype), keras.ops.cast(step, state.dtype)]
        state.assign(keras.ops.stack(words))
