"""Nodes written in place of one node: in front of it, in its layer, in its subgraph, and with what it gave handed over."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from converter.graph import edit, io, query
from converter.graph.build import Builder
from converter.graph.query import LAYER_KEY
from converter.verify.session import Session
from tests.quantize.graphs import graph

ENDS = "(float[N,4] x) => (float[N,4] y)"


def model_of(body: str) -> ir.Model:
    return graph(ENDS, body, **({"w": np.arange(1, 5, dtype=np.float32)} if "w)" in body else {}))


def place(model: ir.Model) -> ir.Node:
    return next(node for node in model.graph.all_nodes() if node.op_type in ("Pow", "Selu"))


def test_a_node_becomes_several_that_compute_what_was_meant() -> None:
    model = model_of("m = Pow(x, w)\n y = Relu(m)")
    node = place(model)
    node.name, node.metadata_props[LAYER_KEY] = "dense/Mark", "dense"
    build = Builder(model, node)
    assert build.opset == query.opset(model)
    product = build("Mul", *node.inputs)
    edit.replace_node(node, [build("Add", product, np.float32(-5))])
    assert [n.op_type for n in model.graph] == ["Mul", "Add", "Relu"]
    assert {n.metadata_props.get(LAYER_KEY) for n in list(model.graph)[:2]} == {"dense"}
    assert [n.name for n in model.graph][:2] == ["dense/Mark/Mul", "dense/Mark/Add"]
    io.check(model)
    x = np.array([[1, 2, 3, 4]], np.float32)
    np.testing.assert_array_equal(Session(model).run({"x": x})["y"], [[0, 0, 4, 11]])


def test_several_outputs_and_a_type_of_their_own() -> None:
    model = model_of("m = Selu(x)\n y = Relu(m)")
    node = place(model)
    build = Builder(model, node)
    values, indices = build.several("TopK", node.inputs[0], np.array([4], np.int64), count=2, axis=-1)
    indices.type = ir.TensorType(ir.DataType.INT64)
    edit.replace_node(node, [build("Cast", indices, dtype=ir.DataType.FLOAT, to=int(ir.DataType.FLOAT))])
    assert values.name != indices.name
    np.testing.assert_array_equal(Session(model).run({"x": np.array([[1, 4, 2, 3]], np.float32)})["y"], [[1, 3, 2, 0]])


@pytest.mark.parametrize("shape", [None, ["N", 4]])
def test_what_replaces_an_output_of_the_graph_gets_its_name_and_its_shape(shape: list[object] | None) -> None:
    model = model_of("y = Selu(x)")
    node = place(model)
    made = Builder(model, node)("Neg", node.inputs[0])
    made.shape = None if shape is None else ir.Shape(shape)  # type: ignore[arg-type]
    edit.replace_node(node, [made])
    assert [v.name for v in model.graph.outputs] == ["y"]
    assert [str(d) for d in model.graph.outputs[0].shape or ()] == ["N", "4"]
    np.testing.assert_array_equal(Session(model).run({"x": np.ones((1, 4), np.float32)})["y"], -np.ones((1, 4)))


def test_an_input_that_is_left_out_stays_out() -> None:
    model = model_of("y = Selu(x)")
    node = place(model)
    edit.replace_node(node, [Builder(model, node)("Clip", node.inputs[0], None, np.float32(0.5))])
    np.testing.assert_array_equal(Session(model).run({"x": np.array([[-1, 0, 1, 2]], np.float32)})["y"], [[-1, 0, 0.5, 0.5]])
