"""Hidden units that begin by looking at one spot of the image each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from eyebright.backend import keras
from eyebright.randomness import Stream, uniforms

_WIDTHS = (3 / 32, 8 / 32)  # of the spots at half of their height, in sides of the image


class LocalDense(keras.layers.Dense):  # type: ignore[misc]
    """A dense layer on images whose units each start with random weights around a random place.

    A unit's weights are normal numbers times a Gaussian window, scaled to norm 1; the windows' places are uniform over
    the image and their widths log-uniform from 3 to 8 pixels of 32. Neighbouring pixels have most to say about each
    other: a network learns faster from units that begin with a spot than from units that begin with noise everywhere.
    Nothing keeps the weights local in training.

    float [B, inputs] → [B, units].

    Args:
        units: how many.
        seed: the run's seed.
    """

    def __init__(self, units: int, seed: int, **kwargs: Any) -> None:
        super().__init__(units, kernel_initializer="zeros", **kwargs)
        self._seed = seed

    def localise(self, places: NDArray[np.float64], size: tuple[int, int]) -> None:
        """Set the weights.

        Args:
            places: float64 [inputs, 2], where in the image each input is, y and x in pixels.
            size: (height, width) of the image.
        """
        inputs = len(places)
        numbers = uniforms(self._seed, Stream.WEIGHTS, 0, self.units * (inputs + 3)).reshape(self.units, inputs + 3)
        centres = numbers[:, :2] * (np.array(size) - 1)  # [units, 2]
        narrow, wide = np.log(_WIDTHS)
        widths = np.exp(narrow + (wide - narrow) * numbers[:, 2:3]) * min(size)  # [units, 1]
        deviations = np.maximum(widths, 1) / 2.355  # a spot between pixels that sees none would never learn
        kernel = ndtri(numbers[:, 3:])  # [units, inputs]
        for axis in (0, 1):
            distance = (places[None, :, axis] - centres[:, axis : axis + 1]) / deviations
            kernel *= np.exp(-0.5 * np.square(distance))
        norms = np.linalg.norm(kernel, axis=1, keepdims=True)
        self.kernel.assign((kernel / np.maximum(norms, 1e-12)).T)
