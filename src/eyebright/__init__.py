"""Eyebright: from labelled images to an image classifier that you can trust, reproduce and put to work.

    >>> from eyebright import load_dataset
    >>> digits = load_dataset("digits")
    >>> digits.image_shape, len(digits)
    ((8, 8, 1), 1797)

Names are imported when they are first used: `import eyebright` alone loads neither Keras nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eyebright.classifier import Classifier
    from eyebright.cross_validation import CrossValidation, cross_validate, resume_cross_validation
    from eyebright.data.dataset import Dataset
    from eyebright.data.loading import load_dataset
    from eyebright.errors import EyebrightError
    from eyebright.evaluation.evaluate import evaluate
    from eyebright.evaluation.explain import explain
    from eyebright.presets import preset_settings
    from eyebright.settings import Settings
    from eyebright.several_seeds import SeveralSeeds, resume_seeds, train_seeds
    from eyebright.training.recalibration import calibrate
    from eyebright.training.trainer import Run, resume, train
    from eyebright.tuning.space import SearchSpace
    from eyebright.tuning.tune import Search, resume_tuning, tune
    from eyebright.uncertainty import abstention_threshold, class_sets, unlike_training

__version__ = "0.1.0"

_HOMES = {
    "Classifier": "eyebright.classifier",
    "CrossValidation": "eyebright.cross_validation",
    "Dataset": "eyebright.data.dataset",
    "EyebrightError": "eyebright.errors",
    "Run": "eyebright.training.trainer",
    "Search": "eyebright.tuning.tune",
    "SearchSpace": "eyebright.tuning.space",
    "Settings": "eyebright.settings",
    "SeveralSeeds": "eyebright.several_seeds",
    "abstention_threshold": "eyebright.uncertainty",
    "calibrate": "eyebright.training.recalibration",
    "class_sets": "eyebright.uncertainty",
    "cross_validate": "eyebright.cross_validation",
    "evaluate": "eyebright.evaluation.evaluate",
    "explain": "eyebright.evaluation.explain",
    "load_dataset": "eyebright.data.loading",
    "preset_settings": "eyebright.presets",
    "resume": "eyebright.training.trainer",
    "resume_cross_validation": "eyebright.cross_validation",
    "resume_seeds": "eyebright.several_seeds",
    "resume_tuning": "eyebright.tuning.tune",
    "train": "eyebright.training.trainer",
    "train_seeds": "eyebright.several_seeds",
    "tune": "eyebright.tuning.tune",
    "unlike_training": "eyebright.uncertainty",
}

__all__ = [
    "Classifier",
    "CrossValidation",
    "Dataset",
    "EyebrightError",
    "Run",
    "Search",
    "SearchSpace",
    "Settings",
    "SeveralSeeds",
    "abstention_threshold",
    "calibrate",
    "class_sets",
    "cross_validate",
    "evaluate",
    "explain",
    "load_dataset",
    "preset_settings",
    "resume",
    "resume_cross_validation",
    "resume_seeds",
    "resume_tuning",
    "train",
    "train_seeds",
    "tune",
    "unlike_training",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'eyebright' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
