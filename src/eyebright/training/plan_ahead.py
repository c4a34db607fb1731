"""A plan whose next steps are made while the present ones are computed."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from eyebright.training.plan import Plan, Steps


class PlanAhead:
    """Hands out the steps of a plan in their order, and makes the next ones in a thread meanwhile.

    On a GPU that computes a step in milliseconds, drawing its random numbers takes as long as a tenth of it.

    Args:
        plan: of the run.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._thread = ThreadPoolExecutor(1, "plan")
        self._first = -1  # number of the first step that is made ahead
        self._ahead: Future[Steps] | None = None

    def steps(self, numbers: NDArray[np.int64]) -> Steps:
        """The steps of these numbers, int64 [k], which follow on one another."""
        steps = self._made(int(numbers[0]), len(numbers)) or self._plan.steps(numbers)
        self._first = int(numbers[-1]) + 1
        # A call is at most twice as long as the one before it, and none goes beyond the end.
        coming = np.arange(self._first, min(self._first + 2 * len(numbers), self._plan.total_steps))
        self._ahead = self._thread.submit(self._plan.steps, coming) if len(coming) else None
        return steps

    def _made(self, first: int, length: int) -> Steps | None:
        """So many steps from a number on, if they were made ahead."""
        if self._ahead is None or first != self._first:
            return None
        made = self._ahead.result()
        return made.part(0, length) if len(made) >= length else None
