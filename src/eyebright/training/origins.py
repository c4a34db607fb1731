"""What a run begins with that was trained before it, a backbone and a teacher, and its copies of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.data.split import Split
from eyebright.run_directory import RunDirectory
from eyebright.settings import Settings
from eyebright.sources import flag
from eyebright.training.distillation import Teacher, keep_teacher, load_teacher, run_teacher
from eyebright.training.learnt_images import FILE, LearntImages, refuse_leaks
from eyebright.training.pretrained import NAMED_WEIGHTS, Pretrained, keep, load_pretrained, run_pretrained


@dataclass(frozen=True)
class Origins:
    """Trained networks that a run, or each run of a cross-validation, begins with.

    Attributes:
        pretrained: the backbone of a transfer model.
        teacher: what the run learns from.
        learnt: what they have learnt from.
    """

    pretrained: Pretrained | None
    teacher: Classifier | None
    learnt: LearntImages

    def teaching(self, precision: str) -> Teacher | None:
        """The teacher, to learn from in a precision."""
        return None if self.teacher is None else Teacher(self.teacher, precision)

    def keep(self, run: RunDirectory) -> None:
        """Keep copies in a directory whose lock is held, to go on from whatever becomes of the originals."""
        keep(run, self.pretrained)
        keep_teacher(run, self.teacher)


def load_origins(
    settings: Settings, dataset: Dataset, keys: NDArray[np.uint64], splits: Sequence[Split], console: Console | None
) -> Origins:
    """What the settings name, where it has not learnt from what it would be tested on.

    Args:
        settings: of the run.
        dataset: what is to be learnt.
        keys: of its images, see `image_keys`.
        splits: of the run, or of all the runs of a cross-validation.
        console: where to show the progress of a download, and what is suspected; None shows nothing.

    Raises:
        ClassifierError: a saved classifier is missing or damaged.
        DownloadError: see `load_pretrained`.
        SettingsError: a network that does not fit, or one that has seen the test images.
        StorageError: it is recorded what it has learnt from, and the record is damaged.
    """
    pretrained, teacher = load_pretrained(settings, dataset, console), load_teacher(settings, dataset)
    paths = {"teacher": settings.teacher}
    if pretrained is not None and settings.weights not in NAMED_WEIGHTS:
        paths["weights"] = settings.weights
    known = LearntImages()
    for name, path in paths.items():
        if path is not None:
            learnt = LearntImages.of_classifier(path)
            refuse_leaks(f"{flag(name)} {path}", learnt, dataset, keys, splits, console)
            known |= learnt
    return Origins(pretrained, teacher, known)


def kept_origins(run: RunDirectory, dataset: Dataset, console: Console | None) -> Origins:
    """Those of a run or cross-validation: its copies, or the originals where it was killed before it had kept any.

    Raises:
        ClassifierError: a copy is damaged.
        EyebrightError: there is no copy, and the original cannot be had either.
    """
    path = run.path / FILE
    learnt = LearntImages.read(path) if path.is_file() else LearntImages(complete=False)  # older runs have none
    return Origins(run_pretrained(run, dataset, console), run_teacher(run, dataset), learnt)
