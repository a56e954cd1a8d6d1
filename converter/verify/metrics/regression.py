"""mae and mse: how far the output is from its target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from converter.spec.quant import Array
from converter.verify.labels import matching
from converter.verify.metrics import METRICS


@dataclass(frozen=True)
class Distance:
    """Mean of ``cost(|output - target|)`` over all values of a sample; infinite where the output is not finite."""

    name: str
    unit: str
    cost: Callable[[Array], Array]
    higher_is_better: bool = False

    def scores(self, output: Array, labels: Array) -> Array:
        """Float64 errors (n,), in the unit of the metric; labels in the shape of the output."""
        output = np.asarray(output, np.float64)
        known = np.isfinite(output)
        distance = np.abs(np.where(known, output, 0.0) - matching(labels, output))
        costs = np.where(known, self.cost(distance), np.inf)
        return np.asarray(costs.reshape(len(costs), -1).mean(-1), np.float64)

    def check(self, labels: Array, output: Array, first: int = 0) -> None:
        """InputError when the labels are not finite numbers in the shape of the output."""
        matching(labels, output, first)


METRICS.add("mae", Distance("mae", "units of the output", np.abs))
METRICS.add("mse", Distance("mse", "squared units of the output", np.square))
