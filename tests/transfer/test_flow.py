"""Who reads whom, subgraphs included, and what is left when nodes go."""

from __future__ import annotations

from converter.graph import io, query
from converter.transfer.flow import Flow, inner_nodes, keep_only

CAPTURING = """
<ir_version: 8, opset_import: ["" : 18]>
g (float[N, 4] x, bool c) => (float[N, 4] y, float[N, 4] z) {
    a = Relu(x)
    b = Neg(x)
    y = If (c) <then_branch = t () => (float[N, 4] p) { p = Exp(a) }, else_branch = e () => (float[N, 4] q) { q = Identity(a) }>
    z = Abs(b)
}
"""


def test_what_a_subgraph_reads_is_read_by_its_node() -> None:
    model = io.from_text(CAPTURING)
    flow = Flow(model.graph)
    nodes = list(model.graph)
    a, b, y, z = (node.outputs[0] for node in nodes)
    assert flow.readers(a) == [nodes[2]] and {query.name_of(v) for v in flow.reads[nodes[2]]} == {"c", "a"}
    assert flow.behind([a]) == {y} and flow.behind([b]) == {z}
    needed, values = flow.before([y])
    assert needed == {nodes[0], nodes[2]} and {query.name_of(v) for v in values} == {"y", "c", "a", "x"}
    assert flow.before([y], stop=[a])[0] == {nodes[2]}
    assert flow.live() == {*model.graph.inputs, a, b, y, z}
    assert [n.op_type for n in inner_nodes(nodes[2])] == ["Exp", "Identity"]


def test_a_node_with_a_subgraph_goes_and_nothing_is_read_by_it_any_more() -> None:
    model = io.from_text(CAPTURING)
    a, b, _, z = list(model.graph)
    model.graph.outputs[:] = [z.outputs[0]]
    keep_only(model.graph, {b, z})
    assert list(model.graph) == [b, z] and not a.outputs[0].uses()
    io.check(model)
