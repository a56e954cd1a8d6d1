"""The whole range that was seen."""

from __future__ import annotations

from converter.calibrate import OBSERVERS, Statistics
from converter.spec.quant import QuantSpec


@OBSERVERS.register("minmax")
def minmax(seen: Statistics, spec: QuantSpec) -> tuple[float, float]:
    """Smallest and largest value."""
    return seen.low, seen.high
