"""Plots: what is drawn where, in which colour, from any numbers and names."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from converter.ship import plots


def test_layers_are_drawn_in_the_order_of_the_graph_from_top_to_bottom() -> None:
    root = ElementTree.fromstring(plots.layers([("first", 20.0), ("second", 40.0)], frozenset(), None, width=690, name="x"))
    where = {node.text: float(node.get("y", "nan")) for node in root.iter() if node.tag.endswith("text")}
    assert where["first"] < where["second"] and where["20.0"] < where["40.0"]
    marks = [float(node.get("x", 0)) for node in root.iter() if node.tag.endswith("use") and "var(--accent)" in node.get("style", "")]
    assert len(marks) == 2 and marks[0] < marks[1]


@pytest.mark.parametrize(("drop", "low", "high", "limit", "colour"), [
    (0.2, -0.3, 0.7, 1.0, "good"), (0.2, -0.9, 1.3, 1.0, "warn"), (1.2, -0.1, 2.0, 1.0, "bad"), (0.0, 0.0, 0.0, 0.0, "good"),
    (0.2, None, None, 1.0, "good"), (0.2, -0.3, 0.7, None, "accent"), (-3.0, -4.0, -2.0, -1.0, "good")])
def test_the_interval_has_the_colour_of_what_it_says(drop: float, low: float | None, high: float | None, limit: float | None, colour: str) -> None:
    drawn = plots.accuracy(drop, low, high, limit, "points", width=690, name="x")
    dot = re.findall(r"<use [^>]*var\(--(good|warn|bad|accent)\)", drawn)
    assert dot == [colour]
    assert ("limit" in drawn) == (limit is not None)


def test_rebin_keeps_the_shape_cuts_the_tail_and_shows_the_range() -> None:
    edges = np.array([0.0, 0.5, 1.0, 2.0, 1000.0, 1001.0])
    grid, heights = plots.rebin(edges, np.array([10.0, 10.0, 20.0, 0.0, 1.0]), 0.0, 2.0)
    assert grid[0] < 0.0 and 2.0 < grid[-1] < 2.2
    inside = heights[(grid[:-1] >= 0) & (grid[1:] <= 2)]
    assert inside.max() == 1.0 and np.allclose(inside, 1.0)  # the same density everywhere, whatever the bins
    steep = plots.rebin(np.array([0.0, 1.0, 2.0]), np.array([100.0, 1.0]), None, None)[1]
    assert steep[len(steep) // 4] > steep[3 * len(steep) // 4] > 0


@pytest.mark.parametrize("histogram", [{}, {"edges": [0, 1], "counts": []}, {"edges": [1, 0], "counts": [3]}, {"edges": [0, "inf"], "counts": [1]},
                                       {"edges": [0, 1, 2], "counts": [1, -1]}, {"edges": [0, 1], "counts": [1, 2]}])
def test_what_is_no_histogram_is_not_drawn(histogram: dict[str, Any]) -> None:
    assert plots.drawable(histogram) is None
    assert plots.drawable({"edges": [0, 1, 2], "counts": [1, 0]}) == ([0.0, 1.0, 2.0], [1.0, 0.0])


def test_names_in_any_script_and_of_any_length_fit() -> None:
    drawn = plots.layers([("层/卷积", 20.0), ("a\nb" + "x" * 400, 30.0)], frozenset(), 25.0, width=320, name="x")
    assert "层/卷积" in drawn
    assert ">$a_b$/x<" in plots.layers([("$a_b$/x", 20.0)], frozenset(), None, width=320, name="x")
    assert plots.shorten("stem/conv", 20) == "stem/conv"
    assert plots.shorten("blocks_12/depthwise_conv", 16) == "block…hwise_conv"
    assert all(len(plots.shorten("abcdefghij" * 9, length)) == length for length in (16, 19, 34))
