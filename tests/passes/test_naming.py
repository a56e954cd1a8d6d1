"""Names of nodes are unique; initializers are called after Keras variables, or after what reads them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.graph import ledger, names, query
from converter.graph.query import LAYER_KEY
from converter.passes.naming import NameInitializers, NameNodes
from tests.passes.golden import graph, run


def test_nameless_and_equal_names() -> None:
    model = graph("(float[n,2] x) => (float[n,2] y) { a = Relu(x) b = Neg(a) c = Neg(b) y = Neg(c) }")
    model.graph[1].name = model.graph[2].name = "neg"
    assert NameNodes().rewrite(model) == 3  # not run: onnxruntime takes no two nodes of one name
    assert [node.name for node in model.graph] == ["a/Relu", "neg", "neg_1", "y/Neg"]


def _named(paths: dict[str, str], body: str, **weights: object) -> ir.Model:
    model = graph(body, **weights)
    model.meta[ledger.META] = book = ledger.Ledger()
    for name, path in paths.items():
        book.variable(name, path)
    for node in model.graph:
        node.name, node.metadata_props[LAYER_KEY] = node.op_type, "model/dense"
    run(model, NameInitializers())
    return model


def test_weights_are_called_after_variables() -> None:
    model = _named({"w": "dense/kernel", "b": "dense/bias"}, "(float[n,2] x) => (float[n,3] y) { y = Gemm(x, w, b) }", w=(2, 3), b=(3,))
    assert [query.name_of(v) for v in model.graph[0].inputs] == ["x", "dense/kernel", "dense/bias"]
    np.testing.assert_array_equal(ledger.of(model).replay("dense/bias", {"dense/bias": np.float32([1, 2, 3])}), [1, 2, 3])


def test_a_bias_without_a_variable_of_that_name_is_called_after_the_layer() -> None:
    model = _named({"w": "dense/kernel", "b": "norm/beta"}, "(float[n,2] x) => (float[n,3] y) { g = Gemm(x, w, b) y = Clip(g, lo) }",
                   w=(2, 3), b=(3,), lo=0.0)
    assert [query.name_of(v) for v in model.graph[0].inputs] == ["x", "dense/kernel", "model/dense/bias"]
    assert query.name_of(model.graph[1].inputs[1]) == "Clip/min"


def test_what_a_caller_can_see_keeps_its_name() -> None:
    body = "(float[n,2] x, float[2] d) => (float[n,2] y, float[2] w) { a = Add(x, w) y = Mul(a, d) }"
    model = _named({"w": "dense/kernel", "d": "dense/default"}, body, w=(2,), d=(2,))
    assert [query.name_of(v) for v in model.graph.outputs] == ["y", "w"]
    assert "d" in model.graph.initializers


def test_a_new_node_gets_no_name_that_a_node_has() -> None:
    model = graph("(float[n,2] x) => (float[n,2] y) { a = Relu(x) y = Neg(a) }")
    model.graph[1].name = "mine/Transpose"
    NameNodes().rewrite(model)
    assert names.fresh_name(model, "mine/Transpose") == "mine/Transpose_1"
