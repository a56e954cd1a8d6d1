"""Clamps to an interval are written as Relu or Clip, and neighbours merged."""

from __future__ import annotations

import numpy as np
import pytest

from converter.passes.activations import SimplifyActivations, bounds
from tests.passes.golden import graph, node, operators, refuses, rewritten

W = {"zero": 0.0, "six": 6.0, "one": 1.0, "minus": -1.0, "low": -5.0, "box": (1, 1, 1), "ones": np.ones((1, 1), np.float32)}
ENDS = "(float[n,40] x) => (float[n,40] y)"
CASES = {
    "y = Max(x, zero)": ("Relu", (0, np.inf)),
    "y = Max(zero, x)": ("Relu", (0, np.inf)),
    "y = Max(x, one)": ("Clip", (1, np.inf)),
    "y = Min(one, x)": ("Clip", (-np.inf, 1)),
    "y = Min(x, ones)": ("Clip", (-np.inf, 1)),
    "y = Clip(x, zero)": ("Relu", (0, np.inf)),
    "r = Relu(x) y = Min(r, six)": ("Clip", (0, 6)),
    "r = Relu(x) y = Relu(r)": ("Relu", (0, np.inf)),
    "r = Clip(x, zero, six) y = Relu(r)": ("Clip", (0, 6)),
    "r = Clip(x, minus, six) y = Relu(r)": ("Clip", (0, 6)),
    "r = Relu(x) y = Clip(r, minus, six)": ("Clip", (0, 6)),
    "r = Clip(x, minus, six) y = Clip(r, low, one)": ("Clip", (-1, 1)),
    "r = Clip(x, , six) q = Clip(r, one, ) y = Relu(q)": ("Clip", (1, 6)),
    "r = Max(x, zero) q = Min(r, six) s = Relu(q) y = Min(s, one)": ("Clip", (0, 1)),
}


def _used(text: str) -> dict:
    return {name: value for name, value in W.items() if name in text.replace("(", " ").replace(",", " ").replace(")", " ").split()}


@pytest.mark.parametrize("text", CASES)
def test_written_as(text: str) -> None:
    expected, interval = CASES[text]
    model = rewritten(SimplifyActivations(), f"{ENDS} {{ {text} }}", **_used(text))
    assert operators(model) == expected
    assert bounds(model.graph[0])[1] == interval


@pytest.mark.parametrize("text", [
    "y = Relu(x)", "y = Clip(x, minus, six)", "r = Clip(x, low, minus) y = Clip(r, one, six)", "r = Clip(x, one, six) y = LeakyRelu(r)",
    "r = LeakyRelu(x) y = Relu(r)",
])
def test_left_as_it_is(text: str) -> None:
    refuses(SimplifyActivations(), f"{ENDS} {{ {text} }}", **_used(text))


def test_bounds_that_the_caller_gives_stay() -> None:
    refuses(SimplifyActivations(), "(float[n,4] x, float c) => (float[n,4] y) { r = Relu(x) y = Clip(r, c) }")
    refuses(SimplifyActivations(), "(float[n,4] x, float six) => (float[n,4] y) { r = Relu(x) y = Min(r, six) }", six=6.0)


def test_a_bound_of_higher_rank_adds_axes() -> None:
    refuses(SimplifyActivations(), "(float[n,4] x) => (float[1,n,4] y) { y = Max(x, box) }", box=(1, 1, 1))


def test_integers_are_left_alone() -> None:
    refuses(SimplifyActivations(), "(int64[n,4] x) => (int64[n,4] y) { y = Max(x, z) }", z=np.array(0, np.int64))


def test_two_readers_keep_the_first_clamp() -> None:
    body = "(float[n,40] x) => (float[n,40] y, float[n,40] r) { r = Relu(x) y = Min(r, six) }"
    assert operators(rewritten(SimplifyActivations(), body, six=6.0)) == "Relu Clip"


def test_what_is_no_clamp_has_no_bounds() -> None:
    model = graph("(float[n,4] x) => (float[n,4] y) { y = Sigmoid(x) }")
    assert bounds(node(model, "Sigmoid")) is None
