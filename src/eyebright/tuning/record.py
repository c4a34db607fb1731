"""A search on disk: the files of its directory, and what was asked for.

settings.toml     the settings around which it searches, of trial 0
data.json         what its data are
environment.json  what it was begun with
study.json        what was asked for: objective, space, sampler, trials, minutes
study.db          Optuna's study: SQLite
trials/           the runs of trials that are at work, or were when the search stopped
best-trial-N/     the run of the best settings: trained once more, and the only one that meets the test images
best.toml         these settings, for `eyebright train --config`
front/            of several objectives, the settings of each trial of the Pareto front
trials.csv        every trial
results.json      written last: it marks a finished search
report.html       what `eyebright report` makes of all this

One process alone, that which holds the directory's lock, writes the study; those that train tell it what came out. So
whatever is written as running when a search is opened was broken off, without a heartbeat to say so, and is gone on
with under its own number. SQLite rather than Optuna's journal: a kill in the midst of a write leaves the journal with
half a line, after which it cannot be read, and a lock file that the next one waits for; SQLite rolls back.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eyebright.errors import RunError, SettingsError
from eyebright.run_directory import RunDirectory
from eyebright.storage import json_bytes, write_file
from eyebright.suggestions import command

Objective = Literal["accuracy", "accuracy-time", "accuracy-parameters"]
Sampler = Literal["tpe", "random"]
# Shares of a trial's length, in ninths, after which all but the best third end (successive halving, asynchronous: Li et
# al., "A system for massively parallel hyperparameter tuning", 2020). Each is a run of its own from the first step to
# the last, its schedule scaled to its length, rather than a look at a longer run that is under way: amid a schedule, at
# a high rate, accuracy says little of where it ends. It costs 4/9 of a run for each trial that goes all the way.
PARTS = (1, 3, 9)
WHOLE = PARTS[-1]
SECOND_FIGURE = {"accuracy-time": "train_seconds", "accuracy-parameters": "parameters"}
RECORD, DATABASE = "study.json", "study.db"


class Record(BaseModel):
    """What a search was asked for.

    Attributes:
        objective: see `tune`.
        space: of `SearchSpace.to_dict`.
        sampler: how values are chosen.
        pruned: whether trials that begin badly end early.
        trials: how many, or None for as many as there is time for.
        minutes: how long, or None for as long as it takes.
        refit: whether the best settings are trained with once more, and tested.
        refit_validation: `validation` of the run of the best settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    objective: Objective
    space: dict[str, Any]
    sampler: Sampler
    pruned: bool
    trials: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0, allow_inf_nan=False)
    refit: bool = True
    refit_validation: float = Field(ge=0)

    @classmethod
    def read(cls, run: RunDirectory) -> Record:
        """What a search was asked for.

        Raises:
            RunError: it is none, or its record is damaged.
        """
        path = run.path / RECORD
        if not run.data.study:
            raise RunError(
                f"{run.path}: this is a run, not a search. Go on with it: {command('train', '--resume', run.path)}"
            )
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise RunError(f"{path}: damaged: {error.errors()[0]['msg']}.") from error
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror}.") from error

    def to_bytes(self) -> bytes:
        """As its file holds it."""
        return json_bytes(self.model_dump(mode="json"))

    def write(self, run: RunDirectory) -> None:
        """Keep it in a search's directory whose lock is held."""
        write_file(run.path / RECORD, self.to_bytes())

    @property
    def parts(self) -> tuple[int, ...]:
        """After which ninths of its length a trial is judged, its whole length last."""
        return PARTS if self.pruned else (WHOLE,)


def read_findings(run: RunDirectory) -> dict[str, Any] | None:
    """What results.json of a search holds; None where it is not finished.

    Raises:
        RunError: it is damaged.
    """
    results = run.results
    if results is not None and (missing := {"best", "first", "front", "run", "trials"} - results.keys()):
        raise RunError(
            f"{run.path / 'results.json'}: damaged ({', '.join(sorted(missing))} is missing). Remove it: "
            f"{command('tune', '--resume', run.path)} makes it anew."
        )
    return results


def check_amounts(trials: int | None, minutes: float | None, jobs: int) -> None:
    """Refuse a search without an end, or without a beginning.

    Raises:
        SettingsError: neither trials nor minutes, or a number that is none of trials, minutes or jobs.
    """
    if trials is None and minutes is None:
        raise SettingsError("Say how long to search: --trials N, --minutes M, or both.")
    if trials is not None and trials < 1:
        raise SettingsError(f"--trials {trials}: a search has at least 1 trial.")
    if minutes is not None and not 0 < minutes < float("inf"):
        raise SettingsError(f"--minutes {minutes:g}: give a number above 0.")
    if jobs < 1:
        raise SettingsError(f"--jobs {jobs}: give at least 1.")
