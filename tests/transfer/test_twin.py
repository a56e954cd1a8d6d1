"""The float twin: integer weights become numbers, pairs of activations go, added biases can be left out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converter.graph import edit, io, query
from converter.transfer.twin import float_twin
from converter.verify.session import Session

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
twin (float[N, 4] x, float s, uint8 z, int8 w, float ws, int8 wz, int32 b, float bs, int32 bz) => (float[N, 3] y) {
    q = QuantizeLinear (x, s, z)
    d = DequantizeLinear (q, s, z)
    wd = DequantizeLinear <axis = 1> (w, ws, wz)
    bd = DequantizeLinear <axis = 0> (b, bs, bz)
    h = Gemm (d, wd, bd)
    hq = QuantizeLinear (h, s, z)
    y = DequantizeLinear (hq, s, z)
}
"""
CODES = np.arange(-6, 6, dtype=np.int8).reshape(4, 3)
SCALES = np.float32([0.1, 0.2, 0.4])
BIAS = np.int32([10, -20, 30])


@pytest.fixture
def integer() -> Any:
    model = io.from_text(TEXT)
    arrays = {"s": np.float32(0.5), "z": np.uint8(128), "w": CODES, "ws": SCALES, "wz": np.zeros(3, np.int8), "b": BIAS, "bs": SCALES / 2,
              "bz": np.zeros(3, np.int32)}
    inputs = {str(v.name): v for v in model.graph.inputs if v.name in arrays}
    for name, value in inputs.items():
        model.graph.inputs.remove(value)
        value.name = f"{name}/input"
    for name, value in inputs.items():
        value.replace_all_uses_with(edit.add_initializer(model, name, arrays[name]))
    return model


def test_weights_are_dequantized_and_activations_are_float(integer: Any) -> None:
    twin = float_twin(integer)
    assert [n.op_type for n in twin.graph] == ["Gemm"]
    assert [o.name for o in twin.graph.outputs] == ["y"] and len(integer.graph) == 7
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    got = Session(twin).run({"x": x})["y"]
    np.testing.assert_allclose(got, x @ (CODES * SCALES) + BIAS * SCALES / 2, rtol=1e-5, atol=1e-5)


def test_a_bias_can_be_left_out(integer: Any) -> None:
    twin = float_twin(integer, {"b"})
    x = np.ones((1, 4), np.float32)
    np.testing.assert_allclose(Session(twin).run({"x": x})["y"], x @ (CODES * SCALES), rtol=1e-5)


def test_a_float_graph_is_copied_as_it_is() -> None:
    model = io.from_text('<ir_version: 8, opset_import: ["" : 17]> f (float[N, 4] x) => (float[N, 4] y) { y = Relu (x) }')
    twin = float_twin(model)
    assert twin is not model and [n.op_type for n in twin.graph] == ["Relu"] and query.signature(twin) == query.signature(model)
