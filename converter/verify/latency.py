"""Time two models against each other: interleaved in one process, so that a machine that drifts moves both alike.

Absolute times on a shared machine mean little; the median of the ratios of neighbouring runs, with its quartiles, is what
is reported.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from converter.spec.quant import Array
from converter.verify.session import Session

SHORTEST = 2e-3  # seconds that one measurement lasts at least, or the clock would be what is measured
MOST_PAIRS = 200


@dataclass(frozen=True)
class Latency:
    """Candidate against reference.

    Args:
        batch, threads: how it was run.
        float_ms, integer_ms: medians of one run of the reference and of the candidate, in milliseconds.
        ratio: median of candidate time over reference time, pair by pair.
        q1, q3: quartiles of that ratio.
        pairs: how many pairs.
    """

    batch: int
    threads: int
    float_ms: float
    integer_ms: float
    ratio: float
    q1: float
    q3: float
    pairs: int


def race(reference: Session, candidate: Session, feeds: Mapping[str, Array], *, threads: int, seconds: float = 2.0) -> Latency:
    """Run both in turn, the order swapped every pair, for about ``seconds``."""
    runs = (_runner(reference, feeds), _runner(candidate, feeds))
    once = [min(_clock(run, 1) for _ in range(4)) for run in runs]  # also warms up
    repeat = max(1, math.ceil(SHORTEST / min(once)))
    pairs = int(np.clip(seconds / (sum(once) * repeat), 5, MOST_PAIRS))
    times = np.empty((pairs, 2))
    for index in range(pairs):
        for which in (0, 1) if index % 2 else (1, 0):
            times[index, which] = _clock(runs[which], repeat)
    ratios = times[:, 1] / times[:, 0]
    q1, middle, q3 = (float(q) for q in np.percentile(ratios, (25, 50, 75)))
    first, second = (float(m) * 1e3 for m in np.median(times, axis=0))
    return Latency(len(next(iter(feeds.values()))), threads, first, second, middle, q1, q3, pairs)


def _runner(session: Session, feeds: Mapping[str, Array]) -> Any:
    raw, names = session.raw(), [o.name for o in session.outputs]
    values = list(feeds.values())
    given = {info.name: feeds.get(info.name, values[min(i, len(values) - 1)]) for i, info in enumerate(session.inputs)}
    return lambda: raw.run(names, given)


def _clock(run: Any, repeat: int) -> float:
    start = time.perf_counter()
    for _ in range(repeat):
        run()
    return (time.perf_counter() - start) / repeat
