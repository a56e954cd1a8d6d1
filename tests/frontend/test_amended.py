"""Loops that look like an LSTM or a GRU stay loops, and what tf2onnx does of its own is replaced for as long as it works."""

from __future__ import annotations

from typing import Any

import keras
import onnx
import pytest
import tensorflow as tf
from tf2onnx import tfonnx
from tf2onnx.graph import Graph
from tf2onnx.graph_matcher import GraphMatcher

from converter.frontend import amended
from tests.coverage.ops import Call
from tests.frontend.building import branches, export, layers, operators


class OwnCell(layers.LSTMCell):
    """An LSTM cell to tf2onnx, a class that may do anything to us."""


def test_cells_that_look_like_an_lstm_and_precisions_that_it_does_not_have_stay_loops() -> None:
    keras.utils.set_random_seed(8)
    exported = export(branches((4, 2), {"own": layers.RNN(OwnCell(3)), "double": layers.LSTM(3, dtype="float64")}))
    assert operators(exported)["Loop"] == 2
    assert exported.report.numbers["parity"]["relative"] < 1e-5


def used() -> dict[str, Any]:
    return {**{name: getattr(tfonnx, name) for name in (*amended.REWRITERS, *amended.LOOPS, "run_rewriters", "resolve_functions")},
            **{name: getattr(Graph, name) for name in ("reset_nodes", "extract_sub_graph_nodes")}}


def test_everything_is_back_afterwards() -> None:
    before = used()
    with amended.amended(["MatMul"]):
        assert all(now is not before[name] for name, now in used().items())
        assert tfonnx.rewrite_gru_tf2(None, [1]) == [1]
    with pytest.raises(ZeroDivisionError), amended.amended(["MatMul"]):
        raise ZeroDivisionError
    assert used() == before


@pytest.mark.parametrize("operator", ["Switch", "LoopCond"])
def test_loops_of_tensorflow_1_are_still_looked_for(operator: str) -> None:
    before = used()
    with amended.amended(["MatMul", operator]):
        now = used()
    assert all(now[name] is before[name] for name in amended.LOOPS) and now["rewrite_gru_tf2"] is not before["rewrite_gru_tf2"]


@pytest.mark.parametrize("name", sorted(amended.NEEDED))
def test_a_rewriter_is_left_out_only_where_none_of_its_patterns_can_match(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    patterns: list[Any] = []
    monkeypatch.setattr(GraphMatcher, "match_ops", lambda self, ops: patterns.append(self._pattern) or [])
    getattr(tfonnx, name)(Graph([], output_shapes={}, dtypes={}, opset=18), [])
    assert patterns or name == "rewrite_fused_ops"
    assert all(any(kinds <= amended.NEEDED[name] for kinds in wanted(pattern)) for pattern in patterns)


def wanted(pattern: Any) -> list[set[str]]:
    """For every node of a pattern of tf2onnx the types that it may have."""
    return [set(str(pattern.op_type).split("|")), *(kinds for given in pattern.inputs for kinds in wanted(given))]


def test_a_rewriter_is_asked_where_its_operator_is() -> None:
    ran: list[str] = []
    with amended.amended(["BiasAdd"]):
        tfonnx.run_rewriters(graph(), [getattr(tfonnx, name) for name in amended.NEEDED] + [lambda g, ops: ran.append("ours") or ops], False)
        left = {name for name in amended.NEEDED if getattr(tfonnx, name) is not amended._nothing}
    assert (left, ran) == ({"rewrite_biasadd_with_conv2d"}, ["ours"])


def test_functions_are_looked_for_where_there_are_some() -> None:
    @tf.function(autograph=False)
    def outer(x: Any) -> Any:
        return tf.while_loop(lambda y: tf.reduce_sum(y) < 9, lambda y: (y + 1,), (x,))[0]

    plain = tf.function(lambda x: x + 1, autograph=False).get_concrete_function(tf.TensorSpec((2,))).graph
    loop = outer.get_concrete_function(tf.TensorSpec((2,))).graph
    before = len(tfonnx.resolve_functions(plain)), len(tfonnx.resolve_functions(loop))
    with amended.amended([]):
        assert (len(tfonnx.resolve_functions(plain)), len(tfonnx.resolve_functions(loop))) == before == (0, 2)


def both_ways(graph: Graph, outputs: list[str], **options: Any) -> tuple[set[str], set[str]]:
    """First outputs of the nodes that tf2onnx finds and that we find."""
    theirs = {node.output[0] for node in graph.extract_sub_graph_nodes(outputs, **options)}
    with amended.amended([]):
        return theirs, {node.output[0] for node in graph.extract_sub_graph_nodes(outputs, **options)}


def graph() -> Graph:
    g = Graph([], output_shapes={}, dtypes={}, opset=18)
    for name in ("x", "unused"):
        g.add_graph_input(name, onnx.TensorProto.FLOAT, [2])
    made = g.make_node("Relu", ["x"], name="a", outputs=["a:0"])
    g.make_node("Add", [made.output[0], made.output[0]], name="b", outputs=["b:0"])
    g.make_node("Neg", ["x"], name="dead", outputs=["dead:0"])
    g.add_graph_output("b:0", onnx.TensorProto.FLOAT, [2])
    return g


def test_the_same_nodes_are_found_in_one_walk() -> None:
    assert both_ways(graph(), ["b:0"]) == ({"x", "a:0", "b:0"},) * 2
    assert both_ways(graph(), ["b:0"], remove_unused_inputs=False) == ({"x", "a:0", "b:0", "unused"},) * 2
    assert both_ways(graph(), ["b:0"], input_checker=lambda node: node.name != "a") == ({"b:0"},) * 2
    assert both_ways(graph(), ["b:0"], input_checker=lambda node: node.name != "b") == (set(),) * 2


def test_a_reset_graph_takes_new_nodes_and_misses_no_input() -> None:
    g = graph()
    with amended.amended([]):
        kept = [node for node in g.get_nodes() if node.name != "dead"]
        g.reset_nodes(kept)
        new = g.make_node("Neg", ["b:0"], name="new")
        assert new in g.get_nodes() and {node.output[0] for node in g.get_nodes()} == {"x", "unused", "a:0", "b:0", *new.output}
        with pytest.raises(ValueError, match=r"graph input .* not exist"):
            g.reset_nodes([node for node in kept if node.output[0] != "x"])


def test_a_choice_is_still_exported() -> None:
    choice = Call(lambda x: tf.cond(tf.reduce_sum(x) > 0, lambda: x + 1, lambda: x * 2))
    assert operators(export(branches((3,), {"y": choice})))["If"] == 1
