"""Whether a batch can be divided among workers; known without Ray, and before it starts."""

from __future__ import annotations

from eyebright.errors import SettingsError
from eyebright.settings import Settings


def check_batch(settings: Settings, workers: int, *, resumed: bool = False) -> None:
    """Refuse a number of workers that a batch cannot be divided among.

    Args:
        settings: of the run, fitted to the data.
        workers: how many.
        resumed: whether the run has begun: its batch is settled.

    Raises:
        SettingsError: the parts would not be of the same size; it says which numbers fit.
    """
    at_once = settings.batch_size // settings.accumulate
    if at_once % workers == 0:
        return
    less = max(n for n in range(1, workers) if at_once % n == 0)
    more = next((n for n in range(workers + 1, at_once + 1) if at_once % n == 0), None)
    advice = f"--workers {less}" + (f" or {more}" if more else "")
    if not resumed:
        step = workers * settings.accumulate
        below, above = settings.batch_size // step * step, -(-settings.batch_size // step) * step
        advice += f", or --batch-size {f'{below} or ' if below else ''}{above}"
    parts = f", computed in {settings.accumulate} parts," if settings.accumulate > 1 else ""
    raise SettingsError(
        f"--workers {workers}: a batch of {settings.batch_size} images{parts} cannot be divided evenly among them. "
        f"Give {advice}."
    )
