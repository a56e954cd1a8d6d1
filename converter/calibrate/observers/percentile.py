"""The range without its rarest values."""

from __future__ import annotations

import numpy as np

from converter.calibrate import OBSERVERS, Statistics
from converter.spec.quant import QuantSpec

SHARE = 1e-5  # of all values, left out on each side


@OBSERVERS.register("percentile")
def percentile(seen: Statistics, spec: QuantSpec) -> tuple[float, float]:
    """The 0.001 and 99.999 percentiles; a side that the values do not reach stays where it is."""
    values, counts = seen.histogram()
    share = np.cumsum(counts) / counts.sum()
    low = values[int(np.searchsorted(share, SHARE, side="left"))]
    high = values[int(np.searchsorted(share, 1 - SHARE, side="left"))]
    return float(low), float(high)
