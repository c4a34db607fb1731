"""A whole training run, to be read from top to bottom: `train` begins one, `resume` goes on with one."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from eyebright.backend import available_threads, backend_in_words, keras, set_threads
from eyebright.classifier import Classifier
from eyebright.compilation import compile_seconds
from eyebright.data.dataset import Dataset
from eyebright.data.split import Split, split_dataset
from eyebright.errors import TrainingInterrupted
from eyebright.metrics.scores import accuracy_score, log_loss
from eyebright.models.folding import fold
from eyebright.models.network import model_weights
from eyebright.run_copy import RECORD, CopyRecord, check_no_copy
from eyebright.run_directory import DataRecord, RunDirectory
from eyebright.run_paths import check_free
from eyebright.settings import Settings
from eyebright.suggestions import command
from eyebright.training.checkpoint import Checkpoints, TrainingState
from eyebright.training.copying import RunCopy, begin_copy
from eyebright.training.engine import Engine
from eyebright.training.environment import FILE as ENVIRONMENT
from eyebright.training.environment import first_environment, note_environment
from eyebright.training.extension import extended_settings
from eyebright.training.health import check_logits, check_losses, check_weights
from eyebright.training.interrupts import Interrupts
from eyebright.training.learnt_images import FILE, LearntImages, image_keys
from eyebright.training.monitor import Monitor
from eyebright.training.origins import Origins, kept_origins, load_origins
from eyebright.training.pace import Pace
from eyebright.training.plan import Plan
from eyebright.training.plan_ahead import PlanAhead
from eyebright.training.preparation import architecture_of, begin, build, build_engine, settle
from eyebright.training.progress import say, say_settings, say_split
from eyebright.training.results import finish_run, finish_trial


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
    title: str | None = None,
    origins: Origins | None = None,
    trial: int | None = None,
    copy_to: str | None = None,
) -> Run:
    """Train a classifier.

    Args:
        settings: what to do.
        dataset: what to learn from.
        run_dir: a directory that does not exist yet; everything about the run will lie in it.
        console: where to show progress; None shows nothing.
        started: `time.perf_counter()` when the work began, for `total_seconds`; now if not given.
        title: for one run of several, what its progress bar is called; no settings and no lines of progress are shown.
        origins: for one run of several, the backbone and the teacher that all of them begin with; if not given, those
            that the settings name.
        trial: of a search for settings, the number of the trial; such a run, resumed or not, ends before its test
            images, without a saved classifier.
        copy_to: a URL of object storage, or a directory, where a copy of the run is kept up to date, see `RunCopy`.

    Raises:
        SettingsError: settings that contradict the data (a batch larger than the training set, say), or that name a
            teacher or weights which have learnt from the test images.
        RunError: the directory exists, or a copy of another run where this one's is to be.
        DataError: object storage denies, or does not answer.
        StorageError: the run or its copy cannot be written.
        TrainingError: the loss became infinite or not a number.
        TrainingInterrupted: Ctrl-C or SIGTERM; what was done is saved and `resume` goes on with it.

    >>> import tempfile
    >>> from eyebright import load_dataset, preset_settings, train
    >>> settings = preset_settings("default", model="softmax", epochs=1, batch_size=200)
    >>> run = train(settings, load_dataset("digits"), tempfile.mkdtemp() + "/run")
    >>> run.results["steps"], run.classifier.predict(load_dataset("digits").images[:2]).shape
    (6, (2, 10))
    """
    started = time.perf_counter() if started is None else started
    run_dir = Path(run_dir)
    check_free(run_dir)
    if copy_to is not None:
        check_no_copy(copy_to, run_dir)
    split = split_dataset(dataset, **settings.split)
    keys = image_keys(dataset)
    # What cannot be is refused before there is a directory.
    origins = origins or load_origins(settings, dataset, keys, [split], console)
    settings, reason = settle(settings, dataset, split.train, origins.pretrained)
    model = build(settings, dataset, origins.pretrained)
    learnt = LearntImages.of(dataset, keys, split) | origins.learnt
    records = {FILE: learnt.to_bytes(), ENVIRONMENT: first_environment(settings)}
    if copy_to is not None:
        records[RECORD] = CopyRecord.new(copy_to).to_bytes()
    run = RunDirectory.create(run_dir, settings, DataRecord.of(dataset, split, trial=trial), records)
    if title is None:
        say_settings(console, settings, dataset, reason)
        say(console, f"Backend {backend_in_words()}")
        say_split(console, split)
    with run.locked():
        origins.keep(run)
        copy = begin_copy(run.path, partial(say, console))
        return _train(run, model, origins, dataset, split, copy, console, started, title)


def resume(
    run_dir: str | Path,
    dataset: Dataset,
    *,
    flags: Mapping[str, Any] | None = None,
    console: Console | None = None,
    started: float | None = None,
    title: str | None = None,
) -> Run:
    """Go on with a run from its newest intact checkpoint, to the same bits as if it had never stopped.

    A run that is finished, and is not made longer, is left as it is.

    Args:
        run_dir: the run's directory.
        dataset: the data that it was begun with; its fingerprint is checked.
        flags: settings by name that the user repeats. They must be the run's, but that a larger `max_steps` or
            `epochs` makes a run longer whose learning rate is constant.
        console: where to show progress; None shows nothing.
        started: as for `train`.
        title: as for `train`; a finished run is then not spoken of.

    Raises:
        RunError: no run, other data, settings that contradict the run's, or a copy of it that has got further.
        StorageError: the run or its copy cannot be written, or the copy cannot be read.
        CheckpointError: there are checkpoints and all of them are damaged.
    """
    started = time.perf_counter() if started is None else started
    run = RunDirectory.open(Path(run_dir))
    with run.locked():
        run = RunDirectory.open(Path(run_dir))  # once more: another process may have made it longer meanwhile
        run.check_same_data(dataset)
        set_threads(run.settings.threads or available_threads())
        split = split_dataset(dataset, **run.settings.split)
        copy = RunCopy(run.path, partial(say, console))
        settings = extended_settings(run, flags or {}, len(split.train))
        if settings == run.settings and run.results is not None:
            with copy:  # which a failing connection may have left behind
                say(console if title is None else None, f"{run.path}: this run is finished.")
            return Run(run.path, run.results)
        if settings != run.settings:
            run.extend(settings)
        origins = kept_origins(run, dataset, console)
        origins.keep(run)
        model = build(settings, dataset, origins.pretrained)
        return _train(run, model, origins, dataset, split, copy, console, started, title)


def _train(
    run: RunDirectory,
    model: keras.Model,
    origins: Origins,
    dataset: Dataset,
    split: Split,
    copy: RunCopy,
    console: Console | None,
    started: float,
    title: str | None,
) -> Run:
    """Train from wherever the run's checkpoints are to its end, evaluate, and save the classifier. Hold the lock."""
    settings = run.settings
    checkpoints = Checkpoints(run.path / "checkpoints", settings.keep_checkpoints)
    with Interrupts() as interrupts, copy:
        began = time.perf_counter()
        if not checkpoints.steps():  # later they hold what was measured; the average begins with it
            begin(model, settings, dataset, split.train, origins.pretrained, console)
        beginning = time.perf_counter() - began
        plan, engine = build_engine(model, settings, dataset, split.train, origins.teaching(settings.precision))
        state, notes = checkpoints.restore_newest(engine.variables)
        for note in notes:
            say(console, note)
        note_environment(run.path, settings, state.step)
        if state.step:
            say(console, f"Going on from step {state.step}")
        started -= state.train_seconds  # the total is of all processes that worked on the run, as training's is
        state.train_seconds += beginning
        with Monitor(run.path, settings, plan.total_steps, state.step, console, title) as monitor:
            _train_steps(run, split, plan, engine, checkpoints, state, monitor, interrupts, copy)
            if settings.restore_best and state.best_step is not None:
                checkpoints.restore_best(state, engine.variables)
            with engine.final_weights():
                weights = model_weights(model)
            architecture, weights = fold(architecture_of(settings, dataset, origins.pretrained), weights)
            classifier = Classifier(architecture, dataset.class_names, weights, settings.tta, settings.fit)
            if run.data.trial is not None:
                return Run(run.path, finish_trial(run, classifier, dataset, state, started))
            quiet = console if title is None else None
            results = finish_run(run, classifier, dataset, split, state, started, quiet)
            if run.looks_of_data.warning:
                say(console, run.looks_of_data.warning)
            monitor.record_results(state.step, results)
    return Run(run.path, results)


def _train_steps(
    run: RunDirectory,
    split: Split,
    plan: Plan,
    engine: Engine,
    checkpoints: Checkpoints,
    state: TrainingState,
    monitor: Monitor,
    interrupts: Interrupts,
    copy: RunCopy,
) -> None:
    """The training loop. Some steps make one compiled call; what happens between two calls stands here."""
    settings = run.settings
    compiled_before = compile_seconds() - state.compile_seconds
    pace, ahead = Pace(settings, len(split.train), plan.total_steps), PlanAhead(plan)
    clock = time.perf_counter() - state.train_seconds
    if state.step == 0:
        monitor.describe_run(engine, plan.steps(np.arange(1)))
    monitor.record_weights(state.step, engine.model)  # when resumed, for the second time: the first one is purged
    while state.step < plan.total_steps and not state.stopped_early:
        steps = ahead.steps(pace.next_steps(state.step))
        records = engine.train(steps)
        check_losses(records, steps, checkpoints)
        state.step += len(steps)
        monitor.record_steps(steps, records, pace.finish(len(steps)))
        if pace.is_epoch_end(state.step) and len(split.validation):
            _validate(engine, split.validation, settings, state, monitor)
        state.train_seconds = time.perf_counter() - clock
        state.compile_seconds = compile_seconds() - compiled_before
        signal = interrupts.received  # read once: it can arrive at any moment
        stopping = state.stopped_early or signal is not None
        if pace.is_checkpoint(state.step) or stopping or (settings.restore_best and state.best_step == state.step):
            check_weights(engine.variables, state.step, float(steps.learning_rates[-1]), checkpoints)
            checkpoints.save(state, engine.variables)
            monitor.record_weights(state.step, engine.model)
            copy.update()
        if signal is not None and state.step < plan.total_steps:
            raise TrainingInterrupted(
                f"Stopped at step {state.step}; everything is saved. Go on with: "
                f"{command('train', '--resume', run.path)}",
                signal,
            )
    state.train_seconds = time.perf_counter() - clock
    state.compile_seconds = compile_seconds() - compiled_before


def _validate(
    engine: Engine, validation: NDArray[np.int64], settings: Settings, state: TrainingState, monitor: Monitor
) -> None:
    """Measure the model on the validation images; note the best step so far and whether patience has run out."""
    logits, labels = engine.logits(validation), engine.labels(validation)
    check_logits("validation", logits, state.step)
    accuracy = accuracy_score(labels, logits)
    monitor.record_validation(state.step, log_loss(labels, logits), accuracy)
    state.last_accuracy = accuracy
    if state.best_accuracy is None or accuracy > state.best_accuracy:
        state.best_step, state.best_accuracy, state.epochs_without_gain = state.step, accuracy, 0
    else:
        state.epochs_without_gain += 1
    state.stopped_early = settings.patience is not None and state.epochs_without_gain >= settings.patience
