"""How many steps go into one compiled call, and what is due after it."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from eyebright.settings import Settings
from eyebright.training.batches import steps_per_epoch

_SECONDS_OF_A_CALL = 0.5  # at most about this long between two looks at Ctrl-C and the progress bar


class Pace:
    """Cuts a run into calls: none longer than about half a second, none across a point where something is due.

    How a run is cut does not change what it computes.

    Args:
        settings: the run's.
        images: number of training images.
        total_steps: length of the run.
    """

    def __init__(self, settings: Settings, images: int, total_steps: int) -> None:
        self._settings = settings
        self._per_epoch = steps_per_epoch(images, settings.batch_size)
        self._total_steps = total_steps
        self._length = 1  # the first call is one step: it is the slow one, which compiles
        self._began = time.perf_counter()

    def next_steps(self, done: int) -> NDArray[np.int64]:
        """The numbers of the steps of the next call, int64 [k], where `done` steps are done."""
        log_steps = self._settings.log_steps
        ends = (
            self._total_steps,
            _next_multiple(self._settings.checkpoint_steps, done),
            _next_multiple(self._per_epoch, done),
            # A line of progress is of the batch before its step changed the weights: its step ends a call.
            _next_multiple(log_steps, done - 1) + 1,
        )
        end = min(done + self._length, *ends)
        self._began = time.perf_counter()
        return np.arange(done, end)

    def finish(self, steps: int) -> float:
        """Say that a call of so many steps is over. Returns its seconds; from them follows the length of the next."""
        seconds = time.perf_counter() - self._began
        fitting = int(_SECONDS_OF_A_CALL * steps / seconds)
        self._length = max(1, min(fitting, 2 * self._length))
        return seconds

    def is_epoch_end(self, done: int) -> bool:
        """Whether an epoch, or the run, is over after `done` steps."""
        return done % self._per_epoch == 0 or done == self._total_steps

    def is_checkpoint(self, done: int) -> bool:
        """Whether a checkpoint is due after `done` steps."""
        return done % self._settings.checkpoint_steps == 0 or done == self._total_steps


def _next_multiple(of: int, after: int) -> int:
    """The smallest multiple of `of` that is larger than `after`."""
    return (after // of + 1) * of
