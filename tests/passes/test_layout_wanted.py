"""The order that a value is wanted in."""

from __future__ import annotations

import pytest

from converter.passes.cleanup import SortAndShape
from converter.passes.layout_wanted import ANY, NEVER, wanted
from tests.passes.golden import graph

FIRST = "Transpose<perm=[0,3,1,2]>"
CASES = {
    f"y = {FIRST}(v)": (0, 3, 1, 2),
    f"r = Relu(v) a = Add(r, v) y = {FIRST}(a)": (0, 3, 1, 2),
    "y = ReduceMean<keepdims=0>(v, axes)": ANY,
    f"m = ReduceMean(v, axes) g = Mul(v, m) y = {FIRST}(g)": (0, 3, 1, 2),
    "y = ReduceMean<keepdims=0>(v, last)": NEVER,
    "y = Relu(v)": NEVER,
    f"a = {FIRST}(v) b = Transpose<perm=[0,1,3,2]>(v) y = Concat<axis=0>(a, b)": NEVER,
    f"a = {FIRST}(v) b = Flatten(v) y = Concat<axis=0>(a, b)": NEVER,
}


@pytest.mark.parametrize("text", CASES)
def test_by_what_reads_it(text: str) -> None:
    model = graph(f"(float[n,4,4,4] x) => (float[p,q,r,s] y) {{ v = Relu(x) {text} }}", axes=[1, 2], last=[3])
    SortAndShape().rewrite(model)
    assert wanted(model)[id(model.graph[0].outputs[0])] == CASES[text]
