"""What augmentation makes of some training images: the very images that a run's steps are trained on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eyebright.augmentation import Augmentation
from eyebright.backend import BACKEND, keras
from eyebright.compilation import Compiled
from eyebright.data.dataset import Dataset
from eyebright.settings import Settings
from eyebright.training.augmentation.apply import apply
from eyebright.training.batches import batch_positions, steps_per_epoch
from eyebright.training.plan import Plan, Steps


class View(NamedTuple):
    """An image as one step is trained on it.

    Attributes:
        step: number of the step, from 0.
        image: uint8 [H, W, C].
        target: float32 [classes], the share of each class; they add up to 1.
    """

    step: int
    image: NDArray[np.uint8]
    target: NDArray[np.float32]


class Row(NamedTuple):
    """A training image and its views, one an epoch.

    Attributes:
        number: of the image in its data set.
        image: uint8 [H, W, C], as it is.
        label: of the image.
        views: in the order of the epochs; None where the image is in no batch of an epoch.
    """

    number: int
    image: NDArray[np.uint8]
    label: int
    views: list[View | None]


class Preview(NamedTuple):
    """Some images of a step's batch.

    Attributes:
        policy: what is done to them.
        first_epoch: that of the step and of each row's first view, from 0.
        rows: one an image, in the order of the batch.
    """

    policy: Augmentation
    first_epoch: int
    rows: list[Row]


def preview(
    settings: Settings, dataset: Dataset, training: NDArray[np.int64], step: int, images: int, epochs: int
) -> Preview:
    """The first images of a step's batch, as they are trained on in the step's epoch and in those after it.

    Each view is taken from the whole batch of its step, so that an image is mixed with the one that it is mixed with in
    training. The run's length does not matter: a step is the same in every run that comes to it.

    Args:
        settings: the run's; the batch size is not larger than the training set.
        dataset: where the images come from.
        training: int64 [n], which images of the data set are for training.
        step: its number, from 0.
        images: how many to show; of a smaller batch, all.
        epochs: how many to show.

    Raises:
        SettingsError: an augmentation that the images don't allow.
    """
    plan = Plan(settings, training, dataset.image_shape)
    per_epoch = steps_per_epoch(len(training), settings.batch_size)
    first_epoch = step // per_epoch
    shown = plan.steps(np.array([step])).rows[0, :images]
    rows = {index: Row(index, dataset.images[index], int(dataset.labels[index]), []) for index in shown.tolist()}
    for epoch in range(first_epoch, first_epoch + epochs):
        numbers = np.arange(epoch * per_epoch, (epoch + 1) * per_epoch)
        batches = training[batch_positions(settings.seed, numbers, len(training), settings.batch_size)]  # [k, B]
        steps = plan.steps(numbers[np.isin(batches, shown).any(axis=1)])  # few: drawing all would take long
        for row in rows.values():
            row.views.append(None)
        for i, number in enumerate(steps.numbers.tolist()):
            new_images, targets = augmented_batch(plan.policy, dataset, steps, i)
            for place in np.flatnonzero(np.isin(steps.rows[i], shown)):
                rows[int(steps.rows[i, place])].views[-1] = View(number, new_images[place], targets[place])
    return Preview(plan.policy, first_epoch, list(rows.values()))


def augmented_batch(policy: Augmentation, dataset: Dataset, steps: Steps, i: int) -> tuple[Any, Any]:
    """The batch of one of some steps as it is trained on: uint8 [B, H, W, C], and targets float32 [B, classes]."""
    rows = steps.rows[i]
    targets = keras.ops.one_hot(dataset.labels[rows], len(dataset.class_names))
    parameters = {name: keras.ops.convert_to_tensor(array[i]) for name, array in steps.augmentation.items()}
    change: Callable[..., Any] = partial(apply, policy)
    if BACKEND == "jax":  # operation by operation it would be compiled a hundred times
        change = Compiled(change)
    images, targets = change(keras.ops.convert_to_tensor(dataset.images[rows]), targets, parameters)
    return keras.ops.convert_to_numpy(images), keras.ops.convert_to_numpy(targets)
