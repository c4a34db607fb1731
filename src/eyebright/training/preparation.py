"""What comes before a run's first step: its settings settled on the data, its model, and what trains it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from eyebright.backend import BACKEND, available_threads, keras, processes, set_threads
from eyebright.data.dataset import Dataset
from eyebright.errors import SettingsError
from eyebright.models import Architecture, build_model, freeze, measure
from eyebright.models.transfer import freeze_statistics
from eyebright.settings import Settings
from eyebright.training.distillation import Teacher
from eyebright.training.engine import Engine
from eyebright.training.head import train_head
from eyebright.training.objective import Objective
from eyebright.training.optimizers import build_optimizer
from eyebright.training.plan import Plan
from eyebright.training.precision import resolve_precision
from eyebright.training.pretrained import Pretrained

_WHITENED_AT_MOST = 8_192  # values of an image


def settle(
    settings: Settings, dataset: Dataset, training: NDArray[np.int64], pretrained: Pretrained | None = None
) -> tuple[Settings, str]:
    """Check settings against the data, settle what they leave open, and set the threads of this process.

    Args:
        settings: as they were given.
        dataset: what to learn from.
        training: int64 [n], which of its images are for training.
        pretrained: what a transfer model begins with.

    Returns:
        The settings with a precision, a number of threads and a backbone's name, and the reason for that precision in
        words.

    Raises:
        SettingsError: a batch that is larger than the training set, or an augmentation or a whitening that the images
            don't allow.
    """
    if settings.batch_size > len(training):
        raise SettingsError(
            f"--batch-size {settings.batch_size}: larger than the training set ({len(training):,} images)."
        )
    settings.policy(dataset.image_shape)
    height, width, channels = dataset.image_shape
    if settings.preprocessing == "whitening" and height * width * channels > _WHITENED_AT_MOST:
        raise SettingsError(
            f"--preprocessing whitening: images of {height} × {width} × {channels} are too large for it (more than "
            f"{_WHITENED_AT_MOST:,} values, whose covariance would take gigabytes). Give compact-whitening."
        )
    if settings.precision == "float64" and BACKEND == "jax":
        raise SettingsError("--precision float64: is there on the backend tensorflow alone. Give --backend tensorflow.")
    architecture = architecture_of(settings, dataset, pretrained)
    precision, reason = resolve_precision(settings.precision, architecture)
    threads = settings.threads or available_threads()
    set_threads(threads)
    settled: dict[str, Any] = {"precision": precision, "threads": threads}
    if isinstance(architecture.backbone, str):
        settled["backbone"] = architecture.backbone
    return settings.model_copy(update=settled), reason


def architecture_of(settings: Settings, dataset: Dataset, pretrained: Pretrained | None = None) -> Architecture:
    """The shape of the model that these settings mean for this data set."""
    backbone = pretrained.backbone if pretrained else None
    return Architecture.of(settings, dataset.image_shape, len(dataset.class_names), backbone)


def build(settings: Settings, dataset: Dataset, pretrained: Pretrained | None = None) -> keras.Model:
    """The model of a run, its layers frozen as the settings say; what is not drawn from the seed has yet to `begin`."""
    model = build_model(architecture_of(settings, dataset, pretrained), settings.precision, settings.seed)
    if pretrained:
        freeze_statistics(model)
    freeze(model, settings.freeze)
    return model


def begin(
    model: keras.Model,
    settings: Settings,
    dataset: Dataset,
    training: NDArray[np.int64],
    pretrained: Pretrained | None,
    console: Console | None,
) -> None:
    """Give a model what it has before its first step: what it measures of the training images, or trained weights."""
    if pretrained is None:
        measure(model, dataset.images, training)
    else:
        pretrained.put_into(model)
        train_head(model, settings, dataset, training, console)


def build_engine(
    model: keras.Model, settings: Settings, dataset: Dataset, training: NDArray[np.int64], teacher: Teacher | None
) -> tuple[Plan, Engine]:
    """The plan of a run's steps, and what trains them."""
    optimizer = build_optimizer(settings, model)
    objective = Objective(settings, dataset.labels[training], len(dataset.class_names), teacher)
    plan = Plan(settings, training, dataset.image_shape)
    return plan, _engine_class()(model, optimizer, settings, dataset, plan, objective)


def _engine_class() -> type[Engine]:
    """That of the process's backend; the other's library may not be there."""
    if BACKEND == "jax" and processes() > 1:
        from eyebright.training.engine_group import GroupEngine

        return GroupEngine
    if BACKEND == "jax":
        from eyebright.training.engine_jax import JaxEngine

        return JaxEngine
    from eyebright.training.engine_tensorflow import TensorFlowEngine

    return TensorFlowEngine
