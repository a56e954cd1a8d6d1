"""Confidence intervals of a paired difference, from counts or from moments. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

STEPS = 80  # halvings: beyond the resolution of float64
MOST_SAMPLES = 10**9  # a search for a number of samples gives up here


def z_value(confidence: float) -> float:
    """The normal quantile of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def paired_shares(lost: float, gained: float, samples: float, confidence: float) -> tuple[float, float]:
    """Tango's score interval for the difference of two paired shares, ``(lost - gained) / samples``.

    T. Tango, "Equivalence test and confidence interval for the difference in proportions for the paired-sample design",
    Statistics in Medicine 17 (1998) 891-908. It inverts the score test: with ``d`` the difference assumed and ``q`` the
    most likely share of gained pairs under it, ``lost - gained - samples d = +-z sqrt(samples (2 q + d (1 - d)))``. It holds
    its level with few changed pairs and is not empty with none: 0 of n gives ``+-z^2 / (n + z^2)``.

    Args:
        lost, gained: pairs that changed to the worse and to the better; need not be whole (planning).
        samples: all pairs, positive.
        confidence: two-sided level, for example 0.95.

    Returns:
        (low, high) as shares, within [-1, 1].
    """
    z = z_value(confidence)
    measured = (lost - gained) / samples
    high = _edge(lambda d: _score(lost, gained, samples, d) >= -z, measured, 1.0)
    low = _edge(lambda d: _score(lost, gained, samples, d) <= z, measured, -1.0)
    return low, high


def _score(lost: float, gained: float, n: float, d: float) -> float:
    """Tango's statistic for an assumed difference ``d``; falls as ``d`` grows."""
    b = -lost - gained + (2 * n - lost + gained) * d
    q = (math.sqrt(max(b * b + 8 * n * gained * d * (1 - d), 0.0)) - b) / (4 * n)
    spread = n * (2 * q + d * (1 - d))
    distance = lost - gained - n * d
    return distance / math.sqrt(spread) if spread > 0 else math.copysign(math.inf, distance) if distance else 0.0


def _edge(holds: Callable[[float], bool], inside: float, outside: float) -> float:
    """The value between ``inside`` (where ``holds``) and ``outside`` where it stops to hold; ``outside`` if it never does."""
    if holds(outside):
        return outside
    for _ in range(STEPS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if holds(middle) else (inside, middle)
    return inside


def mean_difference(mean: float, deviation: float, samples: int, confidence: float) -> tuple[float, float]:
    """Student's interval of the mean of paired differences: ``mean +- t deviation / sqrt(samples)``.

    Right for differences that are not too skewed, or from about 30 samples on. Infinite for fewer than two samples.

    Args:
        mean, deviation: of the differences; the deviation with divisor ``samples - 1``.
        samples: how many.
        confidence: two-sided level.
    """
    if samples < 2 or not (math.isfinite(mean) and math.isfinite(deviation)):
        return -math.inf, math.inf
    half = t_value(samples - 1, confidence) * deviation / math.sqrt(samples)
    return mean - half, mean + half


def t_value(freedom: int, confidence: float) -> float:
    """Student's quantile for a two-sided interval.

    Exact for 1 and 2 degrees of freedom; else the expansion of Abramowitz and Stegun 26.7.5, within 0.2 % at the 95 % level.
    """
    p = 0.5 + confidence / 2
    if freedom == 1:
        return math.tan(math.pi * (p - 0.5))
    if freedom == 2:
        return (2 * p - 1) * math.sqrt(2 / (4 * p * (1 - p)))
    z, v = z_value(confidence), float(freedom)
    return (z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
            + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
            + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * v**4))


def smallest(enough: Callable[[int], bool], start: int) -> int | None:
    """The smallest number from ``start`` on that is enough, given that all above it are too; None when none in reach is."""
    low, high = start - 1, start
    while not enough(high):
        low, high = high, high * 2
        if high > MOST_SAMPLES:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
