"""How far the range of a tensor has moved from the grid that it was shipped with."""

from __future__ import annotations

import numpy as np
import pytest

from converter.calibrate.statistics import Statistics
from converter.spec.plan import Own, QuantPlan
from converter.spec.quant import ACTIVATION_U8, from_range
from converter.spec.report import Report
from converter.transfer.drift import Drift, drifts, told


def drift(low: float, high: float, *, shipped: tuple[float, float] = (-1.0, 3.0), unsigned: bool = False) -> Drift:
    seen = Statistics()
    seen.update(np.linspace(low, high, 1000, dtype=np.float32)[None])
    plan = QuantPlan({"t": Own(ACTIVATION_U8, observer="minmax", unsigned=unsigned), "w": Own(ACTIVATION_U8)})
    (found,) = drifts(plan, {"t": from_range(ACTIVATION_U8, *shipped)}, {"t": seen})
    return found


@pytest.mark.parametrize(("low", "high", "outside", "used"), [
    (-1.0, 3.0, 0.0, 1.0), (-1.0, 5.0, 0.5, 1.0), (-3.0, 3.0, 0.5, 1.0), (-0.5, 1.5, 0.0, 0.5), (1.0, 2.0, 0.0, 0.5), (-2.0, 4.0, 0.5, 1.0)])
def test_what_lies_outside_and_what_is_used(low: float, high: float, outside: float, used: float) -> None:
    found = drift(low, high)
    assert found.outside == pytest.approx(outside, abs=0.01) and found.used == pytest.approx(used, abs=0.01)
    assert found.shipped == pytest.approx((-1, 3), abs=0.02) and found.now == pytest.approx((low, high), abs=0.02)


def test_the_worst_are_named_and_what_fits_is_not() -> None:
    report = Report("refit")
    found = [Drift("fits", (0, 1), (0, 1), 0.0, 1.0), Drift("far", (0, 1), (0, 9), 8.0, 1.0), Drift("small", (0, 1), (0, 0.1), 0.0, 0.1)]
    told(found, 7, report)
    assert [d["name"] for d in report.numbers["drift"]] == ["fits", "far", "small"]
    (warning,) = report.warnings
    assert warning.startswith("2 activation ranges do not fit the new weights: far has codes for 0 to 1, needs 0 to 9; small has")
    assert "3 activation ranges checked on 7 samples: 1 are exceeded by more than 10 %, 1 use less than 50 %" in report.done[0]


def test_nothing_is_said_of_what_fits() -> None:
    report = Report("refit")
    told([drift(-1.0, 3.0)], 1, report)
    assert report.warnings == []
