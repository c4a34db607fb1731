"""Which training images a classifier finds most like others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.data.progress import shown

_AT_ONCE = 1000  # images whose features are held at a time


@dataclass(frozen=True)
class Neighbour:
    """A training image that is near to another image.

    Attributes:
        index: of the training image in its data set.
        image: its path, or its place among all.
        label: its class.
        similarity: cosine of the angle between the two images' penultimate features, -1 … 1; 1 is the same direction.
    """

    index: int
    image: str
    label: str
    similarity: float


def nearest_images(
    classifier: Classifier,
    dataset: Dataset,
    queries: NDArray[np.int64],
    training: NDArray[np.int64],
    count: int = 3,
    *,
    progress: bool = False,
) -> list[list[Neighbour]]:
    """Find the training images that are nearest to some images, as the classifier's last layer sees them.

    Features are computed and thrown away: nothing of the training images is kept anywhere. An image that is among the
    training images itself is not its own neighbour.

    Args:
        classifier: whose features are compared.
        dataset: of all these images.
        queries: int64 [q], to which images.
        training: int64 [n], among which.
        count: how many for each, at least 1.
        progress: whether to show a progress bar on standard error.

    Returns:
        For each query the nearest, the nearest first.
    """
    wanted = _directions(classifier, dataset, queries)  # [q, d]
    similarities: NDArray[Any] = np.full((len(queries), 0), -np.inf, np.float32)  # of the best so far, [q, ≤ count]
    indices: NDArray[Any] = np.zeros((len(queries), 0), np.int64)
    blocks = [training[start : start + _AT_ONCE] for start in range(0, len(training), _AT_ONCE)]
    for block in shown(blocks, "Training images", len(training), len, progress=progress):
        found = wanted @ _directions(classifier, dataset, block).T  # [q, block]
        found[queries[:, None] == block] = -np.inf
        similarities = np.concatenate([similarities, found], axis=1)
        indices = np.concatenate([indices, np.broadcast_to(block, found.shape)], axis=1)
        best = np.argsort(-similarities, axis=1, kind="stable")[:, :count]
        similarities, indices = (np.take_along_axis(array, best, axis=1) for array in (similarities, indices))
    return [
        [
            Neighbour(index, dataset.path(index), dataset.class_names[dataset.labels[index]], similarity)
            for index, similarity in zip(*row, strict=True)
            if np.isfinite(similarity)
        ]
        for row in zip(indices.tolist(), similarities.tolist(), strict=True)
    ]


def _directions(classifier: Classifier, dataset: Dataset, indices: NDArray[np.int64]) -> NDArray[np.floating]:
    """The features of images, each scaled to length 1, [n, d]; those without any stay zero."""
    features = classifier.features(dataset.images, indices)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    directions: NDArray[np.floating] = features / np.where(lengths > 0, lengths, 1)
    return directions
