"""A process that trains parts of trials, one after the other, and says what came of each."""

from __future__ import annotations

import shutil
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from eyebright.backend import keras, set_threads
from eyebright.data.dataset import Dataset
from eyebright.data.passing import unpacked
from eyebright.errors import EyebrightError, SettingsError, TrainingError, TrainingInterrupted
from eyebright.paths import exists
from eyebright.run_directory import RunDirectory
from eyebright.training import trainer
from eyebright.training.origins import Origins, kept_origins
from eyebright.tuning.task import Answer, Task


def work(tasks: Connection, study: Path, threads: int, values: dict[str, Any]) -> None:
    """Train what comes until nothing more does.

    Args:
        tasks: where a `Task` comes from and its `Answer` goes to.
        study: the search's directory.
        threads: to compute with.
        values: its data set, `packed`.
    """
    dataset: Dataset | None = None
    while (task := _next(tasks)) is not None:
        try:
            if dataset is None:
                set_threads(threads)
                dataset = unpacked(values)
                origins = kept_origins(RunDirectory.open_any(study), dataset, None)
            answer = _train(task, dataset, origins, threads)
        except EyebrightError as error:
            answer = Answer(error=error)
        except Exception:
            answer = Answer(fault=traceback.format_exc())
        tasks.send(answer)


def _train(task: Task, dataset: Dataset, origins: Origins, threads: int) -> Answer:
    keras.utils.clear_session()  # of the run before: its graphs and pixels would stay in memory
    try:
        if exists(task.path) and RunDirectory.open(task.path).settings.threads != threads:
            # The search goes on with another number of jobs. A process cannot change its threads: it begins anew.
            shutil.rmtree(task.path)
        if exists(task.path):
            return Answer(trainer.resume(task.path, dataset).results)
        run = trainer.train(task.settings, dataset, task.path, origins=origins, trial=task.trial)
        return Answer(run.results)
    except TrainingInterrupted:
        return Answer()
    except (SettingsError, TrainingError) as error:
        return Answer(failure=str(error))


def _next(tasks: Connection) -> Task | None:
    try:
        task: Task = tasks.recv()
    except EOFError:
        return None
    return task
