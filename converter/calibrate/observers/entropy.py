"""The range that keeps most of the distribution's information: smallest KL divergence.

A candidate range holds b bins of a linear histogram. P is the histogram inside it, with everything outside put into the end
bins; Q is the same without what was outside, squeezed into as many levels as the grid has and spread out again over the bins
that are not empty. The range with the smallest KL(P, Q) wins (S. Migacz, 8-bit Inference with TensorRT, GTC 2017).
Unlike a search with as many bins as levels, which ends after one step, this one has BINS bins and LEVELS levels.
"""

from __future__ import annotations

import numpy as np

from converter.calibrate import OBSERVERS, Statistics
from converter.spec.quant import Array, QuantSpec

BINS = 2048
CANDIDATES = 48


@OBSERVERS.register("entropy")
def entropy(seen: Statistics, spec: QuantSpec) -> tuple[float, float]:
    """Clip the magnitude at the threshold with the smallest divergence; a side that does not reach it stays as it is."""
    values, counts = seen.histogram()
    values, counts = values[values != 0], counts[values != 0]  # 0 is on every grid; its spike behind a Relu would drown the rest
    largest = max(-seen.low, seen.high)
    if largest <= 0:
        return seen.low, seen.high
    levels = (spec.limits[1] - spec.limits[0] + 1) // (1 if seen.low >= 0 or seen.high <= 0 else 2)
    histogram = _linear(np.abs(values), counts, largest)
    ends = np.unique(np.linspace(min(levels, BINS), BINS, CANDIDATES).astype(int))
    threshold = min(ends, key=lambda end: (_divergence(histogram, int(end), levels), end)) / BINS * largest
    return max(seen.low, -float(threshold)), min(seen.high, float(threshold))


def _linear(magnitudes: Array, counts: Array, largest: float) -> Array:
    """Counts over BINS equal bins of ``[0, largest]``; a pattern wider than a bin is spread over the bins it covers."""
    edges = np.linspace(0, largest, BINS + 1)
    half = magnitudes / 256  # half the width of a pattern's interval
    out = np.zeros(BINS)
    first = np.clip(np.searchsorted(edges, magnitudes - half, side="right") - 1, 0, BINS - 1)
    last = np.clip(np.searchsorted(edges, magnitudes + half, side="right") - 1, 0, BINS - 1)
    width = last - first + 1
    for offset in range(int(width.max(initial=1))):
        here = offset < width
        np.add.at(out, first[here] + offset, counts[here] / width[here])
    return out


def _divergence(histogram: Array, end: int, levels: int) -> float:
    inside = histogram[:end]
    p = inside.copy()
    p[-1] += histogram[end:].sum()
    groups = np.minimum((np.arange(end) * levels) // end, levels - 1)
    filled = inside > 0
    totals = np.bincount(groups, weights=inside, minlength=levels)
    members = np.bincount(groups, weights=filled, minlength=levels)
    q = np.where(filled, totals[groups] / np.maximum(members[groups], 1), 0.0)
    p, q = p / p.sum(), q / max(q.sum(), 1e-300)
    mask = p > 0
    return float(np.sum(p[mask] * np.log(p[mask] / np.maximum(q[mask], 1e-12))))
