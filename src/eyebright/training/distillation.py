"""Distillation: a student learns from the probabilities of a teacher as well as from the labels."""

from __future__ import annotations

from typing import Any

from eyebright.backend import keras
from eyebright.classifier import Classifier
from eyebright.data.dataset import Dataset
from eyebright.errors import ClassifierError, SettingsError
from eyebright.models import build_model
from eyebright.models.network import load_weights
from eyebright.run_directory import RunDirectory
from eyebright.settings import Settings

_KEPT = "teacher"  # the saved classifier of the teacher, in the student's run


def load_teacher(settings: Settings, dataset: Dataset) -> Classifier | None:
    """The teacher that the settings name, or None.

    Raises:
        ClassifierError: there is no saved classifier, or it is damaged.
        SettingsError: it cannot teach these classes or see these images.
    """
    if settings.teacher is None:
        return None
    try:
        teacher = Classifier.load(settings.teacher)
    except ClassifierError as error:
        raise ClassifierError(f"--teacher: {error}") from error
    _check(teacher, settings.teacher, dataset)
    return teacher


def keep_teacher(run: RunDirectory, teacher: Classifier | None) -> None:
    """Keep a copy in the run, whose lock is held, so that it can go on whatever becomes of the original."""
    if teacher is not None and not (run.path / _KEPT).is_dir():
        teacher.save(run.path / _KEPT)


def run_teacher(run: RunDirectory, dataset: Dataset) -> Classifier | None:
    """The teacher of a run: its copy, or the original where it was killed before it had kept one.

    Raises:
        ClassifierError: the copy is damaged; or there is none yet, and no original either.
        SettingsError: there is no copy yet, and the original can no longer teach these images.
    """
    kept = run.path / _KEPT
    return Classifier.load(kept) if kept.is_dir() else load_teacher(run.settings, dataset)


class Teacher:
    """A teacher's logits, for use in a compiled step.

    By one view of each image: the teacher's own test-time augmentation, if it has one, is left out.

    Args:
        teacher: the saved classifier.
        precision: of its matrix products.
    """

    def __init__(self, teacher: Classifier, precision: str) -> None:
        self._model = build_model(teacher.architecture, precision)
        load_weights(self._model, teacher.weights)

    @property
    def variables(self) -> list[Any]:
        """Its weights, as Keras has them."""
        return list(self._model.variables)

    def __call__(self, images: Any) -> Any:
        """Logits [B, classes] of images, uint8 [B, H, W, C]."""
        return keras.ops.stop_gradient(self._model(images, training=False))


def distillation_loss(logits: Any, teacher: Any, temperature: float) -> Any:
    """How far the student is from the teacher: T² · KL(teacher ‖ student) at a temperature T, the mean of a batch.

    Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network", 2015; T² keeps the gradient's size
    the same at any temperature.

    Args:
        logits: float [B, classes], the student's.
        teacher: float [B, classes], the teacher's logits.
        temperature: T, > 0.

    Returns:
        A scalar, in nats.
    """
    own = keras.ops.log_softmax(logits / temperature)
    theirs = keras.ops.log_softmax(keras.ops.cast(teacher, logits.dtype) / temperature)
    divergence = keras.ops.sum(keras.ops.exp(theirs) * (theirs - own), axis=-1)
    return temperature**2 * keras.ops.mean(divergence)


def _check(teacher: Classifier, path: str, dataset: Dataset) -> None:
    if teacher.image_shape != dataset.image_shape:
        own, theirs = (" × ".join(map(str, shape)) for shape in (teacher.image_shape, dataset.image_shape))
        raise SettingsError(
            f"--teacher {path}: it sees images of {own} (height × width × channels), and those of {dataset.name} are "
            f"{theirs}. Give a teacher that was trained on images of this size."
        )
    if teacher.class_names == dataset.class_names:
        return
    if len(teacher.class_names) != len(dataset.class_names):
        difference = f"it knows {len(teacher.class_names)} of them, {dataset.name} has {len(dataset.class_names)}"
    else:
        pairs = enumerate(zip(teacher.class_names, dataset.class_names, strict=True))
        place, (own, theirs) = next((place, pair) for place, pair in pairs if pair[0] != pair[1])
        difference = f"class {place} is {own!r} there and {theirs!r} in {dataset.name}"
    raise SettingsError(
        f"--teacher {path}: its classes are others: {difference}. Give a teacher that was trained on the same classes."
    )
