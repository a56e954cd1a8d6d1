"""Transposes sink, cancel and stay, and the numbers stay what they were."""

from __future__ import annotations

import numpy as np
import pytest

from converter.graph import query
from converter.passes.layout import SinkTransposes, inverse
from tests.passes.golden import node, operators, refuses, rewritten

TO_FIRST, TO_LAST = "Transpose<perm=[0,3,1,2]>", "Transpose<perm=[0,2,3,1]>"

# What stands between two transposes that cancel: (text with a = the turned input, shape of the result in both layouts, opset, weights)
BETWEEN = {
    "unary": ("Relu(a)", "n,5,6,4", 18, {}),
    "bounded": ("Clip(a, lo, hi)", "n,5,6,4", 18, {"lo": -1.0, "hi": 1.0}),
    "vector": ("Add(a, v)", "n,5,6,4", 18, {"v": (4,)}),
    "vector on the left": ("Sub(v, a)", "n,5,6,4", 18, {"v": (4,)}),
    "matrix": ("Mul(a, v)", "n,5,6,4", 18, {"v": (6, 4)}),
    "block": ("Mul(a, v)", "n,5,6,4", 18, {"v": (5, 6, 4)}),
    "whole": ("Div(a, v)", "n,5,6,4", 18, {"v": (1, 5, 6, 1)}),
    "scalar": ("Pow(a, v)", "n,5,6,4", 18, {"v": 2.0}),
    "slopes": ("PRelu(a, v)", "n,5,6,4", 18, {"v": (4,)}),
    "itself": ("Mul(a, a)", "n,5,6,4", 18, {}),
    "concat": ("Concat<axis=3>(a, a)", "n,5,6,8", 18, {}),
    "concat from behind": ("Concat<axis=-2>(a, a)", "n,5,12,4", 18, {}),
    "pad": ("Pad(a, p)", "n,6,9,5", 18, {"p": [0, 1, 2, 0, 0, 0, 1, 1]}),
    "edge": ('Pad<mode="edge">(a, p)', "n,6,9,5", 18, {"p": [0, 1, 2, 0, 0, 0, 1, 1]}),
    "crop": ("Pad(a, p)", "n,4,6,3", 18, {"p": [0, -1, 0, 0, 0, 0, 0, -1]}),
    "slice": ("Slice(a, p, q, ax)", "n,2,6,3", 18, {"p": [1, 0], "q": [3, 3], "ax": [1, -1]}),
    "slice by steps": ("Slice(a, p, q, ax, st)", "n,3,6,4", 18, {"p": [0], "q": [9], "ax": [1], "st": [2]}),
    "slice of 32 bits": ("Slice(a, p, q, ax)", "n,2,6,4", 18, {name: np.array([n], np.int32) for name, n in (("p", 1), ("q", 3), ("ax", 1))}),
    "softmax": ("Softmax(a)", "n,5,6,4", 18, {}),
    "softmax of rows": ("Softmax<axis=1>(a)", "n,5,6,4", 18, {}),
    "mean": ("ReduceMean<keepdims=1>(a, p)", "n,1,1,4", 18, {"p": [1, 2]}),
    "mean of old": ("ReduceMean<axes=[1,-2], keepdims=1>(a)", "n,1,1,4", 13, {}),
    "sum of old": ("ReduceSum<keepdims=1>(a, p)", "n,5,6,1", 13, {"p": [-1]}),
    "max": ("ReduceMax<axes=[2]>(a)", "n,5,1,4", 13, {}),
}


@pytest.mark.parametrize("case", BETWEEN)
def test_a_pair_cancels_across(case: str) -> None:
    text, shape, opset, weights = BETWEEN[case]
    n, *inner = shape.split(",")
    out = ",".join([n, inner[2], inner[0], inner[1]])
    body = f"(float[n,4,5,6] x) => (float[{out}] y) {{ a = {TO_LAST}(x) b = {text} y = {TO_FIRST}(b) }}"
    model = rewritten(SinkTransposes(), body, opset=opset, **weights)
    assert operators(model) == text.split("(")[0].split("<")[0]


@pytest.mark.parametrize(("rank", "there"), [(3, (0, 2, 1)), (3, (2, 0, 1)), (5, (0, 2, 3, 4, 1)), (5, (4, 2, 0, 3, 1)), (2, (1, 0))])
def test_any_rank_and_order(rank: int, there: tuple[int, ...]) -> None:
    lengths = [2, 3, 4, 5, 6][:rank]
    turned = [lengths[p] for p in there]
    back = list(inverse(there))
    body = f"(float{lengths} x) => (float{lengths} y) {{ a = Transpose<perm={list(there)}>(x) b = Add(a, v) y = Transpose<perm={back}>(b) }}"
    assert operators(rewritten(SinkTransposes(), body, v=(turned[-1],))) == "Add"
    composed = [lengths[there[p]] for p in there]
    twice = f"(float{lengths} x) => (float{composed} y) {{ a = Transpose<perm={list(there)}>(x) y = Transpose<perm={list(there)}>(a) }}"
    model = rewritten(SinkTransposes(), twice)
    assert operators(model) in ("Transpose", "Identity", "Transpose Transpose") and len(model.graph) == 1


def test_two_different_orders_are_composed() -> None:
    """T_q(T_p(x)): the axes are taken by q from those that p took, and not the other way round."""
    body = "(float[2,3,4] x) => (float[4,3,2] y) { a = Transpose<perm=[1,0,2]>(x) b = Transpose<perm=[2,0,1]>(a) y = Neg(b) }"
    model = rewritten(SinkTransposes(), body)
    assert operators(model) == "Neg Transpose"
    assert query.ints(node(model, "Transpose"), "perm") == (2, 1, 0)


def test_a_new_axis_keeps_its_neighbour() -> None:
    body = f"(float[n,4,5,6] x) => (float[n,1,5,6,4] y) {{ a = {TO_LAST}(x) y = Unsqueeze(a, p) }}"
    assert query.ints(node(rewritten(SinkTransposes(), body, p=[1]), "Transpose"), "perm") == (0, 2, 3, 4, 1)


# What changes the rank; the transpose that is left behind is checked by the numbers.
RANKS = {
    "squeeze": ("Squeeze(a, p)", "4,1,6", "6,4", 18, {"p": [1]}, "Squeeze Transpose"),
    "squeeze from behind": ("Squeeze(a, p)", "4,6,1", "6,4", 13, {"p": [2]}, "Squeeze Transpose"),
    "unsqueeze": ("Unsqueeze(a, p)", "4,5,6", "1,5,6,4", 18, {"p": [1]}, "Unsqueeze Transpose"),
    "unsqueeze at the end": ("Unsqueeze(a, p)", "4,5,6", "5,6,4,1", 13, {"p": [-1]}, "Unsqueeze Transpose"),
    "mean over space": ("ReduceMean<keepdims=0>(a, p)", "4,5,6", "4", 18, {"p": [1, 2]}, "ReduceMean"),
    "old mean over space": ("ReduceMean<axes=[1,2], keepdims=0>(a)", "4,5,6", "4", 13, {}, "ReduceMean"),
    "sum over channels": ("ReduceSum<keepdims=0>(a, p)", "4,5,6", "5,6", 13, {"p": [3]}, "ReduceSum"),
    "mean over rows": ("ReduceMean<keepdims=0>(a, p)", "4,5,6", "6,4", 18, {"p": [1]}, "ReduceMean Transpose"),
}


@pytest.mark.parametrize("case", RANKS)
def test_operators_that_change_the_rank(case: str) -> None:
    text, lengths, out, opset, weights, expected = RANKS[case]
    model = rewritten(SinkTransposes(), f"(float[n,{lengths}] x) => (float[n,{out}] y) {{ a = {TO_LAST}(x) y = {text} }}", opset=opset, **weights)
    assert operators(model) == expected


def test_several_transposed_operands_move_together() -> None:
    body = f"""(float[n,4,5,6] x, float[n,4,5,6] z) => (float[n,8,5,6] y)
        {{ a = {TO_LAST}(x) b = {TO_LAST}(z) c = Concat<axis=-1>(a, b) y = {TO_FIRST}(c) }}"""
    assert operators(rewritten(SinkTransposes(), body)) == "Concat"


def test_one_that_is_turned_and_one_that_is_not_stay() -> None:
    ends = "(float[n,4,5,6] x, float[n,5,6,4] z) => (float[n,5,6,4] y)"
    refuses(SinkTransposes(), f"{ends} {{ a = {TO_LAST}(x) y = Add(a, z) }}")
    refuses(SinkTransposes(), f"{ends} {{ a = {TO_LAST}(x) c = Concat<axis=3>(a, z) y = Slice(c, s, e) }}", s=[0, 0, 0, 0], e=[9, 9, 9, 4])


def test_a_gate_turns_its_axes_at_no_cost() -> None:
    body = f"(float[n,4,5,6] x, float[n,1,1,4] g) => (float[n,4,5,6] y) {{ a = {TO_LAST}(x) m = Mul(a, g) y = {TO_FIRST}(m) }}"
    model = rewritten(SinkTransposes(), body)
    assert operators(model) == "Transpose Mul"
    assert query.name_of(query.input_at(node(model, "Transpose"), 0)) == "g"


def test_transposes_of_other_orders_do_not_meet() -> None:
    body = f"(float[2,4,4,4] x) => (float[2,4,4,4] y) {{ a = {TO_LAST}(x) b = {TO_FIRST}(x) y = Add(a, b) }}"
    refuses(SinkTransposes(), body)


@pytest.mark.parametrize("text", ["ReduceSum<keepdims=0>(a)", "ReduceSum<keepdims=0>(a, p)", "ReduceMax<keepdims=0>(a)"])
def test_a_reduction_over_everything_is_left_alone(text: str) -> None:
    weights = {"p": np.zeros(0, np.int64)} if "p)" in text else {}
    refuses(SinkTransposes(), f"(float[n,4,5,6] x) => (float y) {{ a = {TO_LAST}(x) y = {text} }}", **weights)


@pytest.mark.parametrize("text", ["Pad(a, q)", "ReduceSum(a, q)", "Squeeze(a, q)"])
def test_amounts_and_axes_that_are_not_constant(text: str) -> None:
    shape = 8 if "Pad" in text else 1
    weights = {"q": [0, 0, 0, 0, 0, 0, 0, 1] if "Pad" in text else [1]}
    refuses(SinkTransposes(), f"(float[n,4,1,6] x, int64[{shape}] q) => (float[u,v,w,k] y) {{ a = {TO_LAST}(x) y = {text} }}", **weights)


def test_pads_of_some_axes_only_are_left_alone() -> None:
    refuses(SinkTransposes(), f"(float[n,4,5,6] x) => (float[n,6,6,4] y) {{ a = {TO_LAST}(x) y = Pad(a, p, , ax) }}", p=[0, 1], ax=[1])


def test_the_output_keeps_its_name_and_its_order() -> None:
    model = rewritten(SinkTransposes(), f"(float[n,4,5,6] x) => (float[n,5,6,4] y) {{ a = {TO_LAST}(x) y = Relu(a) }}")
    assert operators(model) == "Relu Transpose"
    assert [query.name_of(v) for v in model.graph.outputs] == ["y"]
    assert query.shape_of(model.graph[0].outputs[0])[1:] == (4, 5, 6)


def test_a_value_with_several_readers_and_an_output() -> None:
    body = f"""(float[n,4,5,6] x) => (float[n,5,6,4] r, float[n,4,5,6] y, float[n,5,6,4] z)
        {{ a = {TO_LAST}(x) r = Relu(a) y = {TO_FIRST}(r) z = Neg(r) }}"""
    model = rewritten(SinkTransposes(), body)
    assert [query.name_of(v) for v in model.graph.outputs] == ["r", "y", "z"]


def test_an_input_in_keras_order_is_turned_once() -> None:
    body = f"""(float[n,8,8,3] x) => (float[n,4,6,6] y) {{
        m = Mul(x, s) a = Add(m, t) b = {TO_FIRST}(a) c = Conv(b, w) d = {TO_LAST}(c) r = Relu(d) y = {TO_FIRST}(r) }}"""
    model = rewritten(SinkTransposes(), body, s=0.5, t=(3,), w=(4, 3, 3, 3))
    assert operators(model) == "Transpose Mul Add Conv Relu"


@pytest.mark.parametrize("text", ["m = Mul(x, s) a = Add(m, z)", "m = Mul(x, s) a = Concat<axis=3>(m, z)"])
def test_an_input_that_meets_another_is_not_turned(text: str) -> None:
    body = f"(float[n,8,8,3] x, float[n,8,8,3] z) => (float[n,4,6,6] y) {{ {text} b = {TO_FIRST}(a) y = Conv(b, w) }}"
    refuses(SinkTransposes(), body, s=0.5, w=(4, 6 if "Concat" in text else 3, 3, 3))


def test_reading_inside_a_branch_is_served() -> None:
    body = f"""(float[2,4,5,6] x, bool b) => (float[2,5,6,4] y) {{ a = {TO_LAST}(x) r = Relu(a)
        y = If(b) <then_branch = t () => (float[2,5,6,4] p) {{ p = Neg(r) }}, else_branch = e () => (float[2,5,6,4] q) {{ q = Identity(r) }}> }}"""
    assert operators(rewritten(SinkTransposes(), body)) == "Relu Transpose If"


def test_another_domain_is_left_alone() -> None:
    refuses(SinkTransposes(), f"(float[n,4,5,6] x) => (float[n,5,6,4] y) {{ a = {TO_LAST}(x) y = com.microsoft.Gelu(a) }}")
