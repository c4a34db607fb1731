"""Checkpoints: save all of a training's state, verify it, restore it to the bit.

Keras's own files restore neither dropout's state nor the place in the data, and load flipped bits without a word.
Here the data order, the schedule and dropout are pure functions of the step, so that a checkpoint is all variables of
model and optimizer, and a few numbers.
"""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright import storage
from eyebright.backend import keras
from eyebright.classifier import Classifier, arrays_to_npz, model_weights, npz_to_arrays
from eyebright.errors import CheckpointError, StorageError
from eyebright.models import Architecture, build_model

KIND = "eyebright-checkpoint"
VERSION = 1
_NAME = re.compile(r"step-(\d+)")


@dataclass
class TrainingState:
    """Where a training is, beside its variables.

    Attributes:
        step: number of steps done.
        train_seconds: seconds trained so far, over all processes that worked on it.
        best_step: the step whose weights were best on validation, or None before the first validation.
        best_accuracy: validation accuracy at that step.
        last_accuracy: validation accuracy when it was last measured, or None.
        epochs_without_gain: validations since then.
        stopped_early: whether patience ended the run.
    """

    step: int = 0
    train_seconds: float = 0.0
    best_step: int | None = None
    best_accuracy: float | None = None
    last_accuracy: float | None = None
    epochs_without_gain: int = 0
    stopped_early: bool = False


class Checkpoints:
    """The checkpoints of a run: `step-<n>` directories in its `checkpoints/`.

    Args:
        directory: `RUN/checkpoints`.
        keep: how many of the newest to keep.
    """

    def __init__(self, directory: Path, keep: int) -> None:
        self.directory = directory
        self._keep = keep

    def steps(self) -> list[int]:
        """The steps that have a checkpoint, in order. One that is being written does not count."""
        if not self.directory.is_dir():
            return []
        matches = (_NAME.fullmatch(entry.name) for entry in self.directory.iterdir())
        return sorted(int(match[1]) for match in matches if match)

    def save(self, state: TrainingState, model: keras.Model, optimizer: Any) -> None:
        """Write a checkpoint, whole or not at all, then remove those that are too many (never the best).

        Raises:
            StorageError: it cannot be written; the earlier ones are untouched.
        """
        parts = {
            "state.json": storage.json_bytes(asdict(state)),
            "variables.npz": arrays_to_npz({key: v.numpy() for key, v in _variables(model, optimizer).items()}),
        }
        self.directory.mkdir(exist_ok=True)
        storage.write_directory(self._path(state.step), parts, kind=KIND, version=VERSION)
        for step in self.steps()[: -self._keep]:
            if step != state.best_step:
                shutil.rmtree(self._path(step), ignore_errors=True)
        for unfinished in self.directory.glob(".*-step-*"):  # of a process that was killed while writing
            shutil.rmtree(unfinished, ignore_errors=True)

    def restore_newest(self, model: keras.Model, optimizer: Any) -> tuple[TrainingState, list[str]]:
        """Restore the newest checkpoint that verifies.

        Returns:
            The state, and a message for each damaged checkpoint that was passed over. Where there is no checkpoint
            at all: the state of a training that has not begun.

        Raises:
            CheckpointError: there are checkpoints and every one of them is damaged.
        """
        damaged: list[str] = []
        for step in reversed(self.steps()):
            try:
                return self.restore(checkpoint_name(step), model, optimizer), damaged
            except CheckpointError as error:
                damaged.append(str(error))
        if damaged:
            raise CheckpointError("\n".join([*damaged, f"{self.directory}: no checkpoint is intact. Train anew."]))
        return TrainingState(), []

    def restore(self, name: str, model: keras.Model, optimizer: Any = None) -> TrainingState:
        """Restore one checkpoint ("step-1000") into a model and, unless it is None, an optimizer.

        Raises:
            CheckpointError: it is not there, or damaged, or of another model.
        """
        path = self.directory / name
        if not _NAME.fullmatch(name) or not path.is_dir():
            known = ", ".join(checkpoint_name(step) for step in self.steps()) or "none"
            raise CheckpointError(f"{path}: there is no such checkpoint. There are: {known}.")
        try:
            parts = storage.read_directory(path, kind=KIND, version=VERSION)
            state = TrainingState(**json.loads(parts["state.json"]))
            arrays = npz_to_arrays(parts["variables.npz"])
            _assign(_variables(model, optimizer), arrays)
        except StorageError as error:
            raise CheckpointError(str(error)) from error
        except (ValueError, TypeError, KeyError) as error:
            raise CheckpointError(f"{path}: not a checkpoint of this run: {error}") from error
        return state

    def load_classifier(self, name: str, architecture: Architecture, class_names: tuple[str, ...]) -> Classifier:
        """The classifier of one checkpoint.

        Args:
            name: "step-1000".
            architecture: of the run.
            class_names: of the run.

        Raises:
            CheckpointError: no such checkpoint, or it is damaged.
        """
        model = build_model(architecture)
        self.restore(name, model)
        return Classifier(architecture, class_names, model_weights(model))

    def _path(self, step: int) -> Path:
        return self.directory / checkpoint_name(step)


def checkpoint_name(step: int) -> str:
    """The name of a step's checkpoint.

    >>> checkpoint_name(1000)
    'step-1000'
    """
    return f"step-{step}"


def _variables(model: keras.Model, optimizer: Any) -> dict[str, Any]:
    """All variables by a name that is unique: of the model by path, of the optimizer by position and path."""
    variables = {f"model/{variable.path}": variable for variable in model.weights}
    if optimizer is not None:
        variables |= {f"optimizer/{i}/{variable.path}": variable for i, variable in enumerate(optimizer.variables)}
    return variables


def _assign(variables: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> None:
    for name, variable in variables.items():
        array = arrays[name]
        if array.shape != tuple(variable.shape) or array.dtype != np.dtype(variable.dtype):
            raise ValueError(f"{name} is {array.dtype} {array.shape}, expected {variable.dtype} {variable.shape}")
    for name, variable in variables.items():
        variable.assign(arrays[name])
