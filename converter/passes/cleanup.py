"""Remove what computes nothing: Identity, inference Dropout, a Cast to the same type, a Transpose that moves no axis."""

from __future__ import annotations

import onnx_ir as ir

from converter.graph import edit, query
from converter.passes.base import GraphPass


class RemoveNoOps(GraphPass):
    """``f(x) = x`` becomes ``x``."""

    def rewrite(self, model: ir.Model) -> int:
        """Walk once; a no-op between a graph input and a graph output stays, since ONNX needs a node there."""
        count = 0
        for node in model.graph:
            if _does_nothing(node):
                source = node.inputs[0]
                assert source is not None
                if node.outputs[0].is_graph_output() and (source.producer() is None or source.is_graph_output()):
                    continue
                edit.bypass(node, source)
                count += 1
        return count


def _does_nothing(node: ir.Node) -> bool:
    if node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type == "Identity":
        return True
    if node.op_type == "Dropout":
        return len(node.inputs) < 3 and not any(out.uses() for out in node.outputs[1:])
    if node.op_type == "Cast":
        source = node.inputs[0]
        return source is not None and source.dtype is not None and int(source.dtype) == query.integer(node, "to", -1)
    if node.op_type == "Transpose":
        perm = query.ints(node, "perm")
        return bool(perm) and perm == tuple(range(len(perm)))
    return False


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
        """onnx_ir's own elimination on the nodes; constants that come from no variable are merged before."""
        from onnx_ir.passes.common import CommonSubexpressionEliminationPass

        before = model.graph.num_nodes() + len(model.graph.initializers)
        _merge_constants(model)
        CommonSubexpressionEliminationPass()(model)
        edit.drop_unused(model)
        return before - model.graph.num_nodes() - len(model.graph.initializers)


def _merge_constants(model: ir.Model) -> None:
    from converter.graph import ledger

    book, first = ledger.of(model), dict[tuple[str, tuple[int, ...], bytes], ir.Value]()
    for name, value in list(model.graph.initializers.items()):
        array = query.constant(value)
        if array is None or array.nbytes > 4096 or array.dtype.kind not in "fiub" or book.sources(name):
            continue
        kept = first.setdefault((str(array.dtype), array.shape, array.tobytes()), value)
        if kept is not value and not value.is_graph_output():
            edit.replace(value, kept)


class SortAndShape(GraphPass):
    """Put nodes into topological order and fill in the shapes that ONNX shape inference can tell."""

    def rewrite(self, model: ir.Model) -> int:
        """Changes no computation."""
        from converter.graph import io

        model.graph.sort()
        io.infer_shapes(model)
        return 0
