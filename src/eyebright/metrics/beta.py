"""The beta distribution, by Python alone: who only predicts, and abstains, needs no SciPy."""

from __future__ import annotations

import math

_CONVERGED = 1e-16
_TINY = 1e-300  # in the place of a zero that would be divided by
_HALVINGS = 60  # more than a float64 between 0 and 1 can tell


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), the beta distribution's cumulative one.

    By its continued fraction (Press et al., "Numerical Recipes", 6.4), evaluated by Lentz's method.

    Args:
        x: 0 … 1.
        a: above 0.
        b: above 0.

    >>> round(beta_cdf(0.5, 2, 3), 12)
    0.6875
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # on that side the fraction converges slowly
        return 1 - beta_cdf(1 - x, b, a)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(logarithm) * _fraction(x, a, b) / a


def beta_quantile(probability: float, a: float, b: float) -> float:
    """The x in 0 … 1 of which `beta_cdf` is a probability, by halving."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_cdf(middle, a, b) < probability else (low, middle)
    return (low + high) / 2


def _fraction(x: float, a: float, b: float) -> float:
    """1 / (1 + d₁ / (1 + d₂ / …)). It takes some times √max(a, b) terms."""
    numerator, denominator = 1.0, 1 / _nonzero(1 - (a + b) * x / (a + 1))
    value = denominator
    for m in range(1, 100 + 10 * math.isqrt(int(max(a, b)) + 1)):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            denominator = 1 / _nonzero(1 + term * denominator)
            numerator = _nonzero(1 + term / numerator)
            change = denominator * numerator
            value *= change
        if abs(change - 1) < _CONVERGED:
            break
    return value


def _nonzero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
