"""Task metrics: a file of a family is found by being here.

A metric gives one score a sample, so that two models can be compared sample by sample.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from converter.registry import Registry
from converter.spec.quant import Array

POINTS = "points"


@runtime_checkable
class Metric(Protocol):
    """A score for every sample of one output."""

    @property
    def name(self) -> str:
        """What it is called on the command line."""

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger score is the better one."""

    @property
    def unit(self) -> str:
        """``"points"`` for scores that are shares (0 to 1; shown times 100), else what one unit of the score is."""

    def scores(self, output: Array, labels: Array) -> Array:
        """Scores of ``output`` (n, ...) against ``labels`` that passed :meth:`check`: float64, shape (n,).

        A sample whose output is not finite gets the worst score there is.
        """

    def check(self, labels: Array, output: Array, first: int = 0) -> None:
        """InputError when ``labels`` cannot be the labels of ``output``; ``first`` is the number of the first sample in the data."""


@runtime_checkable
class Readings(Protocol):
    """A metric whose meaning hangs on the range of the whole float output, which is only known at the end of a stream."""

    def readings(self) -> tuple[Metric, ...]:
        """The metrics it may turn out to be."""

    def reading(self, low: float, high: float) -> Metric:
        """The one of :meth:`readings` that fits float outputs from ``low`` to ``high``."""


METRICS: Registry[Metric] = Registry("metric", "converter.verify.metrics")
