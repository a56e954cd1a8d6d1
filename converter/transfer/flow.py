"""Who reads whom in the main graph; what happens in a subgraph counts as done by the node that holds it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx_ir as ir

from converter.graph import query


class Flow:
    """The data flow of a graph whose nodes are in order.

    Args:
        graph: it may not change while this is used.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self.graph = graph
        self.reads = {node: tuple(dict.fromkeys(_reads(node, graph))) for node in graph}
        self._readers: dict[ir.Value, list[ir.Node]] = {}
        for node, values in self.reads.items():
            for value in values:
                self._readers.setdefault(value, []).append(node)
        self._live: set[ir.Value] | None = None

    def values(self) -> Iterator[ir.Value]:
        """Inputs, initializers, and what nodes make."""
        yield from self.graph.inputs
        yield from (v for v in self.graph.initializers.values() if not v.is_graph_input())
        yield from (out for node in self.graph for out in node.outputs if out.name)

    def inputs(self) -> list[ir.Value]:
        """Inputs that a caller must feed."""
        return [value for value in self.graph.inputs if not value.is_initializer()]

    def readers(self, value: ir.Value) -> list[ir.Node]:
        """Nodes of the main graph that read ``value``, in a subgraph or not."""
        return self._readers.get(value, [])

    def live(self) -> set[ir.Value]:
        """Everything that depends on an input, inputs included."""
        if self._live is None:
            self._live = self.behind(self.inputs()) | set(self.inputs())
        return self._live

    def behind(self, values: Iterable[ir.Value]) -> set[ir.Value]:
        """Everything that depends on one of ``values``."""
        start, found = set(values), set[ir.Value]()
        for node, read in self.reads.items():
            if any(value in start or value in found for value in read):
                found.update(node.outputs)
        return found

    def before(self, values: Iterable[ir.Value], stop: Iterable[ir.Value] = ()) -> tuple[set[ir.Node], set[ir.Value]]:
        """The nodes that ``values`` need, and all values these read and make; what only ``stop`` needs is not looked for."""
        halt, todo = set(stop), list(values)
        nodes, seen = set[ir.Node](), set[ir.Value]()
        while todo:
            value = todo.pop()
            if value in seen:
                continue
            seen.add(value)
            node = value.producer()
            if value not in halt and node is not None and node not in nodes:
                nodes.add(node)
                todo += self.reads[node]
        return nodes, seen


def _reads(node: ir.Node, graph: ir.Graph) -> Iterator[ir.Value]:
    yield from query.inputs_of(node)
    for inner in inner_nodes(node):
        yield from (value for value in query.inputs_of(inner) if value.graph is graph)


def inner_nodes(node: ir.Node) -> Iterator[ir.Node]:
    """All nodes in the subgraphs of ``node``."""
    for attribute in node.attributes.values():
        if attribute.is_ref() or attribute.type not in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
            continue
        for part in [attribute.as_graph()] if attribute.type == ir.AttributeType.GRAPH else attribute.as_graphs():
            yield from part.all_nodes()


def keep_only(graph: ir.Graph, nodes: set[ir.Node]) -> None:
    """Remove every other node, and the initializers that are not read any more; outputs must be made by what stays."""
    gone = [node for node in graph if node not in nodes]
    for node in gone:
        for inner in inner_nodes(node):  # what they read of the main graph would count as read for ever
            for index in range(len(inner.inputs)):
                inner.replace_input_with(index, None)
    graph.remove(gone, safe=True)
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output() and not value.is_graph_input():
            del graph.initializers[name]
