"""Products that ONNX has an operator for become it, from the opset that brought it, and nothing that is only alike does."""

from __future__ import annotations

import numpy as np
import pytest

from converter.passes.compose import ComposeOperators
from tests.passes.golden import operators, refuses, rewritten

W = {"half": 0.5, "one": 1.0, "two": 2.0, "root": float(np.sqrt(2)), "inverse": float(np.sqrt(0.5)), "e": 1e-3, "w": (6,), "axes": [-1],
     "wide": (4, 1), "first": [1], "scalar": np.ones(1, np.float32)}
ENDS = "(float[n,4,6] x) => (float[n,4,6] y)"
ERF = "d = Div(x, root) r = Erf(d) a = Add(r, one)"
MEAN = "p = Pow(x, two) m = ReduceMean(p, axes) a = Add(m, e) s = Sqrt(a)"
CASES = [
    (13, "r = Exp(x) i = Reciprocal(r) y = Mul(x, i)", "Exp Div"),
    (13, "r = Exp(x) i = Reciprocal(r) y = Mul(i, x)", "Exp Div"),
    (18, "s = Softplus(x) t = Tanh(s) y = Mul(t, x)", "Mish"),
    (14, "g = HardSigmoid<alpha=0.16666667, beta=0.5>(x) y = Mul(g, x)", "HardSwish"),
    (20, f"{ERF} b = Mul(x, a) y = Mul(b, half)", "Gelu"),
    (20, f"{ERF} b = Mul(half, x) y = Mul(a, b)", "Gelu"),
    (20, "d = Mul(inverse, x) r = Erf(d) a = Add(one, r) b = Mul(half, a) y = Mul(x, b)", "Gelu"),
    (23, f"{MEAN} d = Div(x, s) y = Mul(d, w)", "RMSNormalization"),
    (23, f"{MEAN.replace('Pow(x, two)', 'Mul(x, x)')} i = Reciprocal(s) d = Mul(x, i) y = Mul(w, d)", "RMSNormalization"),
]
STAY = [
    (17, "s = Softplus(x) t = Tanh(s) y = Mul(t, x)"), (18, "s = Softplus(x) t = Tanh(s) z = Exp(x) y = Mul(t, z)"),
    (13, "g = HardSigmoid<alpha=0.16666667, beta=0.5>(x) y = Mul(g, x)"), (14, "g = HardSigmoid<alpha=0.2, beta=0.5>(x) y = Mul(g, x)"),
    (19, f"{ERF} b = Mul(x, a) y = Mul(b, half)"), (20, f"{ERF} b = Mul(x, a) y = Mul(b, one)"),
    (20, f"{ERF.replace('root', 'two')} b = Mul(x, a) y = Mul(b, half)"), (20, f"{ERF} z = Exp(x) b = Mul(z, a) y = Mul(b, half)"),
    (20, f"{ERF.replace('Add(r, one)', 'Add(r, two)')} b = Mul(x, a) y = Mul(b, half)"),
    (22, f"{MEAN} d = Div(x, s) y = Mul(d, w)"), (23, f"{MEAN} z = Exp(x) d = Div(z, s) y = Mul(d, w)"),
    (23, f"{MEAN.replace('axes', 'first')} d = Div(x, s) y = Mul(d, w)"), (23, f"{MEAN} d = Div(x, s) y = Mul(d, wide)"),
    (23, f"{MEAN.replace('two', 'one')} d = Div(x, s) y = Mul(d, w)"),
]


def _used(text: str) -> dict:
    words = set(text.replace("(", " ").replace(",", " ").replace(")", " ").split())
    return {name: value for name, value in W.items() if name in words}


@pytest.mark.parametrize(("opset", "text", "expected"), CASES)
def test_written_as_one(opset: int, text: str, expected: str) -> None:
    assert operators(rewritten(ComposeOperators(), f"{ENDS} {{ {text} }}", opset=opset, **_used(text))) == expected


@pytest.mark.parametrize(("opset", "text"), STAY)
def test_what_is_only_alike_stays(opset: int, text: str) -> None:
    refuses(ComposeOperators(), f"{ENDS} {{ {text} }}", opset=opset, **_used(text))


def test_a_reciprocal_that_others_read_stays() -> None:
    refuses(ComposeOperators(), "(float[n,4] x) => (float[n,4] y, float[n,4] i) { i = Reciprocal(x) y = Mul(x, i) }")
