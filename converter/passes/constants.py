"""Compute what depends on no input: ``f(c1, c2, ...) -> c`` where all ``ci`` are initializers.

Every result is an entry of the ledger, so it can be computed again from other weights.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.graph import edit, ops, query
from converter.passes.base import GraphPass, Promise

GROWTH_LIMIT = 1 << 16  # elements; a fold may not blow the file up (ConstantOfShape, Expand, Tile)


class FoldConstants(GraphPass):
    """Replace nodes whose inputs are all constant by initializers."""

    promise = Promise.ROUNDING

    def rewrite(self, model: ir.Model) -> int:
        """Walk once in topological order, so that chains fold in one go."""
        return sum(self._fold(model, node) for node in model.graph)

    def _fold(self, model: ir.Model, node: ir.Node) -> bool:
        if node.op_type == "Constant":
            return self._lift(model, node)
        if node.op_type in ops.LEFT_ALONE or node.domain not in ("", "ai.onnx") or len(node.outputs) != 1 or not node.inputs:
            return False
        if any(query.constant(v) is None for v in query.inputs_of(node)) or any(v is None for v in node.inputs) or _has_graph(node):
            return False
        if node.outputs[0].is_graph_output() or _grows(node):
            return False
        if node.op_type == "Identity":
            edit.bypass(node, next(query.inputs_of(node)))
            return True
        values = list(query.inputs_of(node))
        edit.bypass(node, edit.derive(model, node.op_type, values, query.name_of(node.outputs[0]), **query.attributes(node)))
        return True

    def _lift(self, model: ir.Model, node: ir.Node) -> bool:
        attribute = next(iter(node.attributes.values()))
        if node.outputs[0].is_graph_output():
            return False
        value = attribute.value
        array = value.numpy() if hasattr(value, "numpy") else np.asarray(value, np.float32 if "float" in attribute.name else None)
        edit.bypass(node, edit.constant(model, query.name_of(node.outputs[0]), array))
        return True


def _has_graph(node: ir.Node) -> bool:
    return any(a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS) for a in node.attributes.values())


def _grows(node: ir.Node) -> bool:
    """Whether the result would be much larger than what it is made of."""
    sizes = [a.size for a in (query.constant(v) for v in query.inputs_of(node)) if a is not None]
    if node.op_type in ("ConstantOfShape", "Expand", "Tile", "Range", "OneHot", "Resize"):
        shape = query.shape_of(node.outputs[0])
        size = int(np.prod([d or 1 for d in shape])) if shape is not None and None not in shape else GROWTH_LIMIT + 1
        return size > max(GROWTH_LIMIT, 2 * max(sizes))
    return False
