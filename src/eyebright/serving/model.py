"""One classifier as a server has it: loaded and verified, with its rules for abstaining, sets and unlike pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from eyebright.classifier import Classifier
from eyebright.prediction import ImageAnswers, answer_images
from eyebright.serving.options import AnswerOptions
from eyebright.uncertainty import abstention_threshold, conformal_sets, unlike_distance

VERSION = "1"  # of every model, for protocols that number them: there is one at a time


class ServedModel:
    """A classifier with its rules; immutable, and safe to ask from one thread at a time.

    Args:
        name: by which requests ask for it.
        classifier: what answers.
        options: what is said besides the classes.

    Raises:
        EyebrightError: the classifier cannot give what the options ask for.
    """

    def __init__(self, name: str, classifier: Classifier, options: AnswerOptions) -> None:
        self.name = name
        self.classifier = classifier
        self.min_confidence = options.min_confidence
        if options.target_error is not None:
            self.min_confidence = abstention_threshold(classifier, target_error=options.target_error).threshold
        self.sets = None
        if options.conformal is not None:
            self.sets = conformal_sets(
                classifier, options.conformal, options.conformal_method, per_class=options.per_class
            )
        self.unlike_distance, _ = unlike_distance(classifier, options.unlike_share)

    @classmethod
    def load(cls, name: str, path: Path, options: AnswerOptions, *, skip_golden: bool, threads: int) -> Self:
        """Read and verify an artefact, and compute once, so that the first request is not the slow one.

        Args:
            name: by which requests ask for it.
            path: of the artefact.
            options: what is said besides the classes.
            skip_golden: whether its golden images are not computed anew.
            threads: that compute.

        Raises:
            EyebrightError: it cannot be loaded, or cannot give what the options ask for.
        """
        model = cls(name, Classifier.load(path, skip_golden=skip_golden, threads=threads), options)
        model.answer(np.zeros((1, *model.image_shape), np.uint8))
        return model

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(height, width, channels) of the images that it takes."""
        return self.classifier.image_shape

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of its probabilities."""
        return self.classifier.class_names

    def answer(self, images: NDArray[np.uint8]) -> ImageAnswers:
        """What it says of images uint8 [N, H, W, C]."""
        return answer_images(self.classifier, images, self.sets, self.unlike_distance)

    def describe(self) -> dict[str, Any]:
        """What `GET /about` answers of it."""
        height, width, channels = self.image_shape
        about = self.classifier.about
        test, data = about.get("test", {}), about.get("data", {})
        trained_on = {"name": data.get("name"), "images": data.get("training_images")} if data else None
        return {
            "name": self.name,
            "class_names": list(self.class_names),
            "image": {"height": height, "width": width, "channels": channels, "fit": self.classifier.fit},
            "accuracy": test.get("accuracy"),
            "accuracy_ci95": test.get("accuracy_ci95"),
            "test_images": test.get("images"),
            "trained_on": trained_on,
            "licence": about.get("licence"),
            "min_confidence": self.min_confidence,
            "conformal_alpha": None if self.sets is None else self.sets.alpha,
            "tells_unlike_pictures": self.unlike_distance is not None,
            "explains": True,
        }
