"""Checkpoints: save all of a training's state, verify it, restore it to the bit.

Keras's own files restore neither dropout's state nor the place in the data, and load flipped bits without a word.
Here the data order, the schedule and dropout are pure functions of the step, so that a checkpoint is all variables of
model and optimizer, and a few numbers.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter

from eyebright import storage
from eyebright.arrays import arrays_to_npz, npz_to_arrays
from eyebright.backend import BACKEND, BACKENDS, keras, versions
from eyebright.classifier import Classifier
from eyebright.errors import CheckpointError, StorageError
from eyebright.models import Architecture
from eyebright.picture_options import DEFAULT_FIT, Fit
from eyebright.settings import TestTimeAugmentation

KIND = "eyebright-checkpoint"
VERSION = 1
_NAME = re.compile(r"step-(\d+)")
_MODEL = "model/"  # what the names of the model's variables begin with
_AVERAGE = "average/"  # and those of the averages of its weights


@dataclass
class TrainingState:
    """Where a training is, beside its variables.

    Attributes:
        step: number of steps done.
        train_seconds: seconds trained so far, over all processes that worked on it; what comes before the first step (a
            transfer model's last layer, what is measured of the images) is a part of it.
        best_step: the step whose weights were best on validation, or None before the first validation.
        best_accuracy: validation accuracy at that step.
        last_accuracy: validation accuracy when it was last measured, or None.
        epochs_without_gain: validations since then.
        stopped_early: whether patience ended the run.
        compile_seconds: of the train_seconds, those that JAX compiled in; of TensorFlow they are not known.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)  # for reading it back

    step: int = 0
    train_seconds: float = 0.0
    best_step: int | None = None
    best_accuracy: float | None = None
    last_accuracy: float | None = None
    epochs_without_gain: int = 0
    stopped_early: bool = False
    compile_seconds: float = 0.0


_STATE = TypeAdapter(TrainingState)


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

    def save(self, state: TrainingState, variables: Mapping[str, Any]) -> None:
        """Write a checkpoint, whole or not at all, then remove those that are too many (never the best).

        Args:
            state: where the training is.
            variables: all of its variables, see `training_variables`.

        Raises:
            StorageError: it cannot be written; the earlier ones are untouched.
        """
        parts = {
            "state.json": storage.json_bytes(asdict(state)),
            "variables.npz": arrays_to_npz({key: variable.numpy() for key, variable in variables.items()}),
        }
        storage.write_directory(self._path(state.step), parts, kind=KIND, version=VERSION, versions=versions())
        # One of a later step was passed over as damaged: it goes too, so that it is not taken for one of the newest.
        wanted = {state.best_step, *[step for step in self.steps() if step <= state.step][-self._keep :]}
        for step in set(self.steps()) - wanted:
            shutil.rmtree(self._path(step), ignore_errors=True)
        for unfinished in self.directory.glob(".*-step-*"):  # of a process that was killed while writing
            shutil.rmtree(unfinished, ignore_errors=True)

    def restore_newest(self, variables: Mapping[str, Any]) -> tuple[TrainingState, list[str]]:
        """Put the newest checkpoint that verifies into a training's variables.

        Returns:
            The state, and notes for the person, whole sentences: each damaged checkpoint that was passed over, and
            another backend, or another version of it or of Keras. Where there is no checkpoint at all: the state of a
            training that has not begun.

        Raises:
            CheckpointError: there are checkpoints and every one of them is damaged.
        """
        damaged: list[str] = []
        for step in reversed(self.steps()):
            name = checkpoint_name(step)
            try:
                state = self.restore(name, variables)
            except CheckpointError as error:
                damaged.append(str(error))
            else:
                return state, [*(f"Passed over: {message}" for message in damaged), *self._other_versions(name)]
        if damaged:
            raise CheckpointError("\n".join([*damaged, f"{self.directory}: no checkpoint is intact. Train anew."]))
        return TrainingState(), []

    def restore(self, name: str, variables: Mapping[str, Any]) -> TrainingState:
        """Put one checkpoint ("step-1000") into a training's variables.

        Raises:
            CheckpointError: it is not there, or damaged, or of another model.
        """
        state, arrays = self._read(name)
        differing = sorted(_shapes(variables).items() ^ _shapes(arrays).items())
        if differing:
            raise CheckpointError(
                f"{self.directory / name}: not a checkpoint of this model and optimizer: {differing[0][0]} differs."
            )
        for key, variable in variables.items():
            variable.assign(arrays[key])
        return state

    def restore_best(self, state: TrainingState, variables: Mapping[str, Any]) -> None:
        """Put the checkpoint that was best on validation into a training's variables.

        Raises:
            CheckpointError: their checkpoint is damaged.
        """
        try:
            self.restore(checkpoint_name(state.best_step or 0), variables)
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}\nIt held the best weights, which --restore-best saves. Train anew."
            ) from error

    def load_classifier(
        self,
        name: str,
        architecture: Architecture,
        class_names: tuple[str, ...],
        tta: TestTimeAugmentation = "none",
        fit: Fit = DEFAULT_FIT,
    ) -> Classifier:
        """The classifier of one checkpoint, of the averaged weights where the training averages.

        Args:
            name: "step-1000".
            architecture: of the run.
            class_names: of the run.
            tta: of the run.
            fit: of the run.

        Raises:
            CheckpointError: no such checkpoint, or it is damaged.
        """
        _, arrays = self._read(name)
        weights = {
            key.removeprefix(prefix): array
            for prefix in (_MODEL, _AVERAGE)  # the second replaces what is in both
            for key, array in arrays.items()
            if key.startswith(prefix)
        }
        return Classifier(architecture, class_names, weights, tta, fit)

    def _read(self, name: str) -> tuple[TrainingState, dict[str, NDArray[Any]]]:
        path = self.directory / name
        if not _NAME.fullmatch(name) or not path.is_dir():
            known = ", ".join(checkpoint_name(step) for step in self.steps()) or "none"
            raise CheckpointError(f"{path}: there is no such checkpoint. There are: {known}.")
        try:
            parts = storage.read_directory(path, kind=KIND, version=VERSION)
            state, arrays = _STATE.validate_json(parts["state.json"]), npz_to_arrays(parts["variables.npz"])
        except StorageError as error:
            raise CheckpointError(str(error)) from error
        except (ValueError, KeyError) as error:  # verified, and written by another
            raise CheckpointError(f"{path}: no valid checkpoint: {error}.") from error
        if checkpoint_name(state.step) != name:
            raise CheckpointError(f"{path}: no valid checkpoint: its state is that of step {state.step}.")
        return state, arrays

    def _other_versions(self, name: str) -> list[str]:
        """A note for each library that a checkpoint was written with another version of, where it computes."""
        path, now = self.directory / name, versions()
        written = storage.read_versions(path)
        return [
            f"{path}: written with {library} {written[library]}, restored with {now[library]}: from here on results "
            "may differ from those of a run that never stopped."
            for library in ("keras", *BACKENDS)
            if library in now and written.get(library, now[library]) != now[library]
        ] + [
            f"{path}: written by {library}, and this goes on with {BACKEND}: results are the same but for rounding "
            "and for dropout's random numbers."
            for library in BACKENDS
            if library in written and library != BACKEND
        ]

    def _path(self, step: int) -> Path:
        return self.directory / checkpoint_name(step)


def checkpoint_name(step: int) -> str:
    """The name of a step's checkpoint.

    >>> checkpoint_name(1000)
    'step-1000'
    """
    return f"step-{step}"


def training_variables(model: keras.Model, optimizer: Any, averages: Mapping[str, Any]) -> dict[str, Any]:
    """All variables of a training by a name that is the same in every process.

    Those of the optimizer go by their position: in their paths Keras counts the optimizers that the process has made.

    Args:
        model: what is trained.
        optimizer: what trains it.
        averages: the averages of the model's weights, by the paths of these; empty where there are none.
    """
    variables = {f"{_MODEL}{variable.path}": variable for variable in model.weights}
    variables |= {f"optimizer/{i}": variable for i, variable in enumerate(optimizer.variables)}
    return variables | {f"{_AVERAGE}{path}": average for path, average in averages.items()}


def _shapes(arrays: Mapping[str, Any]) -> dict[str, tuple[tuple[int, ...], str]]:
    # Whole numbers, of which there is the count of steps alone, are of 64 bits in TensorFlow and of 32 in JAX.
    kinds = {"int64": "int", "int32": "int"}
    return {key: (tuple(array.shape), kinds.get(str(array.dtype), str(array.dtype))) for key, array in arrays.items()}
