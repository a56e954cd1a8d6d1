"""Sections that are tables: folded when long, silent about what is not known."""

from __future__ import annotations

from typing import Any

import pytest

from converter.ship import report_tables


def refusals(many: int) -> dict[str, Any]:
    return {"skipped": [{"path": f"layer_{at}", "why": "NO_GAIN", "reason": "no gain", "detail": ""} for at in range(many)]}


@pytest.mark.parametrize(("many", "folded", "said"), [(1, False, "One place was"), (12, False, "12 places were"), (13, True, "All 13 as a table")])
def test_a_long_table_is_folded(many: int, folded: bool, said: str) -> None:
    html = report_tables.skipped(refusals(many))
    assert html is not None and said in html
    assert ("<details>" in html) == folded
    assert html.count("no gain") == many


@pytest.mark.parametrize(("counts", "said"), [({"integer": 3, "compute": 3}, True), ({"integer": 2, "compute": 3}, False), ({}, False)])
def test_nothing_in_float_is_said_only_when_it_is_known(counts: dict[str, int], said: bool) -> None:
    html = report_tables.coverage({"numbers": {"coverage": {"kernels": {"QGemm": 3}, "float_nodes": [], **counts}}})
    assert html is not None
    assert ("every compute operator runs on an integer kernel" in html) == said


def test_operators_are_listed_by_count_then_name() -> None:
    html = report_tables.coverage({"numbers": {"coverage": {"kernels": {"B": 1, "C": 5, "A": 1}}}})
    assert html is not None
    assert html.index(">C<") < html.index(">A<") < html.index(">B<")


def test_a_measure_of_one_side_only_has_a_dash_on_the_other() -> None:
    html = report_tables.fidelity({"numbers": {"fidelity": {"fused": {"snr_db": 21.4}}}})
    assert html is not None and "\u2013" in html
    assert "KL" not in html and "differ by" not in html
