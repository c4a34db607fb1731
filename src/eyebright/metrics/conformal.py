"""Split conformal prediction: sets of classes that hold an image's own class as often as was asked for.

The promise (Vovk et al., 2005): of images like those that the sets were fitted to, a share of at least 1 - α, and of at
most 1 - α + 1 / (n + 1), has its own class in its set, whatever the classifier is worth. It holds on average over all
images and all draws of the n; by class only where the sets are fitted by class. A set may be empty: where a classifier
is right more often than 1 - α, every set that is not would promise more than was asked for.

No library does it here, since APS draws a random number for each image, and ours has to be a function of the image's
pixels, so that the same picture gets the same set whenever it is asked about.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eyebright.errors import DataError, SettingsError, suggestion

ConformalMethod = Literal["lac", "aps"]


@dataclass(frozen=True)
class ConformalSets:
    """A rule that makes sets of classes out of probabilities. Make one with `fit_conformal_sets`.

    Attributes:
        alpha: how often the own class may be missing.
        method: "lac": the classes of at least a certain probability (Sadinle, Lei and Wasserman, 2019), the smallest
            sets on average. "aps": the likeliest classes that together have a certain probability, the last of them by
            chance (Romano, Sesia and Candès, 2020): larger sets, which tell hard images from easy ones better.
        quantiles: float64 [classes], the largest score with which each class is in the set.
        per_class: whether each class has a quantile of its own.
        images: how many images it was fitted to.
    """

    alpha: float
    method: ConformalMethod
    quantiles: NDArray[np.float64]
    per_class: bool
    images: int

    def sets(self, probabilities: NDArray[np.floating], draws: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Which classes are in each image's set.

        Args:
            probabilities: float [n, classes], each row summing to 1.
            draws: float64 [n], of each image a number in 0 … 1 (see `draws`); only "aps" uses it.

        Returns:
            bool [n, classes].
        """
        return _scores(self.method, probabilities, draws) <= self.quantiles


def fit_conformal_sets(
    labels: NDArray[np.int32],
    probabilities: NDArray[np.floating],
    draws: NDArray[np.float64],
    alpha: float,
    *,
    method: ConformalMethod = "lac",
    per_class: bool = False,
    class_names: tuple[str, ...],
) -> ConformalSets:
    """Find the rule on images that the classifier did not learn from.

    Args:
        labels: int32 [n].
        probabilities: float [n, classes].
        draws: float64 [n], as for `ConformalSets.sets`.
        alpha: in (0, 1): 0.1 for sets that hold the own class of 90% of the images.
        method: see `ConformalSets`.
        per_class: whether the promise is to hold for the images of each class (Vovk, 2012); it takes as many images of
            each as it takes of all otherwise.
        class_names: in the order of the columns.

    Raises:
        SettingsError: `alpha` out of its range, or an unknown method.
        DataError: too few images for `alpha`.
    """
    check_alpha(alpha)
    check_method(method)
    own = _scores(method, probabilities, draws)[np.arange(len(labels)), labels]  # [n]
    if per_class:
        quantiles = [
            _quantile(own[labels == number], alpha, f" of the class {name!r}")
            for number, name in enumerate(class_names)
        ]
    else:
        quantiles = [_quantile(own, alpha, "")] * len(class_names)
    return ConformalSets(alpha, method, np.array(quantiles), per_class, len(labels))


def check_alpha(alpha: float) -> None:
    """Refuse an alpha that is not in (0, 1).

    Raises:
        SettingsError: it is not.
    """
    if not 0 < alpha < 1:
        raise SettingsError(f"--conformal {alpha:g}: give the share of sets that may miss, between 0 and 1; 0.1, say.")


def check_method(method: str) -> None:
    """Refuse an unknown method.

    Raises:
        SettingsError: naming the nearest known one.
    """
    known = get_args(ConformalMethod)
    if method not in known:
        raise SettingsError(f"--conformal-method {method}: no such method.{suggestion(method, known)}")


def draws(keys: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Numbers in 0 … 1, float64 [n], that follow from the pixels of images alone.

    Args:
        keys: uint64 [n], of `data.dataset.hash_prefixes`.
    """
    return ((keys >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def _quantile(scores: NDArray[np.float64], alpha: float, of_what: str) -> float:
    """The ⌈(n + 1)(1 - α)⌉-th smallest score: as if the image to come were one more of them."""
    rank = math.ceil(round((len(scores) + 1) * (1 - alpha), 9))  # 10 · 0.9 is not quite 9
    if rank > len(scores):
        needed = math.ceil(round(1 / alpha, 9)) - 1
        raise DataError(
            f"--conformal {alpha:g} needs at least {needed:,} validation images{of_what}; there are {len(scores):,}. "
            "Give a larger number, or train anew with a larger --validation."
        )
    return float(np.sort(scores)[rank - 1])


def _scores(
    method: ConformalMethod, probabilities: NDArray[np.floating], draws: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How strange each class would be as an image's own, float64 [n, classes].

    LAC: 1 - p. APS: the sum of all larger probabilities, and the share that was drawn of its own.
    """
    wide = probabilities.astype(np.float64)
    if method == "lac":
        return 1 - wide
    order = np.argsort(-wide, axis=1, kind="stable")
    ranked = np.take_along_axis(wide, order, axis=1)
    scores = np.empty_like(wide)
    np.put_along_axis(scores, order, np.cumsum(ranked, axis=1) - ranked + draws[:, None] * ranked, axis=1)
    return scores
