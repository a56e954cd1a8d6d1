"""What computes nothing, what is unused and what is there twice goes; what a caller can see stays."""

from __future__ import annotations

import numpy as np
import pytest

from converter.graph import ledger, query
from converter.passes.cleanup import DropUnused, MergeEqual, RemoveNoOps, SortAndShape
from converter.passes.constants import FoldConstants
from tests.passes.golden import graph, operators, refuses, rewritten, run


@pytest.mark.parametrize("nothing", ["Identity(a)", "Dropout(a)", "Dropout(a, r)", "Cast<to=1>(a)", "Transpose<perm=[0,1]>(a)", "Clip(a)"])
@pytest.mark.parametrize("end", ["y = Neg(b)", "y = Identity(b)"])
def test_no_ops_go(nothing: str, end: str) -> None:
    weights = {"r": 0.5} if "r)" in nothing else {}
    model = rewritten(RemoveNoOps(), f"(float[n,2] x) => (float[n,2] y) {{ a = Relu(x) b = {nothing} {end} }}", **weights)
    assert operators(model) == ("Relu Neg" if "Neg" in end else "Relu")
    assert query.name_of(model.graph.outputs[0]) == "y"


@pytest.mark.parametrize("text", [
    "(float[n,2] x) => (float[n,2] y) { y = Identity(x) }",
    "(float[n,2] x) => (float[n,2] a, float[n,2] y) { a = Relu(x) y = Identity(a) }",
    "(float[n,2] x) => (float[n,2] y, bool[n,2] m) { a = Relu(x) y, m = Dropout(a) }",
    "(float[n,2] x) => (float[n,2] y, bool[n,2] k) { a = Relu(x) y, m = Dropout(a) k = Not(m) }",
    "(float[n,2] x) => (double[n,2] y) { y = Cast<to=11>(x) }",
    "(float[n,2] x) => (float[2,n] y) { y = Transpose(x) }",
    "(float[2,2] x) => (float[2,2] y) { y = Transpose<perm=[1,0]>(x) }",
])
def test_what_does_something_stays(text: str) -> None:
    refuses(RemoveNoOps(), text)


@pytest.mark.parametrize("text", ["Mul(c, x)", "Mul(x, c)", "Div(x, c)", "Add(z, x)", "Sub(x, z)"])
def test_a_product_with_one_and_a_sum_with_zero_go(text: str) -> None:
    body = f"(float[n,4] x) => (float[n,4] y) {{ c = Constant<value_float=1.0>() z = Constant<value_floats=[0.0]>() m = {text} y = Neg(m) }}"
    model = graph(body)
    run(model, FoldConstants(), RemoveNoOps())
    assert operators(model) == "Neg"


@pytest.mark.parametrize("text", ["Div(c, x)", "Sub(z, x)", "Mul(x, z)", "Mul(x, w)", "Mul(x, c3)", "Pow(c, x)"])
def test_what_is_no_one_or_may_be_another_one_day_stays(text: str) -> None:
    constants = "c = Constant<value_float=1.0>() z = Constant<value_floats=[0.0]>() d = Constant<value_floats=[1.0]>() c3 = Unsqueeze(d, ax)"
    model = graph(f"(float[n,4] x) => (float[p,q,r] y) {{ {constants} m = {text} n1 = Neg(m) y = Relu(n1) }}", w=1.0, ax=[0, 1])
    run(model, FoldConstants(), RemoveNoOps())
    assert len(model.graph) == 3


def test_training_dropout_stays() -> None:
    refuses(RemoveNoOps(), "(float[n,2] x) => (float[n,2] y) { y = Dropout(x, r, t) }", r=0.0, t=np.array(True))


def test_unused_nodes_and_weights_go_but_not_inputs() -> None:
    body = "(float[n,2] x, float[2] d) => (float[n,2] y) { y = Relu(x) a = Add(x, w) b = Neg(a) }"
    model = graph(body, w=(2,), v=(3,), d=(2,))
    assert run(model, DropUnused())["DropUnused"] == 4
    assert operators(model) == "Relu" and list(model.graph.initializers) == ["d"]
    assert [query.name_of(v) for v in query.true_inputs(model)] == ["x"], "an input with a default did not become one that must be fed"


def test_equal_nodes_merge_through_chains() -> None:
    body = "(float[n,2] x) => (float[n,2] y) { a = Relu(x) b = Neg(a) c = Relu(x) d = Neg(c) y = Mul(b, d) }"
    assert operators(rewritten(MergeEqual(), body)) == "Relu Neg Mul"


@pytest.mark.parametrize("text", [
    "a = LeakyRelu<alpha=0.1>(x) b = LeakyRelu<alpha=0.2>(x) y = Mul(a, b)",
    "a = Sub(x, w) b = Sub(w, x) y = Mul(a, b)",
    "a = Add(x, w) b = Add(x, v) y = Mul(a, b)",
    "a = RandomNormalLike(x) b = RandomNormalLike(x) z = Sub(a, b) k = Mul(z, o) y = Add(x, k)",
])
def test_different_nodes_stay(text: str) -> None:
    weights = {"w": np.float32([1, 2]), "v": np.float32([1, 2]), "o": 0.0}
    used = {k: v for k, v in weights.items() if f"{k})" in text or f"({k}," in text}
    refuses(MergeEqual(), f"(float[n,2] x) => (float[n,2] y) {{ {text} }}", **used)


def test_two_equal_outputs_stay_two_outputs() -> None:
    model = graph("(float[n,2] x) => (float[n,2] y, float[n,2] z) { y = Relu(x) z = Relu(x) }")
    run(model, MergeEqual())
    assert [query.name_of(v) for v in model.graph.outputs] == ["y", "z"]
    model = rewritten(MergeEqual(), "(float[n,2] x) => (float[n,2] y, float[n,2] z) { a = Relu(x) z = Relu(x) y = Neg(a) }")
    assert operators(model) == "Relu Neg"


def test_an_optional_output_is_not_lost() -> None:
    body = """(float[1,1,4,4] x) => (float[1,1,2,2] y, int64[1,1,2,2] i) { a = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x)
        b, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) y = Add(a, b) }"""
    refuses(MergeEqual(), body)


def test_constants_merge_but_variables_do_not() -> None:
    body = "(float[n,2] x) => (float[n,2] y) { a = Add(x, w) b = Mul(a, v) c = Sub(b, p) y = Div(c, q) }"
    same = np.float32([1, 2])
    model = graph(body, w=same, v=same, p=same, q=same)
    book = ledger.of(model)
    for name in ("p", "q"):
        del book.variables[name]
        book.constant(name, same)
    assert run(model, MergeEqual())["MergeEqual"] == 1
    assert sorted(model.graph.initializers) == ["p", "v", "w"]


def test_minus_zero_is_not_zero() -> None:
    model = graph("(float[n,1] x) => (float[n,1] y) { a = Div(x, p) b = Div(x, q) y = Max(a, b) }", p=np.float32([0.0]), q=np.float32([-0.0]))
    book = ledger.of(model)
    book.variables.clear()
    refuses_before = operators(model)
    MergeEqual().rewrite(model)
    assert operators(model) == refuses_before


@pytest.mark.parametrize("missing_only", [False, True])
def test_order_and_shapes(missing_only: bool) -> None:
    model = graph("(float[n,2] x) => (float y) { a = Relu(x) b = Transpose<perm=[1,0]>(a) y = ReduceSum<keepdims=0>(b) c = Shape(x) d = Size(x) }")
    nodes = list(model.graph)
    model.graph.remove(nodes[0])
    model.graph.append(nodes[0])
    for node in nodes:
        if not node.outputs[0].is_graph_output():
            node.outputs[0].shape = node.outputs[0].type = None
    SortAndShape(missing_only=missing_only).rewrite(model)
    assert operators(model) == "Relu Transpose ReduceSum Shape Size"
    shapes = {node.op_type: query.shape_of(node.outputs[0]) for node in model.graph}
    assert shapes == {"Relu": (None, 2), "Transpose": (2, None), "ReduceSum": (), "Shape": (2,), "Size": ()}
    assert str(model.graph[0].outputs[0].shape[0]) == "n"
