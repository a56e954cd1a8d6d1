"""Whether the activation grids of a shipped graph still fit what its layers compute with new weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from converter.calibrate import Statistics
from converter.quantize.solve import range_of
from converter.spec.plan import Own, QuantPlan
from converter.spec.quant import QParams
from converter.spec.report import Report
from converter.verify.policy import DEFAULT, Policy


@dataclass(frozen=True)
class Drift:
    """A tensor whose range is another now.

    Args:
        name: of the tensor.
        shipped: lowest and highest value that its grid holds.
        now: the range that the same observer reads from the new statistics.
        outside: how much of ``now`` lies outside ``shipped``, as a share of the width of ``shipped``.
        used: width of ``now`` inside ``shipped`` over the width of ``shipped``: what is left of the codes.
    """

    name: str
    shipped: tuple[float, float]
    now: tuple[float, float]
    outside: float
    used: float

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"name": self.name, "shipped": list(self.shipped), "now": list(self.now), "outside": self.outside, "used": self.used}


def drifts(plan: QuantPlan, grids: Mapping[str, QParams], seen: Mapping[str, Statistics]) -> list[Drift]:
    """The drift of every tensor with a grid from statistics, in the order of the plan."""
    return [_drift(name, grids[name], range_of(entry, seen[name])) for name, entry in plan.entries.items()
            if isinstance(entry, Own) and entry.observer and name in seen]


def _drift(name: str, grid: QParams, now: tuple[float, float]) -> Drift:
    low, high = ((code - int(grid.zero_point)) * float(grid.scale) for code in grid.spec.limits)
    first, last = min(now[0], 0.0), max(now[1], 0.0)  # a grid always holds 0
    width = high - low
    outside = max(low - first, 0.0) + max(last - high, 0.0)
    return Drift(name, (low, high), now, outside / width, max(min(last, high) - max(first, low), 0.0) / width)


def told(found: list[Drift], samples: int, report: Report, policy: Policy = DEFAULT) -> None:
    """Write the drift into ``report``; a warning names what no longer fits."""
    report.numbers["drift"] = [drift.to_json() for drift in found]
    clipped = [d for d in found if d.outside > policy.drift_outside]
    wasted = [d for d in found if d.used < policy.drift_used]
    report.done.append(f"{len(found)} activation ranges checked on {samples} samples: {len(clipped)} are exceeded by more than "
                       f"{100 * policy.drift_outside:g} %, {len(wasted)} use less than {100 * policy.drift_used:g} % of their codes")
    worst = sorted((*clipped, *wasted), key=lambda d: (-d.outside, d.used))
    if worst:
        named = [f"{d.name} has codes for {d.shipped[0]:.4g} to {d.shipped[1]:.4g}, needs {d.now[0]:.4g} to {d.now[1]:.4g}" for d in worst[:3]]
        report.warnings.append(f"{len(set(worst))} activation ranges do not fit the new weights: {'; '.join(named)}. Calibrating again "
                               "(--recalibrate) fits them")
