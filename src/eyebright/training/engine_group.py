"""The JAX engine of one process of several that train together."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.training.engine import StepRecords
from eyebright.training.engine_jax import JaxEngine
from eyebright.training.group import Do, Message, hear, leads, shared, tell
from eyebright.training.plan import Steps


class GroupEngine(JaxEngine):
    """Computes its part of each batch.

    That of the first process is used as any other engine. What it is asked for the others' are told, and they `follow`:
    nothing has to be decided twice: when to validate, to save, or to stop. All begin with the first one's
    variables.

    Args: see `Engine`.
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._alike = False
        if leads():
            tell(Message(Do.BEGIN))

    def train(self, steps: Steps) -> StepRecords:
        """See `Engine`; the steps follow one after the other."""
        if leads():
            tell(Message(Do.TRAIN, int(steps.numbers[0]), len(steps)))
        if not self._alike:
            self._become_alike()
        return super().train(steps)

    def logits(self, indices: NDArray[np.int64]) -> NDArray[np.floating]:
        """See `Engine`."""
        if leads():
            tell(Message(Do.ANSWER, length=len(indices)))
        chosen: NDArray[np.int32] = shared(indices.astype(np.int32))
        logits: NDArray[np.floating] = self._placement.together(super().logits, chosen.astype(np.int64))
        return logits

    def follow(self) -> None:
        """Do what the first process asks for; there is no end to it but that of this process."""
        while True:
            message = hear()
            if message.do is Do.TRAIN:
                self.train(self._plan.steps(np.arange(message.first, message.first + message.length)))
            else:
                self.logits(np.zeros(message.length, np.int64))

    def _become_alike(self) -> None:
        """Take the first process's variables: what it restored, measured or fitted, the others have not."""
        variables = list(self.variables.values())
        for variable, value in zip(variables, shared([variable.value for variable in variables]), strict=True):
            variable.assign(value)
        self._alike = True
