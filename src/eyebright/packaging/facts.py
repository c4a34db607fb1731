"""What is known of a run's classifier, for those who only have its artefact: `about.json`."""

from __future__ import annotations

from typing import Any

from eyebright.classifier import Classifier
from eyebright.errors import EyebrightError
from eyebright.known_images import DEFAULT_SHARE
from eyebright.run_directory import RunDirectory
from eyebright.uncertainty import abstention_threshold, known_images

TARGET_ERRORS = (0.01, 0.05, 0.1)  # for which thresholds are told, where validation images show them


def about(
    run: RunDirectory, classifier: Classifier, name: str | None = None, licence: str | None = None
) -> dict[str, Any]:
    """The facts of a run that its classifier does not hold itself, as JSON has them.

    Args:
        run: a finished run.
        classifier: the one that it saved.
        name: what to call it; the name of the data if not given.
        licence: under which it may be used, an identifier of SPDX or of Hugging Face, say; None where that is not said.
    """
    results = run.results or {}
    data = run.data
    return {
        "name": name or data.name,
        "licence": licence,
        "model": classifier.architecture.model,
        "parameters": classifier.parameters,
        "weights_sha256": classifier.weights_sha256,
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "training_images": data.training_images,
            "validation_images": data.validation_images,
            "test_images": data.test_images,
        },
        "test": {
            key: results.get(f"test_{key}")
            for key in ("accuracy", "accuracy_ci95", "accuracy_one_view", "loss", "images", "looks")
        },
        "thresholds": {"unlike_training": _unlike(classifier), "abstaining": _abstaining(classifier)},
        "training": {
            "preset": run.settings.preset,
            "seed": run.settings.seed,
            **{key: results.get(key) for key in ("steps", "train_seconds", "precision", "backend", "versions")},
        },
    }


def _unlike(classifier: Classifier) -> dict[str, float] | None:
    """Past which distance a picture is unlike the training images, by `predict`'s default; None where none can tell."""
    try:
        return {"share": DEFAULT_SHARE, "distance": known_images(classifier).threshold(DEFAULT_SHARE)}
    except EyebrightError:
        return None


def _abstaining(classifier: Classifier) -> list[dict[str, float]]:
    """Below which probability to abstain for some errors, of those that validation images can show."""
    found = []
    for target in TARGET_ERRORS:
        try:
            threshold = abstention_threshold(classifier, target_error=target)
        except EyebrightError:  # too few images, or too many of them wrong
            continue
        found.append({"target_error": target, "min_confidence": threshold.threshold, "coverage": threshold.coverage})
    return found
