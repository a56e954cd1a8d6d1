"""A scale or shift behind a linear node goes into its weight and bias, exactly where the algebra allows it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from converter.graph import ledger, query
from converter.passes.affine import FoldAffineAfter
from tests.passes.golden import graph, node, operators, outputs, refuses, rewritten, run

IMAGE = "(float[n,4,6,6] x) => (float[n,{o},{h},{h}] y)"
CONV = {
    "plain": ("Conv(x, w)", {"w": (6, 4, 3, 3)}, 6, 4),
    "bias": ("Conv(x, w, b)", {"w": (6, 4, 3, 3), "b": (6,)}, 6, 4),
    "padded": ("Conv<pads=[1,1,1,1]>(x, w, b)", {"w": (6, 4, 3, 3), "b": (6,)}, 6, 6),
    "depthwise": ("Conv<group=4>(x, w)", {"w": (8, 1, 3, 3)}, 8, 4),
    "grouped": ("Conv<group=2>(x, w, b)", {"w": (6, 2, 3, 3), "b": (6,)}, 6, 4),
    "transposed": ("ConvTranspose(x, w, b)", {"w": (4, 6, 3, 3), "b": (6,)}, 6, 8),
    "transposed square": ("ConvTranspose(x, w)", {"w": (4, 4, 3, 3)}, 4, 8),
    "transposed grouped": ("ConvTranspose<group=2>(x, w)", {"w": (4, 3, 3, 3)}, 6, 8),
}
READERS = ["Mul(c, s)", "Mul(s, c)", "Div(c, s)", "Add(c, s)", "Add(s, c)", "Sub(c, s)", "Sub(s, c)"]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("conv", CONV)
def test_every_reader_of_every_convolution(conv: str, reader: str) -> None:
    text, weights, channels, side = CONV[conv]
    body = f"{IMAGE.format(o=channels, h=side)} {{ c = {text} y = {reader} }}"
    model = rewritten(FoldAffineAfter(), body, **weights, s=(channels, 1, 1))
    assert operators(model) == text.split("(")[0].split("<")[0]
    assert query.name_of(model.graph.outputs[0]) == "y"


@pytest.mark.parametrize("scalar", [0.5, (1,), (1, 1, 1, 1)])
@pytest.mark.parametrize("reader", READERS)
def test_a_scalar_counts_for_every_channel(reader: str, scalar: object) -> None:
    model = rewritten(FoldAffineAfter(), f"{IMAGE.format(o=6, h=4)} {{ c = Conv(x, w) y = {reader} }}", w=(6, 4, 3, 3), s=scalar)
    assert operators(model) == "Conv"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("gemm", ["Gemm(x, w)", "Gemm(x, w, b)", "Gemm(x, w, rows)", "Gemm(x, w, one)"])
def test_dense_layers(gemm: str, reader: str) -> None:
    weights = {"w": (4, 5), "b": (5,), "rows": (2, 1), "one": 3.0}
    weights = {k: v for k, v in weights.items() if k in gemm}
    model = rewritten(FoldAffineAfter(), f"(float[2,4] x) => (float[2,5] y) {{ c = {gemm} y = {reader} }}", **weights, s=(5,))
    assert operators(model) == "Gemm"


def test_the_other_orientation_of_a_dense_weight() -> None:
    model = rewritten(FoldAffineAfter(), "(float[n,4] x) => (float[n,4] y) { c = Gemm<transB=1>(x, w) y = Mul(c, s) }", w=(4, 4), s=(1, 4))
    assert operators(model) == "Gemm"


@pytest.mark.parametrize("weight", [(4, 5), (7, 4, 5)])
def test_a_scale_behind_a_product_of_rank_three(weight: tuple[int, ...]) -> None:
    model = rewritten(FoldAffineAfter(), "(float[7,3,4] x) => (float[7,3,5] y) { c = MatMul(x, w) y = Mul(c, s) }", w=weight, s=(5,))
    assert operators(model) == "MatMul"


def test_batch_normalization_as_it_arrives_from_keras() -> None:
    body = """(float[n,4,6,6] x) => (float[n,6,4,4] y)
        { c = Conv(x, w) m = Mul(c, s) a = Add(m, t) r = Mul(a, two) z = Add(r, t) y = Relu(z) }"""
    model = rewritten(FoldAffineAfter(), body, w=(6, 4, 3, 3), s=(6, 1, 1), t=(1, 6, 1, 1), two=2.0)
    assert operators(model) == "Conv Relu"


REFUSED = {
    "two readers": ("c = Conv(x, w) m = Mul(c, s) y = Add(m, c)", {}),
    "not per channel": ("c = Conv(x, w) y = Mul(c, t)", {"t": (1, 1, 1, 4)}),
    "per sample": ("c = Conv(x, w) y = Mul(c, t)", {"t": (2, 1, 1, 1)}),
    "constant divided": ("c = Conv(x, w) y = Div(s, c)", {}),
    "by zero": ("c = Conv(x, w) y = Div(c, t)", {"t": np.float32([[[1]], [[2]], [[0]], [[1]], [[1]], [[1]]])}),
    "by a number without reciprocal": ("c = Conv(x, w) y = Div(c, t)", {"t": np.float32(1e-40)}),
    "no constant": ("c = Conv(x, w) r = ReduceMean<keepdims=1>(x) y = Mul(c, r)", {}),
    "custom domain": ("c = Conv(x, w) y = com.microsoft.Gelu(c)", {}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_behind_a_convolution(case: str) -> None:
    text, more = REFUSED[case]
    weights = {"s": (6, 1, 1), **more}
    weights = {k: v for k, v in weights.items() if f" {k})" in text or f"({k}," in text}
    refuses(FoldAffineAfter(), f"(float[2,4,6,6] x) => (float[2,6,4,4] y) {{ {text} }}", w=(6, 4, 3, 3), **weights)


def test_an_output_in_the_middle_stays() -> None:
    refuses(FoldAffineAfter(), "(float[n,4] x) => (float[n,5] c, float[n,5] y) { c = Gemm(x, w) y = Mul(c, s) }", w=(4, 5), s=(5,))


@pytest.mark.parametrize("gemm", ["Gemm<alpha=2.0>(x, w, b)", "Gemm<beta=2.0>(x, w, b)", "Gemm<transA=1>(x, w, b)"])
def test_a_gemm_that_does_more_is_left_alone(gemm: str) -> None:
    refuses(FoldAffineAfter(), f"(float[4,4] x) => (float[4,4] y) {{ c = {gemm} y = Mul(c, s) }}", w=(4, 4), b=(4,), s=(4,))


@pytest.mark.parametrize("op_type", ["Add", "Sub"])
def test_a_product_has_no_place_for_a_shift(op_type: str) -> None:
    refuses(FoldAffineAfter(), f"(float[n,3,4] x) => (float[n,3,5] y) {{ c = MatMul(x, w) y = {op_type}(c, s) }}", w=(4, 5), s=(5,))


def test_a_product_with_a_vector_has_no_output_channel() -> None:
    refuses(FoldAffineAfter(), "(float[4,4] x) => (float[4] y) { c = MatMul(x, w) y = Mul(c, s) }", w=(4,), s=(4,))


def test_a_constant_that_makes_the_output_wider_is_no_scale() -> None:
    refuses(FoldAffineAfter(), "(float[n,4,6,6] x) => (float[n,3,4,4] y) { c = Conv(x, w) y = Mul(c, s) }", w=(1, 4, 3, 3), s=(3, 1, 1))


def test_a_weight_that_the_caller_may_override_is_no_constant() -> None:
    for inputs in ("float[n,4] x, float[4,5] w", "float[n,4] x, float[5] s", "float[n,4] x, float[5] b"):
        refuses(FoldAffineAfter(), f"({inputs}) => (float[n,5] y) {{ c = Gemm(x, w, b) y = Mul(c, s) }}", w=(4, 5), b=(5,), s=(5,))


def test_an_operator_of_another_domain_with_a_known_name() -> None:
    model = graph("(float[n,4] x) => (float[n,5] y) { c = other.Gemm(x, w) m = Mul(c, s) y = other.Mul(m, s) }", w=(4, 5), s=(5,))
    assert FoldAffineAfter().rewrite(model) == 0


def test_a_reader_inside_a_branch_stays_there() -> None:
    body = """(float[n,4] x, bool b) => (float[n,5] y) {
        c = Gemm(x, w)
        y = If(b) <then_branch = t () => (float[n,5] p) { p = Mul(c, s) }, else_branch = e () => (float[n,5] q) { q = Identity(u) }> }"""
    refuses(FoldAffineAfter(), body, w=(4, 5), s=(5,), u=(2, 5))


def test_a_shared_weight_is_scaled_for_one_reader_only() -> None:
    body = "(float[n,4] x) => (float[n,5] y, float[n,5] z) { c = Gemm(x, w) y = Mul(c, s) z = Gemm(x, w) }"
    model = rewritten(FoldAffineAfter(), body, w=(4, 5), s=(5,))
    first, second = (n.inputs[1] for n in model.graph)
    assert first is not second


def test_half_precision_is_left_alone() -> None:
    half = {"w": np.ones((4, 5), np.float16), "s": np.full(5, 3, np.float16)}
    refuses(FoldAffineAfter(), "(float16[n,4] x) => (float16[n,5] y) { c = Gemm(x, w) y = Mul(c, s) }", **half)


@pytest.mark.parametrize("conv", CONV)
def test_a_fold_can_be_replayed_on_other_weights(conv: str) -> None:
    """Changing the variables and replaying gives the bits that folding the changed graph gives."""
    text, weights, channels, side = CONV[conv]
    body = f"{IMAGE.format(o=channels, h=side)} {{ c = {text} m = Div(c, s) y = Sub(t, m) }}"
    old = graph(body, **weights, s=(channels, 1, 1), t=(channels, 1, 1))
    new = graph(body, seed=7, **weights, s=(channels, 1, 1), t=(channels, 1, 1))
    variables = {name: _numbers(value) for name, value in new.graph.initializers.items()}
    run(old, FoldAffineAfter())
    run(new, FoldAffineAfter())
    for value, expected in zip(node(old, text.split("(")[0].split("<")[0]).inputs[1:], new.graph[0].inputs[1:], strict=True):
        replayed = ledger.of(old).replay(query.name_of(value), variables)
        assert replayed.tobytes() == _numbers(expected).tobytes() and replayed.shape == _numbers(expected).shape
        assert replayed.tobytes() != _numbers(value).tobytes()
    assert not np.allclose(outputs(old)[0], outputs(new)[0])


def _numbers(value: ir.Value | None) -> np.ndarray:
    assert value is not None and value.const_value is not None
    return value.const_value.numpy()
