"""A scale or shift in front of a linear node goes into it; a shift never through padding."""

from __future__ import annotations

import pytest

from converter.passes.affine_before import FoldAffineBefore
from tests.passes.golden import operators, refuses, rewritten

ENDS = "(float[n,4,6,6] x) => (float[n,{o},{h},{h}] y)"
FEEDERS = ["Mul(x, s)", "Mul(s, x)", "Div(x, s)", "Add(x, s)", "Add(s, x)", "Sub(x, s)", "Sub(s, x)"]
CONV = {
    "plain": ("Conv(m, w)", {"w": (6, 4, 3, 3)}, 6, 4),
    "bias": ("Conv(m, w, b)", {"w": (6, 4, 3, 3), "b": (6,)}, 6, 4),
    "square": ("Conv<strides=[2,2]>(m, w)", {"w": (4, 4, 2, 2)}, 4, 3),
    "valid": ('Conv<auto_pad="VALID">(m, w)', {"w": (6, 4, 3, 3)}, 6, 4),
    "depthwise": ("Conv<group=4>(m, w)", {"w": (4, 1, 3, 3)}, 4, 4),
    "depthwise with multiplier": ("Conv<group=4>(m, w, b)", {"w": (8, 1, 3, 3), "b": (8,)}, 8, 4),
}


@pytest.mark.parametrize("scale", [(4, 1, 1), (1, 4, 1, 1), (1, 1, 1), 0.5])
@pytest.mark.parametrize("feeder", FEEDERS)
@pytest.mark.parametrize("conv", CONV)
def test_in_front_of_a_convolution_without_padding(conv: str, feeder: str, scale: object) -> None:
    text, weights, channels, side = CONV[conv]
    model = rewritten(FoldAffineBefore(), f"{ENDS.format(o=channels, h=side)} {{ m = {feeder} y = {text} }}", **weights, s=scale)
    assert operators(model) == "Conv"


@pytest.mark.parametrize("feeder", FEEDERS)
@pytest.mark.parametrize("trans", [0, 1])
@pytest.mark.parametrize("bias", ["", ", b"])
def test_in_front_of_a_dense_layer(feeder: str, trans: int, bias: str) -> None:
    weights = {"w": (5, 4) if trans else (4, 5), "s": (4,), **({"b": (5,)} if bias else {})}
    model = rewritten(FoldAffineBefore(), f"(float[n,4] x) => (float[n,5] y) {{ m = {feeder} y = Gemm<transB={trans}>(m, w{bias}) }}", **weights)
    assert operators(model) == "Gemm"


@pytest.mark.parametrize("padding", ["pads=[1,1,1,1]", "pads=[0,0,0,1]", 'auto_pad="SAME_UPPER"'])
@pytest.mark.parametrize("feeder", FEEDERS)
def test_padding_takes_a_scale_but_no_shift(feeder: str, padding: str) -> None:
    body = f"(float[2,4,6,6] x) => (float[2,6,h,v] y) {{ m = {feeder} y = Conv<{padding}>(m, w) }}"
    weights = {"w": (6, 4, 3, 3), "s": (4, 1, 1)}
    if feeder[:3] in ("Mul", "Div"):
        assert operators(rewritten(FoldAffineBefore(), body, **weights)) == "Conv"
    else:
        refuses(FoldAffineBefore(), body, **weights)


def test_scale_and_shift_fold_one_after_the_other() -> None:
    body = "(float[n,4,6,6] x) => (float[n,6,4,4] y) { a = Sub(x, t) b = Div(a, s) c = Mul(b, t) d = Add(c, s) y = Conv(d, w) }"
    assert operators(rewritten(FoldAffineBefore(), body, w=(6, 4, 3, 3), s=(4, 1, 1), t=(4, 1, 1))) == "Conv"


REFUSED = {
    "two readers": "m = Mul(x, s) c = Conv(m, w) r = Conv(m, w) y = Add(c, r)",
    "several groups": "m = Mul(x, s) y = Conv<group=2>(m, v)",
    "not per channel": "m = Mul(x, q) y = Conv(m, w)",
    "constant divided": "m = Div(s, x) y = Conv(m, w)",
    "without reciprocal": "m = Div(x, z) y = Conv(m, w)",
    "no constant": "r = ReduceMean<keepdims=1>(x) m = Mul(x, r) y = Conv(m, w)",
    "transposed": "m = Mul(x, s) y = ConvTranspose<pads=[2,2,2,2]>(m, u)",
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case: str) -> None:
    text = REFUSED[case]
    weights = {"w": (6, 4, 3, 3), "v": (6, 2, 3, 3), "u": (4, 6, 3, 3), "s": (4, 1, 1), "q": (1, 1, 1, 6), "z": 0.0}
    used = {k: v for k, v in weights.items() if f" {k})" in text or f"({k}," in text}
    refuses(FoldAffineBefore(), f"(float[n,4,6,6] x) => (float[n,6,4,4] y) {{ {text} }}", **used)


def test_an_output_in_the_middle_stays() -> None:
    refuses(FoldAffineBefore(), "(float[n,4] x) => (float[n,4] m, float[n,5] y) { m = Mul(x, s) y = Gemm(m, w) }", w=(4, 5), s=(4,))


@pytest.mark.parametrize("known", ["1", "k"])
def test_a_constant_that_stretches_its_operand_is_no_scale(known: str) -> None:
    refuses(FoldAffineBefore(), f"(float[2,{known}] x) => (float[2,5] y) {{ m = Mul(x, s) y = Gemm(m, w) }}".replace("k]", "1]"), w=(4, 5), s=(1, 4))


@pytest.mark.parametrize("gemm", ["alpha=2.0", "beta=0.5", "transA=1"])
def test_a_gemm_that_does_more_is_left_alone(gemm: str) -> None:
    refuses(FoldAffineBefore(), f"(float[4,4] x) => (float[4,4] y) {{ m = Add(x, s) y = Gemm<{gemm}>(m, w, b) }}", w=(4, 4), b=(4,), s=(4,))


def test_what_the_caller_may_override_is_no_constant() -> None:
    for inputs in ("float[n,4] x, float[4,5] w", "float[n,4] x, float[4] s", "float[n,4] x, float[5] b"):
        refuses(FoldAffineBefore(), f"({inputs}) => (float[n,5] y) {{ m = Mul(x, s) y = Gemm(m, w, b) }}", w=(4, 5), b=(5,), s=(4,))
