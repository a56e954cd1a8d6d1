"""The range with the smallest expected squared error.

For a grid of n steps on ``[low, high]`` a value inside is off by rounding, ``E[e^2] = step^2 / 12``, and one outside by its
distance to the range. Both follow from the histogram for every candidate range at once, with cumulative sums of the
counts, the values and their squares. (Uniform rounding noise: Widrow and Kollar, Quantization Noise, 2008.)
"""

from __future__ import annotations

import numpy as np

from converter.calibrate import OBSERVERS, Statistics
from converter.spec.quant import Array, QuantSpec

SHRINK = np.linspace(1.0, 0.3, 71)  # candidate ends of the range, as a share of the extreme


@OBSERVERS.register("mse")
def mse(seen: Statistics, spec: QuantSpec) -> tuple[float, float]:
    """Shrink each side of the range by itself, the other one held, twice in turn."""
    values, counts = seen.histogram()
    extremes = (min(seen.low, 0.0), max(seen.high, 0.0))
    low, high = extremes
    steps = spec.limits[1] - spec.limits[0]
    for _ in range(2):
        low = _best(extremes[0] * SHRINK, np.full(len(SHRINK), high), values, counts, steps, low)
        high = _best(np.full(len(SHRINK), low), extremes[1] * SHRINK, values, counts, steps, high, upper=True)
    return low, high


def _best(lows: Array, highs: Array, values: Array, counts: Array, steps: int, current: float, upper: bool = False) -> float:
    if current == 0.0:
        return current
    errors = _error(lows, highs, values, counts, steps)
    return float((highs if upper else lows)[int(np.argmin(errors))])


def _error(lows: Array, highs: Array, values: Array, counts: Array, steps: int) -> Array:
    """Summed squared error of every range ``[lows[i], highs[i]]``."""
    zero = np.zeros(1)
    n, s, q = (np.concatenate([zero, np.cumsum(counts * values**k)]) for k in range(3))
    below, above = np.searchsorted(values, lows, side="left"), np.searchsorted(values, highs, side="right")
    clipped_low = q[below] - 2 * lows * s[below] + lows**2 * n[below]
    clipped_high = (q[-1] - q[above]) - 2 * highs * (s[-1] - s[above]) + highs**2 * (n[-1] - n[above])
    return np.asarray(clipped_low + clipped_high + (n[above] - n[below]) * ((highs - lows) / steps) ** 2 / 12)
