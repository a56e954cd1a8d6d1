"""Pad goes into the convolution, ReduceMean over space becomes GlobalAveragePool."""

from __future__ import annotations

import pytest

from converter.graph import query
from converter.passes.pads import FoldPad
from converter.passes.pooling import ReduceMeanToPool
from tests.passes.golden import node, operators, refuses, rewritten

SOME = [0, 0, 1, 2, 0, 0, 3, 0]


@pytest.mark.parametrize(("text", "pads"), [
    ("p = Pad(x, a) y = Conv(p, w)", (1, 2, 3, 0)),
    ("p = Pad(x, a, z) y = Conv(p, w)", (1, 2, 3, 0)),
    ("p = Pad(x, a) y = Conv<pads=[1,1,0,2]>(p, w)", (2, 3, 3, 2)),
    ('p = Pad(x, a) y = Conv<auto_pad="VALID", strides=[2,2]>(p, w)', (1, 2, 3, 0)),
    ("p = Pad(x, a) y = Conv<dilations=[2,1]>(p, w)", (1, 2, 3, 0)),
])
def test_zeros_on_the_spatial_axes(text: str, pads: tuple[int, ...]) -> None:
    weights = {"z": 0.0} if "z)" in text else {}
    model = rewritten(FoldPad(), f"(float[n,3,6,6] x) => (float[n,4,h,v] y) {{ {text} }}", w=(4, 3, 3, 3), a=SOME, **weights)
    assert operators(model) == "Conv" and query.ints(model.graph[0], "pads") == pads


@pytest.mark.parametrize(("rank", "amounts"), [(1, [0, 0, 2, 0, 0, 1]), (3, [0, 0, 1, 2, 3, 0, 0, 3, 2, 1])])
def test_one_and_three_spatial_axes(rank: int, amounts: list[int]) -> None:
    free = ",".join("abc"[:rank])
    body = f"(float[n,2,{','.join('4' * rank)}] x) => (float[n,3,{free}] y) {{ p = Pad(x, a) y = Conv(p, w) }}"
    model = rewritten(FoldPad(), body, w=(3, 2, *[2] * rank), a=amounts)
    assert query.ints(model.graph[0], "pads") == tuple(amounts[2:2 + rank] + amounts[4 + rank:])


def test_several_convolutions_share_a_pad() -> None:
    body = "(float[n,3,6,6] x) => (float[n,4,h,v] y) { p = Pad(x, a) c = Conv(p, w) d = Conv(p, w) y = Add(c, d) }"
    assert operators(rewritten(FoldPad(), body, w=(4, 3, 3, 3), a=SOME)) == "Conv Conv Add"
    body = "(float[n,3,6,6] x) => (float[n,4,h,v] y, float[n,3,k,l] p) { p = Pad(x, a) y = Conv(p, w) }"
    assert operators(rewritten(FoldPad(), body, w=(4, 3, 3, 3), a=SOME)) == "Pad Conv"


@pytest.mark.parametrize(("text", "weights"), [
    ("p = Pad(x, a) y = Conv(p, w)", {"a": [0, 0, -1, 0, 0, 0, 1, 0]}),
    ("p = Pad(x, a, one) y = Conv(p, w)", {"a": SOME, "one": 1.0}),
    ('p = Pad<mode="edge">(x, a) y = Conv(p, w)', {"a": SOME}),
    ('p = Pad<mode="reflect">(x, a) y = Conv(p, w)', {"a": SOME}),
    ("p = Pad(x, a) y = Conv(p, w)", {"a": [0, 1, 0, 0, 0, 0, 0, 0], "w": (4, 4, 3, 3)}),
    ("p = Pad(x, a) y = Conv(p, w)", {"a": [1, 0, 0, 0, 0, 0, 0, 0]}),
    ("p = Pad(x, a, , ax) y = Conv(p, w)", {"a": [1, 1], "ax": [2]}),
    ('p = Pad(x, a) y = Conv<auto_pad="SAME_UPPER">(p, w)', {"a": SOME}),
    ("p = Pad(x, a) y = ConvTranspose(p, u)", {"a": SOME, "u": (3, 4, 3, 3)}),
])
def test_other_pads_stay(text: str, weights: dict) -> None:
    weights = {**({} if "u" in weights else {"w": (4, 3, 3, 3)}), **weights}
    refuses(FoldPad(), f"(float[1,3,6,6] x) => (float[n,4,h,v] y) {{ {text} }}", **weights)


@pytest.mark.parametrize(("text", "expected"), [
    ("p = Pad(x, a) y = AveragePool<kernel_shape=[4,4], strides=[2,2]>(p)", "AveragePool"),
    ("r = Relu(x) p = Pad(r, a) y = MaxPool<kernel_shape=[4,4], strides=[2,1]>(p)", "Relu MaxPool"),
    ("r = Relu(x) s = Sigmoid(x) c = Concat<axis=1>(r, s) p = Pad(c, a) y = MaxPool<kernel_shape=[4,4]>(p)", "Relu Sigmoid Concat MaxPool"),
])
def test_a_pooling_takes_zeros(text: str, expected: str) -> None:
    model = rewritten(FoldPad(), f"(float[n,3,6,6] x) => (float[n,k,h,v] y) {{ {text} }}", a=SOME)
    assert operators(model) == expected and query.ints(model.graph[-1], "pads") == (1, 2, 3, 0)


@pytest.mark.parametrize("text", [
    "p = Pad(x, a) y = MaxPool<kernel_shape=[4,4]>(p)",  # x may be below zero
    "r = Relu(x) p = Pad(r, a) y = MaxPool<kernel_shape=[3,3]>(p)",  # a window without a number
    "r = Relu(x) p = Pad(r, a) y = MaxPool<kernel_shape=[4,4], dilations=[2,1]>(p)",
    "p = Pad(x, a) y = AveragePool<kernel_shape=[4,4], pads=[1,1,1,1]>(p)",
    "p = Pad(x, a) y = AveragePool<kernel_shape=[4,4], strides=[3,3], ceil_mode=1>(p)",
])
def test_a_pooling_that_would_see_something_else_leaves_them(text: str) -> None:
    refuses(FoldPad(), f"(float[n,3,6,6] x) => (float[n,k,h,v] y) {{ {text} }}", a=SOME)


def test_amounts_that_the_caller_may_override_stay() -> None:
    refuses(FoldPad(), "(float[1,3,6,6] x, int64[8] a) => (float[n,4,h,v] y) { p = Pad(x, a) y = Conv(p, w) }", a=SOME, w=(4, 3, 3, 3))


@pytest.mark.parametrize(("text", "opset", "weights", "expected"), [
    ("ReduceMean<axes=[2,3]>(x)", 13, {}, "GlobalAveragePool"),
    ("ReduceMean<axes=[-1,-2], keepdims=1>(x)", 13, {}, "GlobalAveragePool"),
    ("ReduceMean<axes=[2,3], keepdims=0>(x)", 13, {}, "GlobalAveragePool Flatten"),
    ("ReduceMean(x, a)", 18, {"a": [3, 2]}, "GlobalAveragePool"),
    ("ReduceMean<keepdims=0>(x, a)", 18, {"a": [2, -1]}, "GlobalAveragePool Flatten"),
])
def test_a_mean_over_space(text: str, opset: int, weights: dict, expected: str) -> None:
    out = "n,3" if "keepdims=0" in text else "n,3,1,1"
    model = rewritten(ReduceMeanToPool(), f"(float[n,3,5,6] x) => (float[{out}] y) {{ y = {text} }}", opset=opset, **weights)
    assert operators(model) == expected


@pytest.mark.parametrize("rank", [1, 3])
def test_a_mean_over_one_and_three_axes(rank: int) -> None:
    body = f"(float[n,3,{','.join('4' * rank)}] x) => (float[n,3] y) {{ y = ReduceMean<keepdims=0>(x, a) }}"
    assert operators(rewritten(ReduceMeanToPool(), body, a=list(range(2, 2 + rank)))) == "GlobalAveragePool Flatten"


@pytest.mark.parametrize(("text", "weights"), [
    ("ReduceMean(x, a)", {"a": [1, 2]}), ("ReduceMean(x, a)", {"a": [2]}), ("ReduceMean(x)", {}), ("ReduceMax(x, a)", {"a": [2, 3]}),
    ("ReduceMean<noop_with_empty_axes=1>(x)", {}),
])
def test_other_reductions_stay(text: str, weights: dict) -> None:
    refuses(ReduceMeanToPool(), f"(float[n,3,5,6] x) => (float[a,b,c,d] y) {{ y = {text} }}", **weights)


def test_a_mean_of_rank_two_or_of_halves_stays() -> None:
    refuses(ReduceMeanToPool(), "(float[n,3] x) => (float[n,1] y) { y = ReduceMean(x, a) }", a=[1])
    refuses(ReduceMeanToPool(), "(double[n,3,4,4] x) => (double[n,3,1,1] y) { y = ReduceMean(x, a) }", a=[2, 3])


def test_a_mean_over_axes_that_the_caller_chooses_stays() -> None:
    refuses(ReduceMeanToPool(), "(float[n,3,4,4] x, int64[2] a) => (float[n,3,1,1] y) { y = ReduceMean(x, a) }", a=[2, 3])


def test_the_node_that_remains_is_named_after_the_mean() -> None:
    model = rewritten(ReduceMeanToPool(), "(float[n,3,4,4] x) => (float[n,3] y) { y = ReduceMean<keepdims=0>(x, a) }", a=[2, 3])
    assert query.name_of(node(model, "Flatten").outputs[0]) == "y"


@pytest.mark.parametrize("text", ["m = ReduceMean(x, a) y = Sub(x, m)", "s = Mul(x, x) y = ReduceMean(s, a)", "s = Pow(x, two) y = ReduceMean(s, a)"])
def test_moments_of_a_normalization_stay(text: str) -> None:
    out = "n,3,5" if "Sub" in text else "n,3,1"
    refuses(ReduceMeanToPool(), f"(float[n,3,5] x) => (float[{out}] y) {{ {text} }}", a=[-1], **({"two": 2.0} if "two" in text else {}))
