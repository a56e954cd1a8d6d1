"""Count, mean and variance of a stream of numbers."""

from __future__ import annotations

import math

import numpy as np

from converter.spec.quant import Array


class Moments:
    """Running count, mean and variance; parts can be merged.

    Pairwise updating of Chan, Golub and LeVeque, "Algorithms for computing the sample variance" (1983), which does not lose
    the variance of numbers that are all alike. Values that are not finite are counted apart and make the mean infinite:
    a broken value never looks good, and never turns into a silent NaN.
    """

    def __init__(self) -> None:
        self.count = 0
        self.broken = 0
        self._mean = 0.0
        self._squares = 0.0

    def update(self, values: Array) -> None:
        """Take in ``values``, any shape."""
        flat = np.asarray(values, np.float64).ravel()
        finite = flat[np.isfinite(flat)]
        self.broken += flat.size - finite.size
        if finite.size:
            mean = float(finite.mean())
            self._join(finite.size, mean, float(np.square(finite - mean).sum()))

    def merge(self, other: Moments) -> None:
        """Take in what another instance has seen."""
        self.broken += other.broken
        if other.count:
            self._join(other.count, other._mean, other._squares)

    def _join(self, count: int, mean: float, squares: float) -> None:
        total = self.count + count
        step = mean - self._mean
        self._squares += squares + step * step * self.count * count / total
        self._mean += step * count / total
        self.count = total

    @property
    def total(self) -> int:
        """Number of values seen, the broken ones included."""
        return self.count + self.broken

    @property
    def mean(self) -> float:
        """Mean; infinite when a value was not finite; NaN when there was none."""
        if self.broken:
            return math.inf
        return self._mean if self.count else math.nan

    def deviation(self, ddof: int = 0) -> float:
        """Standard deviation with divisor ``count - ddof``; infinite when a value was not finite, NaN when too few."""
        if self.broken:
            return math.inf
        return math.sqrt(self._squares / (self.count - ddof)) if self.count > ddof else math.nan
