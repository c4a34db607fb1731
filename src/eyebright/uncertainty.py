"""How far a classifier may be trusted, by its answers to validation images: thresholds and sets with a promise.

The promises are for images like the validation images. They take the classifier as it is, calibration included, which
was fitted to the same images: for temperature scaling, one number, this changes nothing that one could measure; vector
and isotonic calibration of few images do flatter.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.dataset import hash_prefixes, image_hashes
from eyebright.errors import ClassifierError, EyebrightError, SettingsError
from eyebright.held_out import HeldOut
from eyebright.known_images import DEFAULT_SHARE, KnownImages
from eyebright.metrics.conformal import ConformalMethod, ConformalSets, draws, fit_conformal_sets
from eyebright.metrics.selective import Threshold, threshold_at, threshold_for_error


def abstention_threshold(
    classifier: Classifier, *, target_error: float | None = None, min_confidence: float | None = None
) -> Threshold:
    """The confidence below which to abstain, with the coverage and the risk that validation images let expect.

    Args:
        classifier: with held-out predictions.
        target_error: the share of wrong answers that is allowed among those that are given, in (0, 1). The threshold is
            the lowest that is shown to keep to it with 95% confidence, see `metrics.selective.threshold_for_error`.
        min_confidence: or the threshold itself, 0 … 1.

    Raises:
        ClassifierError: the classifier has no held-out predictions.
        SettingsError: both or none of the two, or one out of its range.
        DataError: there are too few validation images for the target, or too many of them are wrong.
    """
    held_out = _held_out(classifier, "A threshold's coverage and risk")
    probabilities = classifier.calibration.probabilities(held_out.logits)
    confidences, hits = probabilities.max(axis=1), probabilities.argmax(axis=1) == held_out.labels
    if target_error is not None and min_confidence is None:
        return threshold_for_error(confidences, hits, target_error)
    if min_confidence is not None and target_error is None:
        return threshold_at(confidences, hits, min_confidence)
    raise SettingsError("Give either a target error or a minimum confidence.")


def conformal_sets(
    classifier: Classifier, alpha: float, method: ConformalMethod = "lac", *, per_class: bool = False
) -> ConformalSets:
    """The rule for sets of classes that hold a picture's own class with a probability of 1 - `alpha`.

    Args:
        classifier: with held-out predictions.
        alpha: in (0, 1).
        method: "lac" or "aps", see `metrics.conformal.ConformalSets`.
        per_class: whether that is to hold for each class's pictures.

    Raises:
        ClassifierError: the classifier has no held-out predictions.
        SettingsError: `alpha` is out of its range, or the method is unknown.
        DataError: there are too few validation images for `alpha`.
    """
    held_out = _held_out(classifier, "A set of classes with a promise")
    return fit_conformal_sets(
        held_out.labels,
        classifier.calibration.probabilities(held_out.logits),
        draws(held_out.keys),
        alpha,
        method=method,
        per_class=per_class,
        class_names=classifier.class_names,
    )


def class_sets(
    classifier: Classifier,
    images: NDArray[np.uint8],
    alpha: float,
    method: ConformalMethod = "lac",
    *,
    per_class: bool = False,
) -> NDArray[np.bool_]:
    """Sets of classes that hold an image's own class with a probability of 1 - `alpha`; some may be empty.

    Args:
        classifier: with held-out predictions.
        images: uint8 [N, H, W, C], as for `Classifier.predict`. The same pixels always get the same set.
        alpha: as for `conformal_sets`; so what is raised.
        method: likewise.
        per_class: likewise.

    Returns:
        bool [N, classes].
    """
    rule = conformal_sets(classifier, alpha, method, per_class=per_class)
    return rule.sets(classifier.calibration.probabilities(classifier.logits(images)), image_draws(images))


def unlike_training(
    classifier: Classifier, images: NDArray[np.uint8], share: float = DEFAULT_SHARE
) -> NDArray[np.bool_]:
    """Which images are unlike all that the classifier was trained on, by what its last layer reads of them.

    Args:
        classifier: with `known_images`.
        images: uint8 [N, H, W, C], as for `Classifier.predict`.
        share: of images like the validation images, that may be called so, in (0, 1).

    Returns:
        bool [N].

    Raises:
        ClassifierError: the classifier does not know what its training images were like.
        SettingsError: `share` is out of its range.
        DataError: there are too few validation images for it.
    """
    known = known_images(classifier)
    return known.score.distances(classifier.features(images)) > known.threshold(share)


def known_images(classifier: Classifier) -> KnownImages:
    """What tells images that are unlike a classifier's training images.

    Raises:
        ClassifierError: it has nothing of the kind.
    """
    if classifier.known_images is None:
        raise ClassifierError(
            "Whether pictures are unlike those that it was trained on, this classifier cannot tell: what those were "
            "like is not saved with it. Measure it with eyebright calibrate RUN, or train anew with --validation 0.1, "
            "say, where the run kept no validation images."
        )
    return classifier.known_images


def unlike_distance(classifier: Classifier, share: float | None) -> tuple[float | None, str]:
    """The distance past which an image is unlike the training images, or None and why the classifier cannot tell.

    Args:
        classifier: with or without `known_images`.
        share: as for `unlike_training`; None where nobody asked: `DEFAULT_SHARE`, if it can tell.

    Raises:
        EyebrightError: it cannot tell, and was asked to.
    """
    try:
        return known_images(classifier).threshold(DEFAULT_SHARE if share is None else share), ""
    except EyebrightError as error:
        if share is not None:
            raise
        return None, str(error)


def held_out_sets(classifier: Classifier, rule: ConformalSets) -> NDArray[np.bool_]:
    """The sets that a rule makes of the validation images themselves, bool [n, classes]."""
    held_out = _held_out(classifier, "Sets of validation images")
    return rule.sets(classifier.calibration.probabilities(held_out.logits), draws(held_out.keys))


def image_draws(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The number in 0 … 1 that each image's pixels amount to, float64 [N], for `ConformalSets.sets`."""
    return draws(hash_prefixes(image_hashes(images, np.arange(len(images)))))


def _held_out(classifier: Classifier, what: str) -> HeldOut:
    if classifier.held_out is None:
        raise ClassifierError(
            f"{what} needs the classifier's answers to validation images, and none are saved with it. Make them with "
            "eyebright calibrate RUN, or train anew with --validation 0.1, say, where the run kept no validation "
            "images."
        )
    return classifier.held_out
