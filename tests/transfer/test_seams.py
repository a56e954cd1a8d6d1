"""Names become seams: tensors, nodes, layers, and everything that a pair of quantization nodes calls by three names."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from converter.errors import UsageError
from converter.graph import query
from converter.transfer import seams
from converter.transfer.flow import Flow
from tests.quantize.graphs import graph, weights
from tests.transfer.grafting import as_layer, backbone

SCALE, ZERO = np.float32(0.1), np.uint8(7)


def pair() -> ir.Model:
    return graph("(float[N, 4] x) => (float[N, 4] y)", """
        [relu] r = Relu(x)
        [q] c = QuantizeLinear(r, s, z)
        [d] f = DequantizeLinear(c, s, z)
        [wd] w = DequantizeLinear(k, s, z)
        [add] y = Add(f, w)""", s=np.asarray(SCALE), z=np.asarray(ZERO), k=np.full((4,), 9, np.uint8))


def root(model: ir.Model, name: str) -> str:
    return query.name_of(seams.find(Flow(model.graph), name, "recipient"))


@pytest.mark.parametrize("name", ["r", "c", "f", "relu", "q", "d", "block", "block/layer"])
def test_real_numbers_codes_and_what_is_read_from_codes_are_one_seam(name: str) -> None:
    assert root(as_layer(pair(), "block/layer", "relu", "q", "d", "wd"), name) == "r"


def test_codes_that_no_node_makes_are_a_seam_of_their_own() -> None:
    model = graph("(uint8[N, 4] c) => (float[N, 4] y)", "f = DequantizeLinear(c, s, z)\ny = Relu(f)", s=np.asarray(SCALE), z=np.asarray(ZERO))
    assert root(model, "f") == root(model, "c") == "c"
    grid = seams.readers_grid(model.graph.inputs[0])
    assert grid is not None and grid.describe() == "uint8, scale 0.100000001, zero point 7"


def test_the_grid_of_the_readers_is_one_only_where_all_read_through_it() -> None:
    model = pair()
    value = seams.find(Flow(model.graph), "r", "recipient")
    assert seams.readers_grid(value) is not None
    model.graph.append(ir.node("Neg", [value]))
    assert seams.readers_grid(value) is None


@pytest.mark.parametrize("change", [{"scale": np.float32(0.2)}, {"zero_point": np.uint8(8)}, {"dtype": ir.DataType.INT8}, {"layout": (1, 0)},
                                    {"scale": np.full(2, SCALE)}])
def test_grids_are_the_same_bit_for_bit_or_not_at_all(change: dict[str, object]) -> None:
    told = {"scale": np.asarray(SCALE), "zero_point": np.asarray(ZERO), "dtype": ir.DataType.UINT8, "layout": ()}
    grid = seams.Grid(**told)  # type: ignore[arg-type]
    assert grid.same(seams.Grid(**told))  # type: ignore[arg-type]
    assert not grid.same(seams.Grid(**{**told, **change}))  # type: ignore[arg-type]
    assert not grid.same(None)


def test_a_scale_from_a_constant_node_is_read_and_one_that_is_computed_is_not() -> None:
    text = "(float[N, 4] x) => (uint8[N, 4] c)"
    model = graph(text, "s = Constant<value_float = 0.5>()\nc = QuantizeLinear(x, s)")
    grid = seams.grid_at(list(model.graph)[-1])
    assert grid is not None and (float(grid.scale), int(grid.zero_point), grid.dtype) == (0.5, 0, ir.DataType.UINT8)
    model = graph(text, "m = ReduceMax<keepdims = 0>(x)\nc = QuantizeLinear(x, m)")
    assert seams.grid_at(list(model.graph)[-1]) is None


@pytest.mark.parametrize(("name", "says"), [
    ("feature", "the recipient has no tensor, node or layer called 'feature'; close to it: features"),
    ("zzzzzz", "no tensor, node or layer called 'zzzzzz'; it has d1, d2, d3, features, h, r, x"),
    ("w", "'w' of the recipient does not depend on its inputs: it is a weight or a constant, and no seam"),
])
def test_a_name_that_is_no_seam_is_refused_with_what_there_is(name: str, says: str) -> None:
    with pytest.raises(UsageError) as error:
        root(backbone(), name)
    assert says in str(error.value)


def test_a_layer_that_gives_out_two_tensors_lists_them() -> None:
    model = graph("(float[N, 4] x) => (float[N, 4] y, float[N, 4] z)", "[a] h = Relu(x)\n[b] y = Neg(h)\n[c] z = Exp(h)", w=weights(1))
    with pytest.raises(UsageError, match="'part' of the recipient gives out 2 tensors, and a seam is one; name one of: h, y"):
        root(as_layer(model, "part", "a", "b"), "part")
    assert root(as_layer(model, "part", "a"), "a") == "h"
