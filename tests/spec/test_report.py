"""The report: plain values only, one object through the whole road."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.spec.report import Report, Skip, Verdict, Why, plain


@pytest.mark.parametrize(("value", "expected"), [
    (np.float32(0.5), 0.5), (np.int64(3), 3), (np.bool_(True), True), (np.arange(3), [0, 1, 2]), ((1, [2.0]), [1, [2.0]]),
    ({1: np.ones(1)}, {"1": [1.0]}), (math.nan, "nan"), (-math.inf, "-inf"), (np.float32("inf"), "inf"), (np.array([np.nan, 1]), ["nan", 1.0]),
    (None, None), ("text", "text"), (True, True),
])
def test_plain_values(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.floats(width=32).map(np.float32)
                      | st.lists(st.floats()).map(np.array), lambda x: st.lists(x) | st.tuples(x) | st.dictionaries(st.text() | st.integers(), x))


@settings(max_examples=40)
@given(VALUES)
def test_everything_becomes_strict_json(value: Any) -> None:
    text = json.dumps(plain(value), allow_nan=False)
    assert json.loads(text) == plain(value)


def full() -> Report:
    return Report("ship", ["did this"], [Skip("head/dense", Why.BY_RECIPE, "Gemm"), Skip("body", Why.NO_GAIN)], {"kl": math.inf, "n": np.int64(2)},
                  Verdict.UNDECIDED, ["too few samples"], ["slower"])


def test_as_json() -> None:
    told = json.loads(full().to_json())
    assert told == full().to_dict()
    assert told["verdict"] == "undecided" and told["reasons"] == ["too few samples"] and told["warnings"] == ["slower"]
    assert told["skipped"][0] == {"path": "head/dense", "why": "BY_RECIPE", "reason": "the recipe says float", "detail": "Gemm"}
    assert told["numbers"] == {"kl": "inf", "n": 2}


def test_as_text() -> None:
    assert full().to_text().splitlines() == [
        "ship: did this", "skipped: head/dense: the recipe says float (Gemm)",
        "skipped: body: no neighbour computes on integers, so codes would only be made and undone", "warning: slower", "verdict: undecided",
        "  too few samples"]


def test_an_empty_report() -> None:
    assert Report("export").to_text() == "" and Report("export").to_dict()["verdict"] is None


def test_absorbing_another_stage() -> None:
    whole = Report("ship", ["first"], numbers={"own": 1})
    whole.absorb(Report("export", ["second"], [Skip("a", Why.NO_DATA)], {"operators": 3}, warnings=["careful"]))
    assert whole.done == ["first", "second"] and whole.numbers == {"own": 1, "export": {"operators": 3}} and whole.warnings == ["careful"]
    assert whole.verdict is None and [s.path for s in whole.skipped] == ["a"]
    whole.absorb(Report("verify", verdict=Verdict.NO, reasons=["bad"]))
    assert whole.verdict is Verdict.NO and whole.reasons == ["bad"]
    whole.absorb(Report("time"))
    assert whole.verdict is Verdict.NO, "a stage that does not judge does not acquit"


def test_reasons_are_written_for_people() -> None:
    assert len({why.value for why in Why}) == len(Why)
    assert all(why.value[0].islower() or why.value.startswith("its") for why in Why)
