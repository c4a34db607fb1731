"""Pictures in, named probabilities out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.data.decode import decode_image
from eyebright.data.parallel import in_threads
from eyebright.errors import ImageError
from eyebright.metrics.conformal import ConformalSets
from eyebright.uncertainty import image_draws, known_images

_PICTURES_AT_ONCE = 256  # bounds the memory, however many there are


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
        One prediction a path, in the order given, `_PICTURES_AT_ONCE` at a time. A picture that cannot be read has
        its error in its place; the others are answered.
    """
    decode = partial(_decoded, classifier=classifier)
    for start in range(0, len(paths), _PICTURES_AT_ONCE):
        chunk = paths[start : start + _PICTURES_AT_ONCE]
        decoded = list(in_threads(decode, chunk))
        pictures = [picture for picture in decoded if isinstance(picture, np.ndarray)]
        answers = (
            _answers(classifier, np.stack(pictures), top, min_confidence, sets, unlike_distance)
            if pictures
            else iter(())
        )
        for path, picture in zip(chunk, decoded, strict=True):
            if isinstance(picture, ImageError):
                yield Prediction(str(path), error=str(picture))
            else:
                yield replace(next(answers), image=str(path))


def _answers(
    classifier: Classifier,
    images: NDArray[np.uint8],
    top: int,
    min_confidence: float | None,
    sets: ConformalSets | None,
    unlike_distance: float | None,
) -> Iterator[Prediction]:
    """What the classifier says of images [N, H, W, C], without their names."""
    unlike: NDArray[np.bool_] | None = None
    if unlike_distance is None:
        logits = classifier.logits(images)
    else:
        logits, features = classifier.answers(images)
        unlike = known_images(classifier).score.distances(features) > unlike_distance  # [N]
    probabilities = classifier.calibration.probabilities(logits)  # [N, classes]
    members = None if sets is None else sets.sets(probabilities, image_draws(images))  # [N, classes]
    for number, row in enumerate(probabilities):
        order = np.argsort(-row, kind="stable")
        names = [classifier.class_names[i] for i in order]
        yield Prediction(
            "",
            tuple(zip(names[:top], row[order[:top]].tolist(), strict=True)),
            abstained=None if min_confidence is None else bool(row.max() < min_confidence),
            classes=None if members is None else tuple(compress(names, members[number, order])),
            unlike_training=None if unlike is None else bool(unlike[number]),
        )


def _decoded(path: str | Path, classifier: Classifier) -> NDArray[np.uint8] | ImageError:
    try:
        return decode_image(Path(path), classifier.image_shape, classifier.fit)
    except ImageError as error:
        return error
