"""A run's answers that it kept, from which figures can be had without running a model again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.predictions_file import StoredPredictions
from eyebright.run_directory import RunDirectory


def kept_logits(
    run: RunDirectory, split: str, classifier: Classifier, image_sha256: NDArray[np.uint8]
) -> NDArray[np.floating] | None:
    """The logits of a split that a run kept in test_predictions.npz or validation_predictions.npz.

    Args:
        run: the run.
        split: "test", "validation" or another, of which nothing is kept.
        classifier: whose logits they must be, by the same views.
        image_sha256: uint8 [n, 32], of the pixels of the images that are meant, in their order.

    Returns:
        float [n, classes]; None where none are kept, or others, or what is kept is damaged.
    """
    path = run.path / f"{split}_predictions.npz"
    kept = StoredPredictions.of_classifier(path, len(classifier.class_names), classifier.weights_sha256, classifier.tta)
    return kept.logits if kept is not None and np.array_equal(kept.image_sha256, image_sha256) else None
