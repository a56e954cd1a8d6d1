"""Edits keep names unique, outputs where they are, and the ledger in step."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from converter.errors import ConversionError
from converter.graph import edit, io, ledger, names, query
from tests.passes.golden import graph, operators, outputs

CHAIN = "(float[n,2] x) => (float[n,2] y) { a = Relu(x) b = Neg(a) y = Identity(b) }"


def _names(model: ir.Model) -> list[str]:
    return [query.name_of(out) for node in model.graph for out in node.outputs]


def test_fresh_names_are_free_everywhere() -> None:
    body = """(float[2] x, bool c) => (float[2] y) { a = Relu(x)
        y = If(c) <then_branch = t () => (float[2] p) { k = Constant<value_float=1.0>() p = Add(a, k) },
                   else_branch = e () => (float[2] q) { q = Neg(a) }> }"""
    model = graph(body, w=(2,))
    inner = model.graph[1].attributes["then_branch"].as_graph()
    inner.register_initializer(ir.Value(name="inside", const_value=ir.tensor(np.zeros(2, np.float32), name="inside")))
    for taken in ("x", "c", "a", "y", "w", "k", "p", "q", "inside"):
        assert names.fresh_name(model, taken) == f"{taken}_1"
    assert [names.fresh_name(model, "new") for _ in range(3)] == ["new", "new_1", "new_2"]
    assert names.fresh_name(model, "new_1") == "new_1_1"


def test_a_copy_counts_for_itself() -> None:
    model = graph(CHAIN)
    names.fresh_name(model, "z")
    first, second = model.clone(), model.clone()
    assert names.fresh_name(first, "z") == names.fresh_name(second, "z") == "z"
    edit.add_initializer(first, "v", np.zeros(1, np.float32))
    again = first.clone()
    assert names.fresh_name(again, "v") == "v_1"
    assert names.fresh_name(model, "z") == "z_1"


@pytest.mark.parametrize("array", [np.float32(1), np.zeros((2, 3), np.int8, order="F"), np.zeros((0,), np.float16), np.arange(6).reshape(2, 3).T])
def test_initializers_keep_shape_and_type(array: np.ndarray) -> None:
    value = edit.add_initializer(graph(CHAIN), "w", np.asarray(array))
    assert query.constant(value).tobytes() == np.asarray(array).tobytes() and query.shape_of(value) == np.asarray(array).shape
    assert value.dtype.numpy() == np.asarray(array).dtype


def test_computing_leaves_the_graph_alone_until_it_is_settled() -> None:
    model = graph(CHAIN, w=np.float32([1, 2]))
    half = edit.compute(model, "Neg", [model.graph.initializers["w"]], "n")
    assert list(model.graph.initializers) == ["w"] and half.name == "n"
    value = edit.settle(model, edit.compute(model, "Reshape", [half, np.array([2, 1])], "n"))
    assert list(model.graph.initializers) == ["w", "n_1"]
    np.testing.assert_array_equal(query.constant(value), [[-1], [-2]])
    np.testing.assert_array_equal(ledger.of(model).replay("n_1", {"w": np.float32([7, 8])}), [[-7], [-8]])


def test_nodes_before_behind_and_first() -> None:
    model = graph(CHAIN)
    neg = model.graph[1]
    neg.metadata_props[query.LAYER_KEY] = "dense"
    before = edit.insert_before(model, neg, "Abs", [neg.inputs[0]], "before")
    edit.set_inputs(neg, [before])
    behind = edit.insert_after(model, neg, "Clip", [neg.outputs[0], None, None], "behind")
    edit.set_inputs(model.graph[4], [behind])
    first = edit.insert_first(model, "Exp", [model.graph.inputs[0]], "first", {})
    edit.set_inputs(model.graph[1], [first])
    assert operators(model) == "Exp Relu Abs Neg Clip Identity"
    assert [query.layer_path(model.graph[k]) for k in (2, 4)] == ["dense", "dense"]
    empty = graph("(float[n] x) => (float[n] x) { }")
    edit.insert_first(empty, "Relu", [empty.graph.inputs[0]], "r", {})
    assert operators(empty) == "Relu"


def test_attributes_of_every_kind() -> None:
    model = graph(CHAIN)
    given = {"i": 1, "l": (1, 2), "f": 0.5, "s": "t", "g": [0.5, 1.0]}
    made = edit.insert_after(model, model.graph[0], "Odd", [model.graph[0].outputs[0]], "o", given)
    node = made.producer()
    kinds = {name: attribute.type.name for name, attribute in node.attributes.items()}
    assert kinds == {"i": "INT", "l": "INTS", "f": "FLOAT", "s": "STRING", "g": "FLOATS"}
    edit.set_attributes(node, i=None, missing=None, f=2.0)
    assert set(node.attributes) == {"l", "f", "s", "g"} and query.number(node, "f", 0) == 2.0


def test_another_operator_in_place() -> None:
    model = graph(CHAIN, w=6.0)
    edit.change_operator(model.graph[1], "Clip", [model.graph[1].inputs[0], None, model.graph.initializers["w"]])
    assert operators(model) == "Relu Clip Identity" and outputs(model)[0].max() <= 6
    edit.change_operator(model.graph[1], "LeakyRelu", [model.graph[1].inputs[0]], alpha=0.5)
    assert len(model.graph[1].inputs) == 1 and query.number(model.graph[1], "alpha", 0) == 0.5


def test_bypass_moves_the_name_of_an_output() -> None:
    model = graph(CHAIN)
    edit.bypass(model.graph[2], model.graph[1].outputs[0])
    assert operators(model) == "Relu Neg" and _names(model) == ["a", "y"] and query.shape_of(model.graph.outputs[0]) == (None, 2)
    assert query.is_float32(model.graph.outputs[0]), "the type of an output comes along"
    edit.bypass(model.graph[0], model.graph.inputs[0])
    assert operators(model) == "Neg" and query.name_of(model.graph[0].inputs[0]) == "x"


@pytest.mark.parametrize(("body", "source"), [
    ("(float[n,2] x) => (float[n,2] y) { y = Relu(x) }", "x"),
    ("(float[n,2] x) => (float[n,2] y, float[n,2] z) { z = Neg(x) y = Relu(z) }", "z"),
    ("(float[n,2] x) => (float[2] y) { y = Relu(w) }", "w"),
])
def test_what_cannot_be_an_output_itself_gets_an_identity(body: str, source: str) -> None:
    model = graph(body, w=np.float32([1, 2]))
    relu = next(n for n in model.graph if n.op_type == "Relu")
    before = [query.name_of(v) for v in model.graph.outputs]
    edit.bypass(relu, relu.inputs[0])
    assert [query.name_of(v) for v in model.graph.outputs] == before and "Identity" in operators(model)
    assert query.name_of(model.graph.outputs[0].producer().inputs[0]) == source
    io.check(model)


def test_an_output_that_is_an_input_keeps_its_name() -> None:
    model = graph("(float[n,2] x) => (float[n,2] x, float[n,2] y) { y = Relu(x) }")
    with pytest.raises(ConversionError, match="input and an output"):
        edit.replace(model.graph.inputs[0], model.graph[0].outputs[0])
    assert [query.name_of(v) for v in (*model.graph.inputs, *model.graph.outputs)] == ["x", "x", "y"]


def test_an_output_replaced_twice_leaves_no_two_values_of_one_name() -> None:
    model = graph("(float[n,2] x) => (float[n,2] y) { y = Relu(x) z = Neg(y) }")
    for _ in range(3):
        old = model.graph.outputs[0]
        new = edit.insert_after(model, old.producer(), "Neg", [old], "new")
        edit.replace_output(old, new)
        old.shape = None
    assert len(set(_names(model))) == len(_names(model)) and query.name_of(model.graph.outputs[0]) == "y"
    io.check(model)


def test_readers_in_branches_follow() -> None:
    body = """(float[2] x, bool c) => (float[2] y) { a = Relu(x) b = Identity(a)
        y = If(c) <then_branch = t () => (float[2] p) { p = Neg(b) }, else_branch = e () => (float[2] q) { q = Abs(b) }> }"""
    model = graph(body)
    edit.bypass(model.graph[1], model.graph[0].outputs[0])
    io.check(model)
    assert outputs(model)[0].shape == (2,)


def test_a_node_that_is_read_cannot_be_removed() -> None:
    model = graph(CHAIN)
    with pytest.raises(ValueError, match="used"):
        edit.remove(model.graph[0])


def test_renaming_an_initializer() -> None:
    model = graph("(float[n,2] x, float[2] d) => (float[n,2] y, float[2] o) { a = Add(x, w) b = Add(a, d) y = Add(b, o) }", w=(2,), d=(2,), o=(2,))
    book = ledger.of(model)
    value = model.graph.initializers["w"]
    assert edit.rename(model, value, "kernel") == "kernel" == value.const_value.name
    assert list(model.graph.initializers) == ["d", "o", "kernel"] and book.sources("kernel") == ["w"]
    assert edit.rename(model, value, "x") == "x_1" and edit.rename(model, value, "x_1") == "x_1"
    assert edit.rename(model, model.graph[0].outputs[0], "sum") == "sum"
    for name in ("d", "o"):
        assert edit.rename(model, model.graph.initializers[name], "other") == name, "a caller knows it by this name"
    io.check(model)
