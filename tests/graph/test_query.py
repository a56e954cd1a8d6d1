"""Typed reads: what is there, and None where it is not."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from converter.errors import ConversionError
from converter.graph import query
from tests.passes.golden import graph

BODY = """(float[n,2,k] x, float[2] d) => (float[n,2,k] y, float[n,2,k] b) {
    a = Relu(x) b = Clip(a, , hi) c = LeakyRelu<alpha=0.25>(a) e = Pad<mode="edge">(c, p) f = Add(b, d) y = Add(f, c) }"""


@pytest.fixture
def model() -> ir.Model:
    return graph(BODY, hi=6.0, p=[0] * 6, d=(2,))


def _value(model: ir.Model, name: str) -> ir.Value:
    everything = [*model.graph.inputs, *model.graph.initializers.values(), *(o for n in model.graph for o in n.outputs)]
    return next(v for v in everything if v.name == name)


def test_inputs(model: ir.Model) -> None:
    clip = model.graph[1]
    assert [query.name_of(v) for v in query.inputs_of(clip)] == ["a", "hi"]
    assert query.input_at(clip, 1) is None and query.input_at(clip, 9) is None and query.name_of(query.input_at(clip, 2)) == "hi"
    assert query.name_of(query.output_of(clip)) == "b"
    assert [query.name_of(v) for v in query.true_inputs(model)] == ["x"]


def test_constants(model: ir.Model) -> None:
    assert query.scalar(_value(model, "hi")) == 6.0 and query.int_list(_value(model, "p")) == (0,) * 6
    for name in ("x", "a", "d"):
        assert query.constant(_value(model, name)) is None, "an input with a default is no constant"
        assert query.scalar(_value(model, name)) is None and query.int_list(_value(model, name)) is None
    assert query.constant(None) is None and query.scalar(None) is None and query.int_list(None) is None
    assert [query.sizes_of(_value(model, name)) for name in ("hi", "p", "d", "a")] == [(), (6,), None, None] and query.sizes_of(None) is None
    assert [query.is_constant(_value(model, name)) for name in ("hi", "p", "d", "a")] == [True, True, False, False]
    assert query.scalar(_value(model, "p")) is None and query.int_list(_value(model, "hi")) is None


def test_attributes(model: ir.Model) -> None:
    leaky, pad = model.graph[2], model.graph[3]
    assert query.number(leaky, "alpha", 0.01) == 0.25 and query.number(pad, "alpha", 0.01) == 0.01
    assert query.string(pad, "mode", "constant") == "edge" and query.string(leaky, "mode", "constant") == "constant"
    turn = graph("(float[2,3] x) => (float[3,2] y) { t = Transpose<perm=[1,0]>(x) f = Flatten<axis=0>(t) y = Reshape(f, s) }", s=[3, 2])
    assert query.ints(turn.graph[0], "perm") == (1, 0) and query.ints(turn.graph[1], "perm", (7,)) == (7,) and query.ints(turn.graph[1], "perm") == ()
    assert query.integer(turn.graph[1], "axis", 1) == 0 and query.integer(turn.graph[0], "axis", 1) == 1
    assert query.attributes(turn.graph[0]) == {"perm": (1, 0)}
    filled = graph("(float[n] x) => (float[2] y) { y = ConstantOfShape<value=float[1] {3.0}>(s) }", s=[2])
    np.testing.assert_array_equal(query.attributes(filled.graph[0])["value"], np.float32([3]))


def test_shapes(model: ir.Model) -> None:
    assert query.shape_of(_value(model, "x")) == (None, 2, None) and query.rank_of(_value(model, "x")) == 3
    assert query.shape_of(_value(model, "a")) is None and query.rank_of(_value(model, "a")) is None
    assert query.info(_value(model, "x")).shape == ("n", 2, "k") and query.info(_value(model, "p")).dtype == "int64"
    assert query.is_float32(_value(model, "x")) and not query.is_float32(_value(model, "p"))
    inputs, outputs = query.signature(model)
    assert [i.name for i in inputs] == ["x"] and [o.name for o in outputs] == ["y", "b"]


def test_readers(model: ir.Model) -> None:
    assert query.sole_consumer(_value(model, "f")) is model.graph[5]
    assert query.sole_consumer(_value(model, "a")) is None, "two readers"
    assert query.sole_consumer(_value(model, "b")) is None, "an output of the graph"
    assert query.sole_consumer(_value(model, "e")) is None, "no reader"
    twice = graph("(float[n] x) => (float[n] y) { a = Relu(x) y = Add(a, a) }")
    assert query.sole_consumer(_value(twice, "a")) is None, "one reader that reads it twice"
    branch = graph("""(float[2] x, bool b) => (float[2] y) { a = Relu(x)
        y = If(b) <then_branch = t () => (float[2] p) { p = Neg(a) },
                   else_branch = e () => (float[2] q) { q = Constant<value_floats=[1.0,2.0]>() }> }""")
    assert query.sole_consumer(_value(branch, "a")) is None, "the reader sits in a branch"


def test_makers_and_names(model: ir.Model) -> None:
    assert query.producer_of(_value(model, "a"), "Relu") is model.graph[0]
    assert query.producer_of(_value(model, "a"), "Clip") is None and query.producer_of(_value(model, "x"), "Relu") is None
    assert query.producer_of(None, "Relu") is None
    other = graph("(float[n] x) => (float[n] y) { a = other.Relu(x) y = Relu(a) }")
    assert query.producer_of(_value(other, "a"), "Relu") is None
    assert query.is_standard(other.graph[1]) and query.is_standard(other.graph[1], "Relu", "Clip")
    assert not query.is_standard(other.graph[0]) and not query.is_standard(other.graph[1], "Clip")
    assert query.label(other.graph[1]) == query.label(other.graph[1]) == "y/Relu"
    other.graph[1].name = "mine"
    assert query.label(other.graph[1]) == query.layer_path(other.graph[1]) == "mine"
    other.graph[1].metadata_props[query.LAYER_KEY] = "model/relu"
    assert query.layer_path(other.graph[1]) == "model/relu" and query.layer_path(other.graph[0]) == "Relu"
    assert query.opset(other) == 18
    with pytest.raises(ConversionError, match="no name"):
        query.name_of(ir.Value())


@pytest.mark.parametrize(("shape", "rank", "axis", "expected"), [
    ((), 4, 1, True), ((1,), 4, 1, True), ((3, 1, 1), 4, 1, True), ((1, 3, 1, 1), 4, 1, True), ((3,), 4, 3, True), ((3,), 4, 1, False),
    ((2, 3, 1, 1), 4, 1, False), ((3, 1, 1, 1, 1), 4, 1, False), ((1, 1, 1, 1, 1), 4, 1, False), ((3, 2), 2, 1, False),
])
def test_channel_vectors(shape: tuple[int, ...], rank: int, axis: int, expected: bool) -> None:
    model = graph("(float[n] x) => (float[n] y) { y = Add(x, w) }", w=np.ones(shape, np.float32))
    assert query.channel_vector(_value(model, "w"), rank, axis) is expected
    assert not query.channel_vector(_value(model, "x"), rank, axis) and not query.channel_vector(None, rank, axis)
