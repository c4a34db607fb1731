"""Finds a learning rate: some steps, each at a higher rate than the one before, and what they do to the loss.

This is the range test of Smith, "Cyclical learning rates for training neural networks", 2017, and a suggestion made of
its outcome.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from eyebright.data.dataset import Dataset
from eyebright.data.split import split_dataset
from eyebright.errors import TrainingError
from eyebright.settings import Settings
from eyebright.training.engine import Engine
from eyebright.training.learnt_images import image_keys
from eyebright.training.origins import load_origins
from eyebright.training.plan import Plan
from eyebright.training.preparation import begin, build, build_engine, settle
from eyebright.training.progress import TrainingProgress

_WIDTH = 0.02  # of the test: the smoothing's standard deviation
_DIVERGED = 4.0  # times the lowest smoothed loss: there the test ends
_LEAST_FALL = 6.0  # times the smoothed loss's noise: one that stays where it is, falls so far in one test of 200
_NORMAL_MEDIAN = 0.6745  # of a normal variable's absolute value, in standard deviations
_BELOW_LOWEST = 3.0  # the suggestion is the rate of the lowest loss, divided by this


@dataclass(frozen=True)
class RateTest:
    """What a range test found.

    Attributes:
        learning_rates: float64 [k], one a step, rising, as far as the loss did not diverge.
        losses: float64 [k], of the step's batch before the step changed the weights.
        smoothed_losses: float64 [k], see `smooth`.
        suggestion: the learning rate to train with (of a schedule, the peak).
    """

    learning_rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed_losses: NDArray[np.float64]
    suggestion: float


def find_learning_rate(
    settings: Settings,
    dataset: Dataset,
    *,
    start: float = 1e-6,
    end: float = 10.0,
    steps: int = 100,
    console: Console | None = None,
) -> RateTest:
    """Test learning rates on the first steps of a run with these settings, and suggest one.

    Batches, augmentation, objective, optimizer and precision are the run's; its learning rate, schedule and length
    play no part. Only training images are looked at, and nothing is written.

    Args:
        settings: of the run.
        dataset: what to learn from.
        start: rate of the first step, > 0.
        end: rate of the last step, > start; the test ends before it where the smoothed loss is more than four times
            its lowest, or is no number.
        steps: how many rates to try, each the same multiple of the one before.
        console: where to show progress; None shows nothing.

    Raises:
        SettingsError: settings that contradict the data, or that name a teacher or weights which have learnt from the
            test images.
        TrainingError: the loss falls nowhere, or still falls at the last rate: nothing can be suggested.
    """
    split = split_dataset(dataset, **settings.split)
    training = split.train
    origins = load_origins(settings, dataset, image_keys(dataset), [split], console)  # refused here as in training
    settings, _ = settle(settings, dataset, training, origins.pretrained)
    # ema and swa would change no loss here; look-ahead hardly does in the beginning of a run, which this is.
    settings = settings.model_copy(update={"averaging": "none"})
    model = build(settings, dataset, origins.pretrained)
    plan, engine = build_engine(model, settings, dataset, training, origins.teaching(settings.precision))
    begin(model, settings, dataset, training, origins.pretrained, console)
    learning_rates = np.geomspace(start, end, steps)
    losses = _train(engine, plan, learning_rates, settings.batch_size, console)
    smoothed = smooth(losses, steps)
    suggestion = suggest(learning_rates, losses, smoothed)
    return RateTest(learning_rates[: len(losses)], losses, smoothed, suggestion)


def smooth(losses: NDArray[np.float64], steps: int) -> NDArray[np.float64]:
    """A moving mean of losses, each weighted by a normal curve whose standard deviation is 2% of the test.

    It looks both ways: a mean of earlier losses alone would show the lowest too late, at too high a rate.

    Args:
        losses: float64 [k].
        steps: length of the whole test, k or more.

    Returns:
        float64 [k]
    """
    numbers = np.arange(len(losses))
    weights = np.exp(-0.5 * ((numbers[:, None] - numbers) / _width(steps)) ** 2)  # [k, k]
    smoothed: NDArray[np.float64] = weights @ losses / weights.sum(axis=1)
    return smoothed


def suggest(learning_rates: NDArray[np.float64], losses: NDArray[np.float64], smoothed: NDArray[np.float64]) -> float:
    """A third of the rate at which the smoothed loss is lowest, to two digits.

    At that rate a step spoils as much as it mends, and a network that starts there may never recover; a third of it
    keeps away from that edge, and is still among the fastest. On digits and CIFAR-10, with eleven combinations of model
    and optimizer, one to three epochs at a third came within 1.3 points of validation accuracy, on average, of the
    best of a row of rates; at half within 1.1 (but it lies beyond the edge where that is sharp), at a tenth within 3.6,
    at the steepest point within 4.0, two thirds down the longest fall (fastai's "valley") within 7.2.

    Args:
        learning_rates: float64 [steps], of the whole test.
        losses: float64 [k], as far as they did not diverge.
        smoothed: float64 [k], the same smoothed.

    Raises:
        TrainingError: the loss falls nowhere, or still falls at the last rate.
    """
    diverged = len(losses) < len(learning_rates)
    lowest = int(np.argmin(smoothed)) if len(smoothed) else 0
    first, last = f"{learning_rates[0]:g}", f"{learning_rates[-1]:g}"
    if diverged and lowest == 0:
        raise TrainingError(f"The loss does not fall before it diverges, from {first} on. Give a lower --start.")
    if not diverged and smoothed[0] - smoothed[lowest] < _LEAST_FALL * _noise(losses, len(learning_rates)):
        raise TrainingError(
            f"The loss falls at no learning rate from {first} to {last}. Give a lower --start or a larger --end."
        )
    if lowest == len(learning_rates) - 1:
        raise TrainingError(f"The loss still falls at the last learning rate, {last}. Give a larger --end.")
    return float(f"{learning_rates[lowest] / _BELOW_LOWEST:.2g}")


def _noise(losses: NDArray[np.float64], steps: int) -> float:
    """What the smoothed loss varies by chance, in standard deviations."""
    # By the median of the differences between neighbours: where the loss falls or diverges, they are no chance.
    of_a_batch = float(np.median(np.abs(np.diff(losses)))) / (_NORMAL_MEDIAN * math.sqrt(2))
    return of_a_batch / math.sqrt(2 * math.sqrt(math.pi) * _width(steps))


def _width(steps: int) -> float:
    """The smoothing's standard deviation in steps."""
    return max(_WIDTH * steps, 1.0)


def _train(
    engine: Engine,
    plan: Plan,
    learning_rates: NDArray[np.float64],
    batch_size: int,
    console: Console | None,
) -> NDArray[np.float64]:
    """Train a step at each of the rates, in calls of one. Returns the losses, float64 [k], until they diverge."""
    losses: list[float] = []
    with TrainingProgress(console, len(learning_rates), 0) as progress:
        for number, rate in enumerate(learning_rates):
            steps = plan.steps(np.array([number]))
            began = time.perf_counter()
            records = engine.train(replace(steps, learning_rates=np.array([rate], np.float32)))
            seconds = time.perf_counter() - began
            losses.append(float(records.losses[0]))
            progress.advance(number + 1, losses[-1], float(records.accuracies[0]), batch_size / seconds)
            if _has_diverged(np.array(losses), len(learning_rates)):
                losses.pop()
                break
    return np.array(losses)


def _has_diverged(losses: NDArray[np.float64], steps: int) -> bool:
    if not np.isfinite(losses[-1]):
        return True
    smoothed = smooth(losses, steps)
    return bool(smoothed[-1] > _DIVERGED * smoothed.min())
