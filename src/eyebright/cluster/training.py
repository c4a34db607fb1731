"""One run, trained by several workers of a Ray cluster together: started, watched, and started anew where one dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import ray
from rich.console import Console

from eyebright.cluster.connection import processors
from eyebright.cluster.group import Group, Share
from eyebright.cluster.worker import Finished, Lost, Task, Terminal
from eyebright.data.dataset import Dataset
from eyebright.data.passing import packed
from eyebright.data.places import FileMissingError
from eyebright.errors import ClusterError, EyebrightError, SettingsError, TrainingInterrupted
from eyebright.run_copy import CopyRecord, fetch_run
from eyebright.run_paths import is_run
from eyebright.settings import Settings
from eyebright.training.interrupts import Interrupts
from eyebright.training.progress import say

_AGAIN = 3  # times, if no further checkpoint comes of it
_PASSED_ON = ("EYEBRIGHT_", "XLA_", "JAX_", "TERM", "COLORTERM", "NO_COLOR")


class TrainedRun(NamedTuple):
    """A finished run: its directory, and what its results.json holds."""

    path: Path
    results: dict[str, Any]


def train_together(
    settings: Settings | None,
    dataset: Dataset,
    run_dir: Path,
    *,
    workers: int,
    threads: int | None = None,
    flags: Mapping[str, Any] | None = None,
    copy_to: str | None = None,
    console: Console | None = None,
    started: float | None = None,
) -> TrainedRun:
    """Train a run by several workers of the cluster that this process is connected to.

    It is the run that one process would train, but for the order of sums: the same batches, of which each worker
    computes its part, with the same learning rates. Where a worker dies, all of them go on from the newest checkpoint.

    Args:
        settings: of a new run; None to go on with one.
        dataset: what to learn from.
        run_dir: the run's directory, on a file system that all machines share; or on that of each, if the run has a
            copy.
        workers: how many, a number that divides the batch, see `cluster.batches`.
        threads: of a machine, for the workers on it; all of them if not given.
        flags: see `trainer.resume`.
        copy_to: of a new run, see `trainer.train`.
        console: where to show progress; None shows nothing.
        started: `time.perf_counter()` when the work began; now if not given.

    Raises:
        SettingsError: more workers than the cluster has room for.
        ClusterError: a worker died again and again, or the cluster gave no machines.
        TrainingInterrupted: Ctrl-C or SIGTERM; what was done is saved.
        EyebrightError: what `trainer.train` and `trainer.resume` raise.
    """
    share = _share(workers, threads)
    began = time.perf_counter() if started is None else started
    values = ray.put(packed(dataset))
    attempts, record = _Attempts(run_dir), CopyRecord.of(run_dir)
    copy = copy_to or (record and record.location)
    with Interrupts() as interrupts:
        while True:
            task = Task(
                path=run_dir,
                settings=None if attempts.failed and is_run(run_dir) else settings,
                flags=flags or {},
                copy=copy,
                seconds=time.perf_counter() - began,
                where=Path.cwd(),
                arguments=list(sys.argv),
                variables={name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)},
                terminal=Terminal(console.is_terminal, console.width) if console is not None else None,
            )
            try:
                with Group(workers, share, values, task) as group:
                    outcome = group.train(console, interrupts)
            finally:
                _fetch(copy, run_dir, console)
            if isinstance(outcome, Finished):
                return TrainedRun(run_dir, outcome.results)
            say(console, outcome.why)
            step = attempts.count_failure(outcome, interrupts)
            say(console, f"All {workers} workers start again" + (f", from step {step}" if step else ""))


def _fetch(copy: str | None, run_dir: Path, console: Console | None) -> None:
    """Bring here what the first worker may have written to the disk of another machine."""
    try:
        if copy is not None:
            fetch_run(copy, run_dir)
    except FileMissingError:  # it was lost before there was a copy
        pass
    except EyebrightError as error:  # which must not hide how the training ended
        say(console, f"The run is not brought here: {error}")


class _Attempts:
    """How often workers failed without a further checkpoint."""

    def __init__(self, run_dir: Path) -> None:
        self.failed = 0
        self._run_dir = run_dir
        self._reached = 0

    def count_failure(self, lost: Lost, interrupts: Interrupts) -> int:
        """Count one. Returns the step from which another attempt goes on.

        Raises:
            TrainingInterrupted: no further one is wanted.
            ClusterError: there were too many.
        """
        step = _newest_step(self._run_dir)
        if interrupts.received is not None:
            message = f"{self._run_dir}: stopped; nothing after step {step} is saved."
            raise TrainingInterrupted(message, interrupts.received)
        self.failed = self.failed + 1 if step == self._reached else 1
        self._reached = step
        if self.failed > _AGAIN:
            raise ClusterError(
                f"{self._run_dir}: workers failed {self.failed} times without a further checkpoint; the last time: "
                f"{lost.why} What was saved is kept; go on with --resume."
            )
        return step


def _share(workers: int, threads: int | None) -> Share:
    """What each worker gets: a GPU where the cluster has any, else its part of a machine's processors.

    Raises:
        SettingsError: there are too few.
    """
    gpus = int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
    machines = processors()
    room, of_what = (gpus, "GPUs") if gpus else (sum(machines), "processors")
    if workers > room:
        raise SettingsError(f"--workers {workers}: the cluster has {room} {of_what}. Give 1 to {room}.")
    if gpus:
        return Share(1, 1)
    return Share(max(1, (threads or min(machines)) // -(-workers // len(machines))), 0)


def _newest_step(run_dir: Path) -> int:
    """The step of a run's newest checkpoint; 0 while it has none."""
    from eyebright.training.checkpoint import Checkpoints

    return max(Checkpoints(run_dir / "checkpoints", 1).steps(), default=0)
