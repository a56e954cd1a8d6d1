"""A scale or shift behind a Concat of linear nodes becomes a share for each."""

from __future__ import annotations

import pytest

from converter.passes.affine import FoldAffineAfter
from converter.passes.affine_concat import AffineBeforeConcat
from tests.passes.golden import graph, operators, refuses, rewritten, run

ENDS = "(float[n,3,4,4] x) => (float[n,7,4,4] y)"
PARTS = "a = Conv(x, w) b = Conv(x, v) c = Concat<axis=1>(a, b)"
WEIGHTS = {"w": (4, 3, 1, 1), "v": (3, 3, 1, 1)}


@pytest.mark.parametrize(("text", "op"), [("Mul(c, s)", "Mul"), ("Div(c, s)", "Div"), ("Sub(s, c)", "Sub"), ("Add(c, s)", "Add")])
@pytest.mark.parametrize("shape", [(7, 1, 1), (1, 7, 1, 1)])
def test_every_part_gets_its_share(text: str, op: str, shape: tuple[int, ...]) -> None:
    model = rewritten(AffineBeforeConcat(), f"{ENDS} {{ {PARTS} y = {text} }}", s=shape, **WEIGHTS)
    assert operators(model) == f"Conv {op} Conv {op} Concat"


def test_batch_norm_behind_two_convolutions_is_gone() -> None:
    model = graph(f"{ENDS} {{ {PARTS} m = Mul(c, s) d = Add(m, t) y = Relu(d) }}", s=(7, 1, 1), t=(7, 1, 1), **WEIGHTS)
    run(model, AffineBeforeConcat(), FoldAffineAfter())
    assert operators(model) == "Conv Conv Concat Relu"


@pytest.mark.parametrize("text", [
    "a = Conv(x, w) r = Conv(x, v) b = Relu(r) c = Concat<axis=1>(a, b) y = Mul(c, s)",
    f"{PARTS} y = Mul(c, one)",
    f"{PARTS} y = Mul(c, row)",
    f"{PARTS} d = Mul(c, s) y = Add(d, c)",
    "a = Conv(x, w) b = Conv(x, v) c = Concat<axis=1>(a, b) d = Mul(c, s) e = Relu(a) f = Concat<axis=1>(e, b) y = Add(d, f)",
])
def test_what_is_not_for_linear_parts_alone_stays(text: str) -> None:
    weights = {"s": (7, 1, 1), "one": 2.0, "row": (1, 4)}
    refuses(AffineBeforeConcat(), f"{ENDS} {{ {text} }}", **WEIGHTS, **{k: v for k, v in weights.items() if f"{k})" in text})
