"""What a run's classifier keeps to tell pictures that are unlike its training images: measured at the end of a run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.data.progress import shown
from eyebright.data.split import Split
from eyebright.known_images import KnownImages, training_sample
from eyebright.metrics.outliers import ClassDirections, direction

_AT_ONCE = 500  # images whose features are held


def with_known_images(
    classifier: Classifier, dataset: Dataset, split: Split, seed: int, *, progress: bool
) -> Classifier:
    """The same classifier, with the `KnownImages` of its run.

    It is asked about some 2,000 training images and all validation images, by one view.

    Args:
        classifier: the run's.
        dataset: the run's.
        split: of it.
        seed: of the choice of training images.
        progress: whether to show bars.
    """
    sample = training_sample(dataset.labels, split.train, seed)
    sums: NDArray[np.float64] | None = None
    for block, features in _features(classifier, dataset, sample, "Training images", progress=progress):
        if sums is None:
            sums = np.zeros((len(classifier.class_names), features.shape[1]))
        np.add.at(sums, dataset.labels[block], direction(features))
    if sums is None:
        return classifier
    score = ClassDirections.of_sums(sums)
    parts = _features(classifier, dataset, split.validation, "Validation images", progress=progress)
    distances = np.concatenate([np.empty(0), *(score.distances(features) for _, features in parts)])
    return classifier.having(known_images=KnownImages(score.directions, np.sort(distances)))


def _features(
    classifier: Classifier, dataset: Dataset, indices: NDArray[np.int64], title: str, *, progress: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.floating]]]:
    """Block by block, the indices and their features."""
    blocks = [indices[start : start + _AT_ONCE] for start in range(0, len(indices), _AT_ONCE)]
    for block in shown(blocks, title, len(indices), len, progress=progress):
        yield block, classifier.features(dataset.images, block)
