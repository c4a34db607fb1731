"""Optuna's study of a search: which trial comes next, which goes on, and what all of them came to."""

from __future__ import annotations

import sqlite3
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from eyebright.errors import MissingExtraError, StorageError
from eyebright.randomness import Stream, random_words
from eyebright.run_directory import RunDirectory
from eyebright.settings import Settings
from eyebright.tuning.record import DATABASE, PARTS, RECORD, SECOND_FIGURE, WHOLE, Record
from eyebright.tuning.space import SearchSpace

try:
    import optuna
    from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
except ModuleNotFoundError as error:
    raise MissingExtraError("The search for settings", "tune") from error

optuna.logging.set_verbosity(optuna.logging.WARNING)

_NAME = "eyebright"
_BUSY_SECONDS = 60  # that a write waits for somebody who looks into the file, with sqlite3 or Optuna's dashboard
# Attributes of a trial: all its values are chosen; why it came to nothing; how often its process died.
_BEGUN, _FAILURE, _DEATHS = "begun", "failure", "deaths"
_SECONDS = "seconds"  # of the study: how long it has been at work
_MOST_DEATHS = 2


class Unit(NamedTuple):
    """A part of a trial: the trial's number, and after how many ninths of its length it is judged."""

    trial: int
    part: int


@dataclass(frozen=True)
class TrialRow:
    """What became of a trial.

    Attributes:
        number: from 0, which has the settings that the search began with.
        state: "finished", "pruned" (it began worse than others), "failed", or "unfinished".
        failure: of one that failed, why; else "".
        values: of the settings that are searched, by name.
        parts: what each part that was trained came to, by its ninths: `validation_accuracy`, `train_seconds`,
            `parameters`, and `seconds` with all that is around the training.
    """

    number: int
    state: str
    failure: str
    values: dict[str, Any]
    parts: dict[int, dict[str, Any]]

    @property
    def last(self) -> dict[str, Any]:
        """What its longest part came to; empty where there is none."""
        return self.parts[max(self.parts)] if self.parts else {}


class Study:
    """A search whose directory's lock is held.

    Args:
        run: its directory.
        record: what was asked for.

    Raises:
        StorageError: the file of its trials is missing or damaged.
    """

    def __init__(self, run: RunDirectory, record: Record) -> None:
        _check(run.path / DATABASE)
        self.run = run
        self.record = record
        self.space = SearchSpace.from_dict(record.space)
        self._study = _load(run.path / DATABASE, record)

    def unfinished(self) -> list[Unit]:
        """What trials that were broken off have still to do. One whose values were still being chosen never was."""
        units = []
        for trial in self._study.get_trials(states=(TrialState.RUNNING,)):
            if trial.user_attrs.get(_BEGUN):
                units += self._next(trial.number)
            else:
                self._study.tell(trial.number, state=TrialState.FAIL)
        return units

    def ask(self) -> Unit:
        """Begin a trial, with values for all that is searched."""
        trials = self._study.get_trials(deepcopy=False)
        self._study.sampler = self._sampler(len(trials))
        trial = self._study.ask()
        self.space.suggest(trial)
        trial.set_user_attr(_BEGUN, True)
        return Unit(trial.number, self.record.parts[0])

    def values(self, number: int) -> dict[str, Any]:
        """The values that were chosen for a trial."""
        return dict(self._frozen(number).params)

    def note(self, unit: Unit, results: Mapping[str, Any], seconds: float) -> list[Unit]:
        """Note what a part of a trial came to, and decide whether it goes on.

        Args:
            unit: which part of which trial.
            results: of its run.
            seconds: that it took, with all that is around the training.

        Returns:
            Its next part, or nothing where it ends here.
        """
        names = ("validation_accuracy", "train_seconds", "parameters")
        part = {name: results[name] for name in names} | {"seconds": seconds}
        self._trial(unit.trial).set_user_attr(_part(unit.part), part)
        return self._next(unit.trial)

    def fail(self, number: int, why: str) -> None:
        """End a trial that cannot be trained."""
        trial = self._trial(number)
        trial.set_user_attr(_FAILURE, why)
        if len(self._study.directions) == 1 and not self._frozen(number).intermediate_values:
            trial.report(0.0, self.record.parts[0])  # so that the sampler learns to stay away from there
            self._study.tell(number, state=TrialState.PRUNED)
        else:
            self._study.tell(number, state=TrialState.FAIL)

    def died(self, unit: Unit, why: str) -> list[Unit]:
        """Note that a trial's process died; it is tried once more, and then fails.

        Returns:
            The same part again, or nothing.
        """
        deaths = self._frozen(unit.trial).user_attrs.get(_DEATHS, 0) + 1
        self._trial(unit.trial).set_user_attr(_DEATHS, deaths)
        if deaths < _MOST_DEATHS:
            return [unit]
        self.fail(unit.trial, why)
        return []

    def rows(self) -> list[TrialRow]:
        """All trials that were begun, in their order."""
        return [_row(trial) for trial in self._study.get_trials(deepcopy=False) if trial.user_attrs.get(_BEGUN)]

    def shown_values(self, row: TrialRow) -> dict[str, Any]:
        """A trial's values of all that is searched, None where a condition left one out.

        Of trial 0 these are also the values that lie outside the space, of which the sampler knows nothing.
        """
        own = self.run.settings if row.number == 0 else None
        return {name: row.values.get(name, getattr(own, name, None)) for name in self.space.searched}

    @property
    def seconds(self) -> float:
        """How long the search has been at work, in all processes."""
        return float(self._study.user_attrs.get(_SECONDS, 0.0))

    @seconds.setter
    def seconds(self, seconds: float) -> None:
        self._study.set_user_attr(_SECONDS, seconds)

    def _next(self, number: int) -> list[Unit]:
        """The next part of a trial, after its last one is judged; nothing where it ends."""
        done, parts = _row(self._frozen(number)).parts, self.record.parts
        if not done:
            return [Unit(number, parts[0])]
        last = max(done)
        if last == WHOLE:
            self._study.tell(number, _objectives(self.record, done[last]))
            return []
        trial = self._trial(number)
        if last not in self._frozen(number).intermediate_values:
            trial.report(done[last]["validation_accuracy"], last)
        # What the search began with goes all the way: the winner is then never below it.
        if trial.should_prune() and number > 0:
            self._study.tell(number, state=TrialState.PRUNED)
            return []
        return [Unit(number, parts[parts.index(last) + 1])]

    def _sampler(self, number: int) -> optuna.samplers.BaseSampler:
        """What chooses the values of the next trial: a function of seed, number and the trials so far.

        So a search that was broken off goes on as if it had not been, as far as its trials end in the same order.
        """
        seed = int(random_words(self.run.settings.seed, Stream.SEARCH, number, 1)[0] >> 33)  # 31 bits: NumPy takes 32
        if self.record.sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # group: settings under conditions are chosen together with the others wherever they are there.
            return optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True)

    def _trial(self, number: int) -> Trial:
        return Trial(self._study, self._frozen(number)._trial_id)

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]


def best_of(rows: Sequence[TrialRow]) -> TrialRow | None:
    """The finished trial of the highest validation accuracy, the first of equal ones; None where none is finished."""
    finished = [row for row in rows if row.state == "finished"]
    return max(finished, key=lambda row: row.last["validation_accuracy"], default=None)


def first_files(record: Record, base: Settings) -> dict[str, bytes]:
    """What a new search's directory appears with: trial 0, which has the settings that it begins with, is in it.

    Args:
        record: what is asked for.
        base: these settings. What of them lies outside the space is no part of what the sampler learns from trial 0.
    """
    space = SearchSpace.from_dict(record.space)
    inside, _ = space.of_settings(base)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / DATABASE
        first = create_trial(
            state=TrialState.RUNNING,
            params=inside,
            distributions={name: space.distribution(name) for name in inside},
            user_attrs={_BEGUN: True},
        )
        study = _load(path, record)
        study.add_trial(first)
        study._storage.remove_session()
        return {RECORD: record.to_bytes(), DATABASE: path.read_bytes()}


def _check(path: Path) -> None:
    """Refuse a file that is not one of trials: Optuna would put an empty study into it."""
    try:
        # Not for reading alone: SQLite rolls back what a kill has left half written.
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=_BUSY_SECONDS)) as file:
            (found,) = file.execute("PRAGMA quick_check(1)").fetchone()
            ((trials,),) = file.execute("SELECT count(*) FROM trials")
        why = "" if (found, trials > 0) == ("ok", True) else f"it has {trials} trials, and SQLite says {found}"
    except sqlite3.Error as error:
        why = str(error)
    if why:
        raise StorageError(
            f"{path}: missing or damaged ({why}), and the search's trials with it. Put a copy of it back, or begin "
            "another search."
        )


def _load(path: Path, record: Record) -> optuna.Study:
    def connect() -> sqlite3.Connection:  # by the path itself: in an address ?, % and {} have a meaning
        return sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)

    storage = optuna.storages.RDBStorage(f"sqlite:///{DATABASE}", engine_kwargs={"creator": connect})
    return optuna.create_study(
        storage=storage,
        study_name=_NAME,
        directions=["maximize", "minimize"] if record.objective in SECOND_FIGURE else ["maximize"],
        pruner=optuna.pruners.SuccessiveHalvingPruner(min_resource=PARTS[0], reduction_factor=PARTS[1]),
        load_if_exists=True,
    )


def _objectives(record: Record, part: Mapping[str, Any]) -> list[float]:
    second = SECOND_FIGURE.get(record.objective)
    return [part["validation_accuracy"], *([part[second]] if second else [])]


def _row(trial: FrozenTrial) -> TrialRow:
    parts = {part: trial.user_attrs[_part(part)] for part in PARTS if _part(part) in trial.user_attrs}
    failure = trial.user_attrs.get(_FAILURE, "")
    states = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "pruned"}
    state = "failed" if failure and trial.state.is_finished() else states.get(trial.state, "unfinished")
    return TrialRow(trial.number, state, failure, dict(trial.params), parts)


def _part(part: int) -> str:
    return f"part_{part}"
