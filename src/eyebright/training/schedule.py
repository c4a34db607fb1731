"""The learning rate over the steps of a run: a pure function of the step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eyebright.settings import Settings
from eyebright.training.batches import steps_per_epoch

_ONE_CYCLE_RISE = 0.3  # of the run; the rest is the way down
_TRIANGULAR_PEAK = 0.23  # of the run
_TRIANGULAR_ENDS = (0.2, 0.07)  # of the peak's rate
_STEP_DROPS = (0.5, 0.75)  # of the run; at each the rate falls to a tenth


def run_length(settings: Settings, training_images: int) -> int:
    """The number of steps of a run: `max_steps`, or `epochs` times the batches of an epoch."""
    if settings.epochs is None:
        return settings.max_steps or 0  # never 0: the settings have one of the two
    return settings.epochs * steps_per_epoch(training_images, settings.batch_size)


def learning_rates(settings: Settings, steps: NDArray[np.int64], total_steps: int) -> NDArray[np.float32]:
    """The learning rate of each of some steps.

    - constant: the same throughout.
    - cosine: half a cosine from the peak to 0 (Loshchilov and Hutter, "SGDR", 2017, without restarts).
    - one-cycle: a straight rise from 0 over 30% of the run, then half a cosine down to 0 (after Smith and Topin,
      "Super-convergence", 2018).
    - step: a tenth after half of the run, a hundredth after three quarters (He et al., "Deep residual learning", 2016).
    - linear: a straight fall from the peak to 0.
    - triangular: a straight rise from a fifth of the peak over 23% of the run, then a straight fall to 7% of it
      (Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024).

    A warm-up multiplies whichever it is by a straight line from 0 to 1 over its steps.

    Args:
        settings: `schedule`, `learning_rate` (the peak) and `warmup_steps` are read.
        steps: int64 [k], step numbers from 0.
        total_steps: length of the run; constant alone does not depend on it.

    Returns:
        float32 [k]
    """
    progress = steps / total_steps  # [k], 0 … 1
    factor: NDArray[np.floating]
    match settings.schedule:
        case "constant":
            factor = np.ones(len(steps))
        case "cosine":
            factor = _half_cosine(progress)
        case "one-cycle":
            rise = (steps + 1) / (_ONE_CYCLE_RISE * total_steps)
            fall = _half_cosine((progress - _ONE_CYCLE_RISE) / (1 - _ONE_CYCLE_RISE))
            factor = np.where(progress < _ONE_CYCLE_RISE, np.minimum(rise, 1.0), fall)
        case "step":
            factor = 0.1 ** np.searchsorted(_STEP_DROPS, progress, side="right")
        case "linear":
            factor = 1.0 - progress
        case "triangular":
            first, last = _TRIANGULAR_ENDS
            factor = np.interp(progress, (0.0, _TRIANGULAR_PEAK, 1.0), (first, 1.0, last))
    if settings.warmup_steps:
        factor = factor * np.minimum((steps + 1) / settings.warmup_steps, 1.0)
    return (settings.learning_rate * factor).astype(np.float32)


def _half_cosine(progress: NDArray[np.float64]) -> NDArray[np.float64]:
    return 0.5 * (1 + np.cos(np.pi * progress))
