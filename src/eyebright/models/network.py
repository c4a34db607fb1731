"""What a classifier's logits and features are computed by where its weights are: Keras."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.architecture import Architecture
from eyebright.backend import keras
from eyebright.errors import ClassifierError
from eyebright.models import build_model
from eyebright.models.inference import (
    LogitsFunction,
    ViewedLogitsFunction,
    compiled_answers,
    compiled_logits,
    compiled_viewed_logits,
)
from eyebright.models.transfer import features_of, with_features
from eyebright.settings import TestTimeAugmentation
from eyebright.views import Answers, Images, ViewedLogits


class KerasNetwork:
    """A model that is built when it is first asked, and what is compiled of it.

    Args:
        architecture: shape of the model.
        weights: by name, as `model_weights` gives them. Whether they fit is found when the model is built.
    """

    def __init__(self, architecture: Architecture, weights: dict[str, NDArray[Any]]) -> None:
        self._architecture = architecture
        self._weights = weights
        self._viewed: dict[TestTimeAugmentation, ViewedLogitsFunction] = {}
        self._answers: dict[TestTimeAugmentation, Callable[[Images, NDArray[np.int64]], Answers]] = {}

    @cached_property
    def model(self) -> keras.Model:
        """The model with its weights, uint8 [B, H, W, C] → logits float32 [B, classes], by one view of each image."""
        model = build_model(self._architecture, "float32")
        load_weights(model, self._weights)
        return model

    def viewed_logits(
        self, images: Images, indices: NDArray[np.int64], tta: TestTimeAugmentation, progress: bool
    ) -> ViewedLogits:
        """Logits [n, classes] of the images uint8 [N, H, W, C] in `indices` int64 [n], n > 0."""
        if tta not in self._viewed:
            self._viewed[tta] = compiled_viewed_logits(self.model, tta)
        return self._viewed[tta](images, indices, progress)

    def features(self, images: Images, indices: NDArray[np.int64]) -> NDArray[np.floating]:
        """Features [n, d] of the images in `indices`, which may be none."""
        if not len(indices):
            return np.empty((0, features_of(self.model).output.shape[-1]), np.float32)
        return self._features(images, indices)

    def answers(self, images: Images, indices: NDArray[np.int64], tta: TestTimeAugmentation) -> Answers:
        """Logits [n, classes] and features [n, d] of the images in `indices`, n > 0."""
        if tta not in self._answers:
            self._answers[tta] = compiled_answers(with_features(self.model), tta)
        return self._answers[tta](images, indices)

    @cached_property
    def _features(self) -> LogitsFunction:
        return compiled_logits(features_of(self.model))


def model_weights(model: keras.Model) -> dict[str, NDArray[Any]]:
    """All weights of a model by name, trainable or not."""
    return {weight.path: weight.numpy() for weight in model.weights}


def load_weights(model: keras.Model, weights: dict[str, NDArray[Any]]) -> None:
    """Put weights into a model.

    Raises:
        ClassifierError: a weight is missing, too many, or of another shape.
    """
    expected = {weight.path: tuple(weight.shape) for weight in model.weights}
    received = {name: array.shape for name, array in weights.items()}
    if expected != received:
        wrong = sorted(expected.items() ^ received.items())[0][0]
        raise ClassifierError(
            f"weight {wrong!r}: the model has {expected.get(wrong, 'none')}, the file {received.get(wrong, 'none')}."
        )
    for weight in model.weights:
        weight.assign(weights[weight.path])
