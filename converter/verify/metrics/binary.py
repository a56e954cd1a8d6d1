"""accuracy_binary: is the one score on the right side of its threshold?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converter.spec.quant import Array
from converter.verify.labels import binary_labels
from converter.verify.metrics import METRICS, POINTS, Metric


@dataclass(frozen=True)
class BinaryAccuracy:
    """Share of values on the right side of a threshold: label 1 above it, label 0 at it or below.

    The output is (n,), (n, 1), or (n, ...) with a label each, where the score of a sample is the mean. Outputs within [0, 1]
    are probabilities and the threshold is 0.5; any other range is that of logits and the threshold is 0. In a stream the range
    is that of all float outputs together (``readings``). A value that is not finite is wrong.
    """

    name: str = "accuracy_binary"
    threshold: float | None = None
    higher_is_better: bool = True
    unit: str = POINTS

    def scores(self, output: Array, labels: Array) -> Array:
        """Float64 shares (n,); labels are 0 and 1 in the shape of the output."""
        output = np.asarray(output, np.float64)
        known = np.isfinite(output)
        threshold = self.threshold
        if threshold is None:
            threshold = _threshold(float(output[known].min(initial=np.inf)), float(output[known].max(initial=-np.inf)))
        hits = ((output > threshold) == (binary_labels(labels, output) == 1)) & known
        return np.asarray(hits.reshape(len(hits), -1).mean(-1), np.float64)

    def check(self, labels: Array, output: Array, first: int = 0) -> None:
        """InputError when the labels are not 0 and 1 in the shape of the output."""
        binary_labels(labels, output, first)

    def readings(self) -> tuple[Metric, ...]:
        """Probabilities, and logits."""
        return BinaryAccuracy(self.name, 0.5), BinaryAccuracy(self.name, 0.0)

    def reading(self, low: float, high: float) -> Metric:
        """With the threshold for float outputs from ``low`` to ``high``."""
        return BinaryAccuracy(self.name, _threshold(low, high))


def _threshold(low: float, high: float) -> float:
    return 0.5 if low >= 0 and high <= 1 else 0.0


METRICS.add("accuracy_binary", BinaryAccuracy())
