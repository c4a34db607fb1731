"""The loop of a search: give trials to processes, note what comes of them, stop when there is enough or no time."""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from eyebright.data.dataset import Dataset
from eyebright.errors import SettingsError, TrainingInterrupted
from eyebright.parent import why_it_died
from eyebright.run_directory import RunDirectory
from eyebright.settings import Settings
from eyebright.suggestions import command
from eyebright.training.interrupts import Interrupts
from eyebright.training.schedule import run_length
from eyebright.tuning.progress import TrialProgress
from eyebright.tuning.record import WHOLE
from eyebright.tuning.space import trial_settings
from eyebright.tuning.study import Study, TrialRow, Unit
from eyebright.tuning.task import Task
from eyebright.tuning.workers import Finished, Place

_LOOKS_EVERY = 0.5  # seconds: at Ctrl-C, the clock and the bar
_NOTED_EVERY = 10.0  # seconds
_LAST = 5  # parts of trials that tell how long another takes
_PARENT_WAITS = 30.0  # seconds, for a process of a search that was killed a moment ago to let go of its run


def search(study: Study, dataset: Dataset, jobs: int, place: Place, console: Console | None) -> None:
    """Train trials until there are as many as were asked for, or until the time is over.

    Args:
        study: whose directory's lock is held.
        dataset: what to learn from.
        jobs: how many trials are trained at once.
        place: where.
        console: where to show progress; None shows nothing.

    Raises:
        TrainingInterrupted: Ctrl-C or SIGTERM; what was done is saved, and says how to go on.
        EyebrightError: what a trial ran into and others would run into as well (a full disk, say).
    """
    threads = place.threads(jobs, study.run.settings.threads)
    base = study.run.settings.model_copy(update={"threads": threads})
    waiting = study.unfinished()
    _clear(study.run, waiting)
    clock = _Clock(study)
    with (
        Interrupts() as interrupts,
        TrialProgress(console, study.record) as progress,
        place.team(jobs, threads, study.run.path, dataset) as workers,
    ):
        progress.begin(study.rows())
        while True:
            while workers.idle and (task := _next_task(study, waiting, clock, base)) is not None:
                workers.start(task)
            if not workers.busy:
                return
            finished = workers.wait(_LOOKS_EVERY)
            signal, time_is_over = interrupts.received, clock.remaining <= 0  # read once: they can change any moment
            stopping = signal is not None or time_is_over
            if stopping:
                finished += workers.stop()
            for one in finished:
                waiting += _note(study, one, clock, stopping=stopping)
            clock.note(study, now=bool(finished))
            progress.update(study.rows(), clock.seconds)
            if signal is not None:
                raise _interrupted(study, signal)
            if time_is_over:
                return


class _Clock:
    """How long a search has been at work, over all its processes, and how long it still may be."""

    def __init__(self, study: Study) -> None:
        self._began = time.monotonic() - study.seconds
        minutes = study.record.minutes
        self._limit = float("inf") if minutes is None else 60 * minutes
        self._noted = study.seconds
        self.started: dict[Unit, float] = {}

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    @property
    def remaining(self) -> float:
        return self._limit - self.seconds

    def note(self, study: Study, *, now: bool) -> None:
        """Write down how long it has been, so that a search that is killed does not get its time again."""
        if now or self.seconds - self._noted > _NOTED_EVERY:
            study.seconds = self._noted = self.seconds


def _next_task(study: Study, waiting: list[Unit], clock: _Clock, base: Settings) -> Task | None:
    """What is to be trained next: trials that have begun before new ones; none that cannot end in time."""
    rows = study.rows()
    while True:
        unit = next((one for one in waiting if _seconds_of(rows, one, study) <= clock.remaining), None)
        if unit is not None:
            waiting.remove(unit)
        elif _may_begin(study, rows, clock):
            unit = study.ask()
            rows = study.rows()
        else:
            return None
        try:
            task = _task(study.run, unit, base, study.values(unit.trial))
        except SettingsError as error:  # these values exclude each other
            study.fail(unit.trial, str(error))
            continue
        clock.started[unit] = clock.seconds
        return task


def _may_begin(study: Study, rows: Sequence[TrialRow], clock: _Clock) -> bool:
    trials = study.record.trials
    return (trials is None or len(rows) < trials) and _seconds_of(rows, None, study) <= clock.remaining


def _task(run: RunDirectory, unit: Unit, base: Settings, values: dict[str, Any]) -> Task:
    settings = trial_settings(base, values, f"trial {unit.trial}")
    if unit.part < WHOLE:
        steps = run_length(settings, run.data.training_images)
        shorter = {
            "epochs": None,
            "max_steps": max(1, round(steps * unit.part / WHOLE)),
            "warmup_steps": round(settings.warmup_steps * unit.part / WHOLE),
        }
        settings = settings.model_copy(update=shorter)
    return Task(run.path / "trials" / f"trial-{unit.trial}-part-{unit.part}", settings, unit.trial, unit.part)


def _seconds_of(rows: Sequence[TrialRow], unit: Unit | None, study: Study) -> float:
    """How long a part of a trial will take, or all of a new trial (None); 0 where nothing tells.

    A part takes what the trial's own last part took, its training times as long. For a new one the last trials tell.
    """
    row = next((one for one in rows if unit is not None and one.number == unit.trial), None)
    if unit is not None and row is not None and row.parts:
        last = max(row.parts)
        return _scaled(row.parts[last], unit.part / last)
    known = {part: [row.parts[part] for row in rows if part in row.parts][-_LAST:] for part in study.record.parts}
    seconds, nearest = 0.0, None
    for part, taken in known.items():
        if taken:
            seconds += statistics.median(one["seconds"] for one in taken)
            nearest = part, taken
        elif nearest is not None:
            seconds += statistics.median(_scaled(one, part / nearest[0]) for one in nearest[1])
    return seconds


def _scaled(part: dict[str, Any], factor: float) -> float:
    around = part["seconds"] - part["train_seconds"]
    return float(max(0.0, around) + part["train_seconds"] * factor)


def _note(study: Study, one: Finished, clock: _Clock, *, stopping: bool) -> list[Unit]:
    """Note what came of a task. Returns what its trial has still to do."""
    task, answer = one.task, one.answer
    unit, seconds = Unit(task.trial, task.part), clock.seconds - clock.started.pop(Unit(task.trial, task.part))
    if answer is None:
        return [unit] if stopping else study.died(unit, why_it_died(one.exit_code))
    if answer.error is not None:
        raise answer.error
    if answer.fault:
        raise RuntimeError(f"trial {task.trial}, in a process of its own:\n{answer.fault}")
    if answer.failure:
        study.fail(task.trial, answer.failure)
    elif answer.results is None:  # it was stopped, and has saved where it was
        return [unit]
    else:
        following = study.note(unit, answer.results, seconds)
        shutil.rmtree(task.path, ignore_errors=True)  # the study has what it came to
        return following
    shutil.rmtree(task.path, ignore_errors=True)
    return []


def _clear(run: RunDirectory, waiting: Sequence[Unit]) -> None:
    """Remove what was left of runs that are noted, and let processes that are about to end let go of the others."""
    kept = {f"trial-{unit.trial}-part-{unit.part}" for unit in waiting}
    directory = run.path / "trials"
    for path in directory.iterdir() if directory.is_dir() else ():
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
        else:
            with RunDirectory.open(path).locked(_PARENT_WAITS):
                pass


def _interrupted(study: Study, signal: int) -> TrainingInterrupted:
    over = sum(row.state != "unfinished" for row in study.rows())
    go_on = command("tune", "--resume", study.run.path)
    return TrainingInterrupted(f"Stopped after {over} trials; everything is saved. Go on with: {go_on}", signal)
