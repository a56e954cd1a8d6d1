"""One sweep over the data gives statistics of every activation; ranges for any grid are read from them afterwards."""

from __future__ import annotations

from collections.abc import Callable

from converter.calibrate.statistics import Statistics
from converter.registry import Registry
from converter.spec.quant import QuantSpec

__all__ = ["OBSERVERS", "Observer", "Statistics"]

Observer = Callable[[Statistics, QuantSpec], tuple[float, float]]
"""Reads the range ``(low, high)`` that a grid should cover from the statistics of a tensor."""

OBSERVERS: Registry[Observer] = Registry("observer", "converter.calibrate.observers")
