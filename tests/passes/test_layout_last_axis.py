"""Products and normalizations over the last axis pass a transpose where it is then gone, and stay whole where it is not."""

from __future__ import annotations

import pytest

from converter.graph import query
from converter.passes.layout import SinkTransposes
from tests.passes.golden import node, operators, refuses, rewritten

FIRST, LAST = "Transpose<perm=[0,3,1,2]>", "Transpose<perm=[0,2,3,1]>"
ENDS = "(float[n,4,5,6] x) => (float[n,{out},5,6] y)"


def test_a_product_becomes_a_convolution() -> None:
    body = f"{ENDS.format(out=3)} {{ a = {LAST}(x) m = MatMul(a, w) b = Add(m, v) r = Relu(b) y = {FIRST}(r) }}"
    model = rewritten(SinkTransposes(), body, w=(4, 3), v=(3,))
    assert operators(model) == "Conv Add Relu"
    assert query.sizes_of(node(model, "Conv").inputs[1]) == (3, 4, 1, 1)


def test_on_any_rank() -> None:
    there, back = "Transpose<perm=[0,2,1]>", "Transpose<perm=[0,2,1]>"
    body = f"(float[n,4,5] x) => (float[n,3,5] y) {{ a = {there}(x) m = MatMul(a, w) l = LayerNormalization(m, g) y = {back}(l) }}"
    assert operators(rewritten(SinkTransposes(), body, w=(4, 3), g=(3,))) == "Conv ReduceMean Sub Mul ReduceMean Add Sqrt Div Mul"


@pytest.mark.parametrize(("shift", "opset"), [("", 17), (", b", 17), (", b", 18)])
def test_a_normalization_is_over_the_channels(shift: str, opset: int) -> None:
    body = f"{ENDS.format(out=4)} {{ a = {LAST}(x) l = LayerNormalization<axis=3, epsilon=0.01>(a, g{shift}) y = {FIRST}(l) }}"
    model = rewritten(SinkTransposes(), body, opset=opset, g=(4,), **({"b": (4,)} if shift else {}))
    assert operators(model) == "ReduceMean Sub Mul ReduceMean Add Sqrt Div Mul" + (" Add" if shift else "")


def test_in_front_of_an_average_the_order_is_all_the_same() -> None:
    body = f"(float[n,4,5,6] x) => (float[n,3] y) {{ a = {LAST}(x) m = MatMul(a, w) r = Relu(m) y = ReduceMean<keepdims=0>(r, axes) }}"
    assert operators(rewritten(SinkTransposes(), body, w=(4, 3), axes=[1, 2])) == "Conv Relu ReduceMean"


@pytest.mark.parametrize("end", ["y = Reshape(m, s)", "r = Relu(m) y = Reshape(r, s)"])
def test_where_the_order_is_needed_they_stay_whole(end: str) -> None:
    body = f"(float[n,4,5,6] x) => (float[n,30,3] y) {{ a = {LAST}(x) l = LayerNormalization(a, g) m = MatMul(l, w) {end} }}"
    refuses(SinkTransposes(), body, g=(4,), w=(4, 3), s=[-1, 30, 3])


@pytest.mark.parametrize("text", ["LayerNormalization<axis=2>(a, g)", "MatMul(a, v)", "MatMul(g, a)"])
def test_what_is_not_over_the_channels_stays(text: str) -> None:
    body = f"(float[n,4,5,6] x) => (float[n,p,q,r] y) {{ a = {LAST}(x) l = {text} y = {FIRST}(l) }}"
    refuses(SinkTransposes(), body, g=(6, 4) if "Layer" in text else (2, 6), v=(1, 1, 4, 3))


def test_two_readers_that_want_different_orders() -> None:
    body = f"""{ENDS.format(out=3)[:-1]}, float[n,30,3] z) {{ a = {LAST}(x) m = MatMul(a, w) y = {FIRST}(m) z = Reshape(m, s) }}"""
    refuses(SinkTransposes(), body, w=(4, 3), s=[-1, 30, 3])
