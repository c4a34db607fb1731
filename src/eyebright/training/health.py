"""Whether a training still computes with finite numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eyebright.errors import TrainingError
from eyebright.training.checkpoint import Checkpoints
from eyebright.training.engine import StepRecords
from eyebright.training.plan import Steps


def check_losses(records: StepRecords, steps: Steps, checkpoints: Checkpoints) -> None:
    """Stop a training whose loss became infinite or not a number.

    Args:
        records: of some steps.
        steps: these steps.
        checkpoints: of the run, to name the last good one.

    Raises:
        TrainingError: naming the step, the learning rate, and what to do.
    """
    bad = np.flatnonzero(~np.isfinite(records.losses))
    if bad.size:
        first = int(bad[0])
        raise TrainingError(
            _message(
                f"the loss is {records.losses[first]}",
                int(steps.numbers[first]),
                float(steps.learning_rates[first]),
                checkpoints,
            )
        )


def check_weights(variables: Mapping[str, Any], step: int, learning_rate: float, checkpoints: Checkpoints) -> None:
    """Stop before weights that are not finite are saved: the loss shows it only a step later.

    Raises:
        TrainingError: naming the step, the learning rate, and what to do.
    """
    for name, variable in variables.items():
        if name.startswith("model/") and not np.isfinite(variable.numpy()).all():
            weights = name.removeprefix("model/")
            raise TrainingError(_message(f"{weights} is not finite", step, learning_rate, checkpoints))


def check_logits(which: str, logits: NDArray[np.floating], step: int) -> None:
    """Stop where weights are finite, but so large that what follows from them is not.

    Args:
        which: "validation" or "test", of which images the logits are.
        logits: float [n, classes].
        step: number of steps done.

    Raises:
        TrainingError: saying what to do.
    """
    if not np.isfinite(logits).all():
        raise TrainingError(
            f"Step {step}: the logits of the {which} images are not finite: the weights have become too large. "
            "Train anew with a lower --learning-rate or with --clip-norm 1."
        )


def _message(what: str, step: int, learning_rate: float, checkpoints: Checkpoints) -> str:
    saved = checkpoints.steps()
    kept = f"The checkpoint of step {saved[-1]} is kept. " if saved else ""
    return (
        f"Step {step}: {what} (learning rate {learning_rate:g}). {kept}"
        f"Train anew with a lower --learning-rate (for example {learning_rate / 10:g}) or with --clip-norm 1."
    )
