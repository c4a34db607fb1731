"""How well a classifier tells other data from images like those that it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.data.fitting import images_of_shape
from eyebright.data.progress import shown
from eyebright.errors import DataError
from eyebright.known_images import training_sample
from eyebright.metrics.outliers import Mahalanobis, NearestNeighbours, Separation, energy, separation
from eyebright.uncertainty import known_images
from eyebright.views import Answers

_AT_ONCE = 500  # images whose features are held
Distance = Callable[[Answers], NDArray[np.float64]]


@dataclass(frozen=True)
class OutlierFigures:
    """How well other data are told from known images.

    Attributes:
        data: the name of the other data.
        n: number of its images.
        scores: by the name of the distance. "cosine" is the one that the classifier keeps and `predict` uses.
        flagged: the share of the images that `predict` would call unlike the training images; None where the
            classifier has too few validation images to tell.
    """

    data: str
    n: int
    scores: dict[str, Separation]
    flagged: float | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        scores = {name: figures._asdict() for name, figures in self.scores.items()}
        return {"data": self.data, "n": self.n, "scores": scores, "flagged": self.flagged}


def distances_for(
    classifier: Classifier, dataset: Dataset | None, training: NDArray[np.int64], seed: int, *, progress: bool = False
) -> dict[str, Distance]:
    """The distances by name: "cosine" and "energy"; with training images "mahalanobis" and "nearest_neighbours", too.

    Args:
        classifier: with `known_images`.
        dataset: what it was trained on; None where that is not here.
        training: int64 [n], the training images, of which some 2,000 are looked at by one view.
        seed: of the choice of these.
        progress: whether to show a bar on standard error.

    Raises:
        ClassifierError: it does not know what its training images were like.
    """
    known = known_images(classifier).score
    found: dict[str, Distance] = {
        "cosine": lambda answers: known.distances(answers.features),
        "energy": lambda answers: energy(answers.logits),
    }
    if dataset is not None:
        sample = training_sample(dataset.labels, training, seed)
        blocks = _blocks(sample)
        parts = (classifier.features(dataset.images, block) for block in blocks)
        features = np.concatenate([*shown(parts, "Training images", len(sample), len, progress=progress)])
        mahalanobis = Mahalanobis.fitted(features, dataset.labels[sample])
        neighbours = NearestNeighbours.fitted(features)
        found["mahalanobis"] = lambda answers: mahalanobis.distances(answers.features)
        found["nearest_neighbours"] = lambda answers: neighbours.distances(answers.features)
    return found


def measured_distances(
    classifier: Classifier,
    dataset: Dataset,
    indices: NDArray[np.int64],
    distances: dict[str, Distance],
    *,
    progress: bool = False,
) -> dict[str, NDArray[np.float64]]:
    """Each distance, float64 [n], of some images of any size, brought to the classifier's as pictures are.

    Args:
        classifier: what to ask.
        dataset: the images; their classes play no part.
        indices: int64 [n], n ≥ 1, which of them.
        distances: as `distances_for` gives them.
        progress: whether to show a bar on standard error.

    Raises:
        DataError: there are no images, or the classifier's answers are not finite.
    """
    if not len(indices):
        raise DataError(f"{dataset.name}: there are no images to evaluate on.")
    answers = _answers(classifier, dataset, indices, progress=progress)
    parts = [{name: distance(some) for name, distance in distances.items()} for some in answers]
    found = {name: np.concatenate([part[name] for part in parts]) for name in distances}
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise DataError(f"{dataset.name}: the classifier's answers are not finite: no distance {name!r} of them.")
    return found


def outlier_figures(
    classifier: Classifier, name: str, known: dict[str, NDArray[np.float64]], unlike: dict[str, NDArray[np.float64]]
) -> OutlierFigures:
    """Compare the distances of other data with those of known images.

    Args:
        classifier: that they are of.
        name: of the other data.
        known: by name, float64 [n], of known images: validation or test images of the run.
        unlike: by name, float64 [m], of the other data.
    """
    try:
        flagged = float((unlike["cosine"] > known_images(classifier).threshold()).mean())
    except DataError:
        flagged = None
    scores = {distance: separation(known[distance], values) for distance, values in unlike.items()}
    return OutlierFigures(name, len(unlike["cosine"]), scores, flagged)


def _answers(
    classifier: Classifier, dataset: Dataset, indices: NDArray[np.int64], *, progress: bool
) -> Iterator[Answers]:
    for block in shown(_blocks(indices), f"Images of {dataset.name}", len(indices), len, progress=progress):
        yield classifier.answers(images_of_shape(dataset.images[block], classifier.image_shape, classifier.fit))


def _blocks(indices: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [indices[start : start + _AT_ONCE] for start in range(0, len(indices), _AT_ONCE)]
