"""Remove what computes nothing: Identity, inference Dropout, a Cast to the same type, a Transpose that moves no axis, a Clip without bounds,
a product with one, a sum with zero (silu arrives as ``x Sigmoid(1 x)``).

And the housekeeping between the folds: what is unused, what is there twice, the order of the nodes, the shapes.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import onnx_ir as ir

from converter.graph import edit, io, ledger, ops, query
from converter.passes.base import GraphPass


class RemoveNoOps(GraphPass):
    """``f(x) = x`` becomes ``x``."""

    def rewrite(self, model: ir.Model) -> int:
        """Walk once; a no-op between a graph input and a graph output stays, since ONNX needs a node there."""
        count = 0
        for node in model.graph:
            source = node.inputs[0] if _does_nothing(node) else _neutral(model, node)
            if source is not None:
                if node.outputs[0].is_graph_output() and (source.producer() is None or source.is_graph_output()):
                    continue
                edit.bypass(node, source)
                count += 1
        if count:
            edit.drop_unused(model)
        return count


def _does_nothing(node: ir.Node) -> bool:
    if not query.is_standard(node):
        return False
    if node.op_type == "Identity":
        return True
    if node.op_type == "Dropout":
        return len(node.inputs) < 3 and not any(out.uses() or out.is_graph_output() for out in node.outputs[1:])
    if node.op_type == "Clip":
        return not any(value is not None for value in node.inputs[1:]) and not node.attributes
    if node.op_type == "Cast":
        source = node.inputs[0]
        return source is not None and source.dtype is not None and int(source.dtype) == query.integer(node, "to", -1)
    if node.op_type == "Transpose":
        perm = query.ints(node, "perm")
        return bool(perm) and perm == tuple(range(len(perm)))
    return False


NEUTRAL: Mapping[str, float] = {"Mul": 1.0, "Div": 1.0, "Add": 0.0, "Sub": 0.0}


def _neutral(model: ir.Model, node: ir.Node) -> ir.Value | None:
    """What ``node`` combines with one or zero to no effect; weights that happen to be one or zero may change, and do not count."""
    if node.op_type not in NEUTRAL or not query.is_standard(node) or len(node.inputs) != 2:
        return None
    for side in (1, 0) if node.op_type in ("Mul", "Add") else (1,):
        number, kept, shape = node.inputs[side], node.inputs[1 - side], query.sizes_of(node.inputs[side])
        if number is None or kept is None or shape is None or len(shape) > (query.rank_of(kept) or 0) or set(shape) - {1}:
            continue
        if query.scalar(number) == NEUTRAL[node.op_type] and not ledger.of(model).sources(query.name_of(number)):
            return kept
    return None


class DropUnused(GraphPass):
    """Remove nodes and initializers that no output depends on."""

    def rewrite(self, model: ir.Model) -> int:
        """One walk from the end to the beginning."""
        return edit.drop_unused(model)


class MergeEqual(GraphPass):
    """Common subexpressions: nodes that compute the same, and initializers that hold the same, become one.

    Two equal initializers that come from different Keras variables stay two: weights that differ after training must be
    able to differ in the graph.
    """

    def rewrite(self, model: ir.Model) -> int:
        """Constants that come from no variable, then nodes in topological order, so that what reads merged values is equal in turn."""
        before = model.graph.num_nodes() + len(model.graph.initializers)
        _merge_constants(model)
        _merge_nodes(model)
        edit.drop_unused(model)
        return before - model.graph.num_nodes() - len(model.graph.initializers)


def _merge_nodes(model: ir.Model) -> None:
    first: dict[Hashable, ir.Node] = {}
    for node in model.graph:
        if not query.is_standard(node) or node.op_type in ops.LEFT_ALONE or any(_is_graph(a) for a in node.attributes.values()):
            continue
        made = tuple(bool(out.name) for out in node.outputs)  # an optional output may be left out
        attributes = tuple((name, _comparable(value)) for name, value in sorted(query.attributes(node).items()))
        kept = first.setdefault((node.op_type, tuple(map(id, node.inputs)), made, attributes), node)
        if kept is not node:
            for old, new in zip(node.outputs, kept.outputs, strict=True):
                edit.replace(old, new)
            edit.remove(node)


def _is_graph(attribute: ir.Attr) -> bool:
    return attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)


def _comparable(value: object) -> Hashable:
    """Text tells 0 from -0, 1 from 1.0, and is equal for NaN."""
    return (str(value.dtype), value.shape, value.tobytes()) if isinstance(value, np.ndarray) else repr(value)


def _merge_constants(model: ir.Model) -> None:
    book, first = ledger.of(model), dict[tuple[str, tuple[int, ...], bytes], ir.Value]()
    for name, value in list(model.graph.initializers.items()):
        if value.const_value is None or value.const_value.nbytes > 4096 or book.sources(name):
            continue
        array = query.constant(value)
        if array is None or array.dtype.kind not in "fiub":
            continue
        kept = first.setdefault((str(array.dtype), array.shape, array.tobytes()), value)
        if kept is not value and not value.is_graph_output():
            edit.replace(value, kept)


class SortAndShape(GraphPass):
    """Put nodes into topological order and fill in the shapes that ONNX shape inference can tell.

    Args:
        missing_only: leave the shapes as they are if every value has one.
    """

    def __init__(self, *, missing_only: bool = False) -> None:
        self._missing_only = missing_only

    def rewrite(self, model: ir.Model) -> int:
        """Changes no computation."""
        if not _is_sorted(model.graph):
            model.graph.sort()
        if not self._missing_only or any(out.shape is None or out.type is None for node in model.graph for out in node.outputs if out.name):
            io.infer_shapes(model)
        return 0


def _is_sorted(graph: ir.Graph) -> bool:
    """Whether every node stands behind those it reads; with subgraphs, which read from outside, nobody looks."""
    seen: set[int] = set()
    for node in graph:
        if any(_is_graph(attribute) for attribute in node.attributes.values()):
            return False
        if any(maker is not None and id(maker) not in seen for maker in (value.producer() for value in query.inputs_of(node))):
            return False
        seen.add(id(node))
    return True
