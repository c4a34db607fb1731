"""How sure a figure is."""

from __future__ import annotations


def wilson_interval(successes: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson, 1927), which stays within 0 … 1 and holds near both ends.

    Args:
        successes: 0 … trials.
        trials: at least 1.
        confidence: 0 … 1.

    >>> low, high = wilson_interval(4633, 10000)
    >>> f"{low:.4f} to {high:.4f}"
    '0.4535 to 0.4731'
    """
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)
