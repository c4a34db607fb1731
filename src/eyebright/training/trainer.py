"""A whole training run, to be read from top to bottom: `train` begins one, `resume` goes on with one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from eyebright.backend import available_threads, keras, set_threads
from eyebright.classifier import Classifier, model_weights
from eyebright.data.dataset import Dataset
from eyebright.data.split import Split, split_dataset
from eyebright.errors import SettingsError, TrainingError, TrainingInterrupted
from eyebright.metrics.scores import accuracy_score, log_loss
from eyebright.models import Architecture, build_model
from eyebright.run_directory import DataRecord, RunDirectory, check_free
from eyebright.settings import Settings
from eyebright.training.batches import batch_positions, steps_per_epoch
from eyebright.training.checkpoint import Checkpoints, TrainingState
from eyebright.training.engine_tensorflow import StepRecords, TensorFlowEngine
from eyebright.training.extension import extended_settings
from eyebright.training.interrupts import Interrupts
from eyebright.training.monitor import Monitor
from eyebright.training.optimizers import build_optimizer
from eyebright.training.precision import resolve_precision
from eyebright.training.progress import say
from eyebright.training.results import finish_run
from eyebright.training.schedule import learning_rates

_SECONDS_IN_ONE_CALL = 0.5  # at most about this long between two looks at Ctrl-C and the progress bar


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: its directory.
        results: what its results.json holds, `test_accuracy` and `test_accuracy_ci95` among them.
    """

    path: Path
    results: dict[str, Any]

    @property
    def classifier(self) -> Classifier:
        """The classifier that the run saved."""
        return Classifier.load(self.path)


def train(
    settings: Settings,
    dataset: Dataset,
    run_dir: str | Path,
    *,
    console: Console | None = None,
    started: float | None = None,
) -> Run:
    """Train a classifier.

    Args:
        settings: what to do.
        dataset: what to learn from.
        run_dir: a directory that does not exist yet; everything about the run will lie in it.
        console: where to show progress; None shows nothing.
        started: `time.perf_counter()` when the work began, for `total_seconds`; now if not given.

    Raises:
        SettingsError: settings that contradict the data (a batch larger than the training set, say).
        RunError: the directory exists.
        TrainingError: the loss became infinite or not a number.
        TrainingInterrupted: Ctrl-C or SIGTERM; what was done is saved and `resume` goes on with it.

    >>> import tempfile
    >>> from eyebright import load_dataset, preset_settings, train
    >>> settings = preset_settings("default", model="softmax", epochs=1)
    >>> run = train(settings, load_dataset("digits"), tempfile.mkdtemp() + "/run")
    >>> run.results["steps"], run.classifier.predict(load_dataset("digits").images[:2]).shape
    (6, (2, 10))
    """
    run_dir = Path(run_dir)
    check_free(run_dir)
    split = split_dataset(
        dataset,
        validation=_fraction_or_number(settings.validation),
        test_fraction=settings.test_fraction,
        seed=settings.seed,
    )
    if settings.batch_size > len(split.train):
        raise SettingsError(
            f"--batch-size {settings.batch_size}: larger than the training set ({len(split.train):,} images)."
        )
    settings, reason = _resolved(settings, dataset)
    run = RunDirectory.create(run_dir, settings, DataRecord.of(dataset, split))
    for key, value in settings.to_dict().items():
        say(console, f"{key} = {value}")
    say(console, f"precision {settings.precision}: {reason}")
    return _train(run, dataset, split, console, time.perf_counter() if started is None else started)


def resume(
    run_dir: str | Path,
    dataset: Dataset,
    *,
    flags: Mapping[str, Any] | None = None,
    console: Console | None = None,
    started: float | None = None,
) -> Run:
    """Go on with a run from its newest intact checkpoint, to the same bits as if it had never stopped.

    Args:
        run_dir: the run's directory.
        dataset: the data that it was begun with; its fingerprint is checked.
        flags: settings by name that the user repeats. They must be the run's, but that a larger `max_steps` or
            `epochs` makes a run longer whose learning rate is constant.
        console: where to show progress; None shows nothing.
        started: as for `train`.

    Raises:
        RunError: no run, other data, settings that contradict the run's, or the run is finished.
        CheckpointError: there are checkpoints and all of them are damaged.
    """
    run = RunDirectory.open(Path(run_dir))
    run.check_same_data(dataset)
    settings = extended_settings(run, flags or {})
    split = split_dataset(
        dataset,
        validation=_fraction_or_number(settings.validation),
        test_fraction=settings.test_fraction,
        seed=settings.seed,
    )
    return _train(run, dataset, split, console, time.perf_counter() if started is None else started, settings)


def _train(
    run: RunDirectory,
    dataset: Dataset,
    split: Split,
    console: Console | None,
    started: float,
    settings: Settings | None = None,
) -> Run:
    """Train from wherever the run's checkpoints are, evaluate, and save the classifier."""
    with run.locked(), Interrupts() as interrupts:
        if settings is not None and settings != run.settings:
            run.extend(settings)
        settings = run.settings
        set_threads(settings.threads or available_threads())
        model = build_model(Architecture.of(settings, dataset), settings.precision, settings.seed)
        model.get_layer("standardize").measure(dataset.images, split.train)
        optimizer = build_optimizer(settings, model)
        checkpoints = Checkpoints(run.path / "checkpoints", settings.keep_checkpoints)
        state, damaged = checkpoints.restore_newest(model, optimizer)
        for message in damaged:
            say(console, f"Passed over: {message}")
        if state.step:
            say(console, f"Going on from step {state.step}")
        training = _Training(run, settings, dataset, split, model, optimizer, checkpoints, state, console)
        training.run_to_the_end(interrupts)
        if settings.restore_best and state.best_step is not None:
            checkpoints.restore(state.best_step, model)
        classifier = Classifier(Architecture.of(settings, dataset), dataset.class_names, model_weights(model))
        results = finish_run(run, classifier, dataset, split, state, started)
    return Run(run.path, results)
