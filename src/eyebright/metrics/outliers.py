"""How unlike the training images an image is: distances, larger for what is more unlike; and how well they tell.

All but the energy are of features, what a classifier's last layer reads. `ClassDirections` is what a saved classifier
keeps: of all that was tried it tells made pictures from validation images best, and it is one direction a class.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from eyebright.metrics.roc_auc import roc_auc

_KNOWN_SHARE = 0.95  # of known images that are accepted, where FPR95 is measured
_SHRINKAGE = 0.05  # of a covariance towards a multiple of the identity: features may be more than images
_ROWS = 500  # images that are compared with all neighbours at once


def energy(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """The energy of logits, -log Σ exp (Liu et al., "Energy-based out-of-distribution detection", 2020).

    At temperature 1 and of raw logits: a temperature that calibrates is fitted to known images alone, and with a large
    one the energy is little but the mean of the logits, which tells nothing.

    Args:
        logits: float [n, classes].

    Returns:
        float64 [n].
    """
    from scipy.special import logsumexp

    negative: NDArray[np.float64] = -logsumexp(np.asarray(logits, np.float64), axis=1)
    return negative


@dataclass(frozen=True, eq=False)
class ClassDirections:
    """Cosine distances to the nearest class: 1 less the cosine of the angle to the mean direction of its images.

    Directions are of the features' square roots (with their signs; power normalisation: Perronnin, Sánchez and Mensink,
    2010), so that it matters more which features are there than how strong the strongest is. Of features that are not
    negative the cosine is a Bhattacharyya coefficient. A vector that is 0 all over is at a distance of 1.

    Attributes:
        directions: float32 [classes, d], each of length 1, or 0 all over for a class that no image showed.
    """

    directions: NDArray[np.float32]

    @classmethod
    def of_sums(cls, sums: NDArray[np.float64]) -> Self:
        """From the sum of the `direction` of each class's images, float64 [classes, d]."""
        return cls(_unit(sums).astype(np.float32))

    def distances(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """float64 [n], 0 … 2, of features float [n, d]."""
        cosines = direction(features) @ self.directions.T.astype(np.float64)  # [n, classes]
        nearest: NDArray[np.float64] = 1 - cosines.max(axis=1)
        return nearest


def direction(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """The direction of each image's square-rooted features, float64 [n, d], of length 1 or 0 all over."""
    values = np.asarray(features, np.float64)
    return _unit(np.sign(values) * np.sqrt(np.abs(values)))


@dataclass(frozen=True, eq=False)
class Mahalanobis:
    """Squared Mahalanobis distances to the nearest class mean (Lee et al., 2018), one covariance for all classes.

    Attributes:
        whitening: float64 [d, d]: features times this have the covariance 1 within classes.
        means: float64 [classes, d], of the classes' features times that.
    """

    whitening: NDArray[np.float64]
    means: NDArray[np.float64]

    @classmethod
    def fitted(cls, features: NDArray[np.floating], labels: NDArray[np.int32]) -> Self:
        """Fit it to training images: features float [n, d], labels int32 [n]."""
        found, places = np.unique(labels, return_inverse=True)
        values = np.asarray(features, np.float64)
        means = np.stack([values[places == place].mean(axis=0) for place in range(len(found))])
        rest = values - means[places]
        covariance = rest.T @ rest / len(rest)
        even = max(float(np.trace(covariance)) / len(covariance), np.finfo(float).tiny)
        covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * even * np.eye(len(covariance))
        variances, axes = np.linalg.eigh(covariance)
        whitening = axes / np.sqrt(variances)
        return cls(whitening, means @ whitening)

    def distances(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """float64 [n], of features float [n, d]."""
        white = np.asarray(features, np.float64) @ self.whitening
        nearest: NDArray[np.float64] = np.min([np.square(white - mean).sum(axis=1) for mean in self.means], axis=0)
        return nearest


@dataclass(frozen=True, eq=False)
class NearestNeighbours:
    """Distances to the k-th nearest training image, of features scaled to length 1 (Sun et al., 2022).

    Attributes:
        known: float [n, d], features of training images, of length 1.
        k: which neighbour.
    """

    known: NDArray[np.float64]
    k: int

    @classmethod
    def fitted(cls, features: NDArray[np.floating], k: int = 10) -> Self:
        """Fit it to features float [n, d] of training images; with fewer than k of them, the farthest counts."""
        return cls(_unit(np.asarray(features, np.float64)), min(k, len(features)))

    def distances(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """float64 [n], 0 … 2, of features float [n, d]."""
        unit = _unit(np.asarray(features, np.float64))
        parts = [unit[start : start + _ROWS] @ self.known.T for start in range(0, len(unit), _ROWS)]
        place = len(self.known) - self.k
        cosines = [np.partition(part, place, axis=1)[:, place] for part in parts]
        distances: NDArray[np.float64] = np.sqrt(np.maximum(2 - 2 * np.concatenate([np.empty(0), *cosines]), 0))
        return distances


class Separation(NamedTuple):
    """How well a distance tells unlike images from known ones.

    Attributes:
        auroc: the chance that an unlike image is farther than a known one; 0.5 is chance, 1 is best.
        auroc_ci95: DeLong's 95% interval; None where nothing varies.
        fpr95: the share of unlike images that pass for known where 95% of the known ones do; 0 is best.
    """

    auroc: float
    auroc_ci95: tuple[float, float] | None
    fpr95: float


def separation(known: NDArray[np.floating], unlike: NDArray[np.floating]) -> Separation:
    """Measure it.

    Args:
        known: float [n], n ≥ 1, distances of images like the training images.
        unlike: float [m], m ≥ 1, of others.

    >>> separation(np.array([0.1, 0.2, 0.3]), np.array([0.25, 0.9])).auroc
    0.8333333333333333
    """
    both = np.concatenate([known, unlike])
    areas = roc_auc(np.repeat([0, 1], [len(known), len(unlike)]).astype(np.int32), np.stack([-both, both], axis=1))
    accepted = np.sort(known)[max(int(np.ceil(_KNOWN_SHARE * len(known))) - 1, 0)]
    return Separation(float(areas.per_class[1] or 0), areas.per_class_ci95[1], float((unlike <= accepted).mean()))


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)
