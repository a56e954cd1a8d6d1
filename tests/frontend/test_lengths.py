"""Arithmetic on shapes is followed as far as it is known, and no further."""

from __future__ import annotations

import pytest

from converter.frontend.lengths import Lengths
from converter.graph import io
from tests.frontend.building import chain, export, layers, operators

CASES = {
    "s = Shape(x)": [None, 4, 6],
    "s = Shape<start=1>(x)": [4, 6],
    "s = Shape<start=-2, end=-1>(x)": [4],
    "t = Shape(x) s = Gather(t, at)": [4, None],
    "t = Shape(x) s = Slice(t, one, three)": [4, 6],
    "t = Shape(x) u = Gather(t, one) s = Concat<axis=0>(t, u)": [None, 4, 6, 4],
    "t = Shape<start=1>(x) s = ReduceProd<keepdims=0>(t)": [24],
    "t = Shape(x) s = ReduceProd<keepdims=0>(t)": [None],
    "t = Shape(x) s = Mul(t, three)": [None, 12, 18],
    "t = Shape(x) s = Sub(t, at)": None,
    "t = Shape(x) u = Cast<to=6>(t) s = Cast<to=7>(u)": [None, 4, 6],
    "s = Shape(z)": None,
    "t = Shape(z) u = ReduceProd<keepdims=0>(t) s = Unsqueeze(u, zero)": [None],
}


@pytest.mark.parametrize("text", CASES)
def test_what_is_known(text: str) -> None:
    model = io.from_text(f"""<ir_version: 10, opset_import: ["" : 18]> g (float[b,4,6] x, float z) => (int64[k] s)
        <int64[1] zero = {{0}}, int64[1] one = {{1}}, int64[1] three = {{3}}, int64[2] at = {{1, -3}}> {{ {text} }}""")
    model.graph.inputs[1].shape = None
    assert Lengths().of(model.graph.outputs[0]) == CASES[text]


def test_dense_layers_on_pictures_leave_no_arithmetic() -> None:
    exported = export(chain((5, 6, 4), layers.Dense(8, activation="gelu"), layers.Dense(3), layers.LayerNormalization(), layers.Dense(2)))
    assert not {"Shape", "Gather", "Concat", "Reshape", "Cast", "ReduceProd"} & set(operators(exported))
