"""Pictures in, named probabilities out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress, count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.decode import decode_image
from eyebright.data.parallel import in_threads
from eyebright.errors import ImageError
from eyebright.metrics.conformal import ConformalSets
from eyebright.uncertainty import image_draws, known_images

PICTURES_AT_ONCE = 256  # bounds the memory, however many there are


@dataclass(frozen=True)
class Prediction:
    """What a classifier says of one picture, or why it could not be read.

    Attributes:
        image: the path, as it was given.
        top: the likeliest classes with their probabilities, the first the likeliest; empty after an error.
        error: what is wrong with the picture, or None.
        abstained: whether the likeliest class is not likely enough to be given as an answer; None where no threshold
            was asked for.
        unlike_training: whether it is unlike all that the classifier was trained on; None where that was not asked for.
        classes: the classes of a conformal set, the likeliest first, perhaps none; None where no sets were asked for.
    """

    image: str
    top: tuple[tuple[str, float], ...] = ()
    error: str | None = None
    abstained: bool | None = None
    classes: tuple[str, ...] | None = None
    unlike_training: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """As `predict --json` prints it."""
        if self.error is not None:
            return {"image": self.image, "error": self.error}
        label, probability = self.top[0]
        top = [{"label": name, "probability": p} for name, p in self.top]
        answer: dict[str, Any] = {"image": self.image, "label": label, "probability": probability, "top": top}
        if self.abstained is not None:
            answer["abstained"] = self.abstained
        if self.classes is not None:
            answer["set"] = list(self.classes)
        if self.unlike_training is not None:
            answer["unlike_training"] = self.unlike_training
        return answer


class ImageAnswers(NamedTuple):
    """What a classifier says of some images, as arrays.

    Attributes:
        probabilities: float64 [N, classes], calibrated.
        members: bool [N, classes], which classes are in each image's set; None where no sets were asked for.
        unlike: bool [N], which images are unlike all that it was trained on; None where that was not asked for.
    """

    probabilities: NDArray[np.floating]
    members: NDArray[np.bool_] | None
    unlike: NDArray[np.bool_] | None


def predict_files(
    classifier: Classifier,
    paths: Sequence[str | Path],
    top: int = 5,
    *,
    min_confidence: float | None = None,
    sets: ConformalSets | None = None,
    unlike_distance: float | None = None,
) -> Iterator[Prediction]:
    """Classify picture files of any size and mode.

    Args:
        classifier: what to ask.
        paths: the files.
        top: how many classes to name for each, at least 1.
        min_confidence: the probability below which it abstains, 0 … 1, for example
            `abstention_threshold(classifier, target_error=0.01).threshold`; None never abstains.
        sets: the rule for sets of classes, of `conformal_sets`; None makes none.
        unlike_distance: past it a picture is unlike the training images, `KnownImages.threshold`; None does not ask.

    Yields:
        One prediction a path, in the order given, `PICTURES_AT_ONCE` at a time. A picture that cannot be read has
        its error in its place; the others are answered.
    """
    decode = partial(_decoded, classifier=classifier)
    for start in range(0, len(paths), PICTURES_AT_ONCE):
        chunk = paths[start : start + PICTURES_AT_ONCE]
        decoded = list(in_threads(decode, chunk))
        pictures = [picture for picture in decoded if isinstance(picture, np.ndarray)]
        answers = answer_images(classifier, np.stack(pictures), sets, unlike_distance) if pictures else None
        numbers = count()
        for path, picture in zip(chunk, decoded, strict=True):
            if answers is None or isinstance(picture, ImageError):
                yield Prediction(str(path), error=str(picture))
            else:
                yield named(answers, next(numbers), str(path), classifier.class_names, top, min_confidence)


def answer_images(
    classifier: Classifier,
    images: NDArray[np.uint8],
    sets: ConformalSets | None = None,
    unlike_distance: float | None = None,
) -> ImageAnswers:
    """What a classifier says of images.

    Args:
        classifier: what to ask.
        images: uint8 [N, H, W, C], of its `image_shape`.
        sets: as for `predict_files`.
        unlike_distance: likewise.

    Raises:
        DataError: images of another shape or type.
    """
    unlike: NDArray[np.bool_] | None = None
    if unlike_distance is None:
        logits = classifier.logits(images)
    else:
        logits, features = classifier.answers(images)
        unlike = known_images(classifier).score.distances(features) > unlike_distance  # [N]
    probabilities = classifier.calibration.probabilities(logits)  # [N, classes]
    members = None if sets is None else sets.sets(probabilities, image_draws(images))  # [N, classes]
    return ImageAnswers(probabilities, members, unlike)


def named(
    answers: ImageAnswers,
    number: int,
    image: str,
    class_names: tuple[str, ...],
    top: int = 5,
    min_confidence: float | None = None,
) -> Prediction:
    """The prediction of one of some images that were answered.

    Args:
        answers: of all of them.
        number: which one.
        image: its name.
        class_names: in the order of the classifier's outputs.
        top: as for `predict_files`.
        min_confidence: likewise.
    """
    row = answers.probabilities[number]
    order = np.argsort(-row, kind="stable")
    names = [class_names[i] for i in order]
    return Prediction(
        image,
        tuple(zip(names[:top], row[order[:top]].tolist(), strict=True)),
        abstained=None if min_confidence is None else bool(row.max() < min_confidence),
        classes=None if answers.members is None else tuple(compress(names, answers.members[number, order])),
        unlike_training=None if answers.unlike is None else bool(answers.unlike[number]),
    )


def _decoded(path: str | Path, classifier: Classifier) -> NDArray[np.uint8] | ImageError:
    try:
        return decode_image(Path(path), classifier.image_shape, classifier.fit)
    except ImageError as error:
        return error
