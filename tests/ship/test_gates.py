"""The verdict: what was asked for against what was measured, and a reason for every no."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from converter.errors import UsageError
from converter.ship.gates import WANTS, Gates, check_limit, judge
from converter.spec.report import Report, Verdict
from converter.verify.accuracy import PairedAccuracy
from converter.verify.compare import Fidelity
from converter.verify.evidence import Evidence
from converter.verify.judging import Judged
from converter.verify.metrics import METRICS

SMALL, BIG = {"float": 400, "integer": 100, "ratio": 0.25}, {"float": 400, "integer": 440, "ratio": 1.1}


def latency(ratio: float) -> dict[str, Any]:
    return {"batch": 1, "threads": 1, "float_ms": 1.0, "integer_ms": ratio, "ratio": ratio, "q1": ratio - 0.1, "q3": ratio + 0.1, "pairs": 9}


def evidence(
    lost: int = 0, samples: int = 1000, *, labelled: bool = True, problems: tuple[str, ...] = (), findings: tuple[str, ...] = ()
) -> Evidence:
    """Of a candidate that has ``lost`` of ``samples`` right answers of the reference wrong."""
    labels = np.arange(samples) % 4
    scores = np.eye(4, dtype=np.float32)[labels]
    wrong = scores.copy()
    wrong[:lost] = np.roll(scores[:lost], 1, axis=1)
    paired, seen = PairedAccuracy(METRICS.get("top1")), Fidelity()
    paired.update(scores, wrong, labels)
    seen.update(scores, wrong)
    judged = Judged({"y": seen.result()}, paired.result() if labelled else None)
    return Evidence(judged, judged, 0.0, list(problems), list(findings))


def judged(gates: Gates, found: Evidence, size: dict[str, Any] = SMALL, speed: dict[str, Any] | None = None) -> Report:
    report = Report("ship")
    judge(gates, found, size, speed, report)
    return report


def test_met() -> None:
    report = judged(Gates(1.0), evidence())
    assert report.verdict is Verdict.YES and report.reasons[-1] == "0.250 of the float size"
    assert report.numbers["accuracy"]["drop"] == 0 and report.numbers["accuracy"]["decision"] == "yes" and report.numbers["accuracy"]["max_drop"] == 1


def test_missed() -> None:
    report = judged(Gates(1.0), evidence(50))
    assert report.verdict is Verdict.NO and "5 points" in report.reasons[0]
    assert report.numbers["accuracy"]["drop"] == pytest.approx(5)


def test_too_few_samples_to_tell() -> None:
    report = judged(Gates(1.0), evidence(1, 200))
    assert report.verdict is Verdict.UNDECIDED and report.numbers["accuracy"]["needed"] > 200
    assert report.reasons[0].startswith("200 samples cannot decide 1 point") and "are needed" in report.reasons[0]


def test_nothing_was_asked_for() -> None:
    report = judged(Gates(), evidence(labelled=False))
    assert report.verdict is Verdict.YES and "no accuracy was asked for" in report.reasons[0] and "accuracy" not in report.numbers


def test_no_limit_was_asked_for() -> None:
    report = judged(Gates(), evidence(50))
    assert report.verdict is Verdict.YES and "no limit on the drop was asked for; measured: top1" in report.reasons[0]
    assert report.numbers["accuracy"]["max_drop"] is None


def test_a_wrong_candidate_is_refused_whatever_its_accuracy() -> None:
    report = judged(Gates(1.0), evidence(problems=("output y: 3 values are NaN",)))
    assert report.verdict is Verdict.NO and report.reasons == ["the candidate is wrong: output y: 3 values are NaN"]


def test_every_failure_is_told() -> None:
    report = judged(Gates(1.0, "both"), evidence(50, problems=("broken",)), BIG, latency(1.5))
    assert report.verdict is Verdict.NO
    assert [r.split(":")[0] for r in report.reasons[:3]] == ["the candidate is wrong", "not smaller", "not faster on this CPU"]
    assert "5 points" in report.reasons[3]


@pytest.mark.parametrize(("want", "size", "ratio", "verdict"), [
    ("smaller", SMALL, 1.5, "yes"), ("smaller", BIG, 0.5, "no"), ("faster", BIG, 0.5, "yes"), ("faster", SMALL, 1.5, "no"),
    ("both", SMALL, 0.5, "yes"), ("both", BIG, 0.5, "no"), ("both", SMALL, 1.5, "no"),
    ("smaller", {"float": 1, "integer": 1, "ratio": 1.0}, 0.5, "no"), ("faster", SMALL, 1.0, "no"),
])
def test_what_is_wanted(want: str, size: dict[str, Any], ratio: float, verdict: str) -> None:
    report = judged(Gates(1.0, want), evidence(), size, latency(ratio))
    assert report.verdict is not None and report.verdict.value == verdict
    if verdict == "no":
        assert len(report.reasons) == 1 and report.reasons[0].startswith("not ")
    slower = ratio >= 1 and want == "smaller"
    assert [w.split(" on this CPU")[0] for w in report.warnings] == (["slower than float"] if slower else [])


def test_reasons_name_what_was_wanted_and_reached() -> None:
    assert judged(Gates(1.0, "both"), evidence(), SMALL, latency(0.5)).reasons[1:] == ["0.250 of the float size", "0.50 times the float latency"]
    assert judged(Gates(1.0, "faster"), evidence(), SMALL, latency(0.5)).reasons[1:] == ["0.50 times the float latency"]


def test_findings_are_warnings() -> None:
    report = judged(Gates(), evidence(findings=("the fused graph is +4.0 dB from the unfused one",)))
    assert report.verdict is Verdict.YES and report.warnings == ["the fused graph is +4.0 dB from the unfused one"]


@pytest.mark.parametrize("limit", [math.nan, math.inf, -math.inf])
def test_a_limit_that_is_no_number(limit: float) -> None:
    with pytest.raises(UsageError, match=f"must be a finite number, .*; received {limit}"):
        check_limit(limit)


def test_limits_that_are_fine() -> None:
    for limit in (None, 0, 0.5, 100, -1.0):
        check_limit(limit)


def test_as_json() -> None:
    assert Gates(0.5, "both", True).to_json() == {"max_drop": 0.5, "want": "both", "strict": True}
    assert WANTS == ("smaller", "faster", "both")
