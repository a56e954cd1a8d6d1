"""Compute what depends on no input: ``f(c1, c2, ...) -> c`` where all ``ci`` are initializers.

Every result is an entry of the ledger, so it can be computed again from other weights.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from converter.graph import edit, ops, query
from converter.passes.base import GraphPass, Promise
from converter.spec.quant import Array

GROWTH_LIMIT = 1 << 16  # elements; a fold may not blow the file up (ConstantOfShape, Expand, Tile)
PLAIN = frozenset({ir.AttributeType.INT, ir.AttributeType.INTS, ir.AttributeType.FLOAT, ir.AttributeType.FLOATS, ir.AttributeType.STRING,
                   ir.AttributeType.STRINGS, ir.AttributeType.TENSOR})


class FoldConstants(GraphPass):
    """Replace nodes whose inputs are all constant by initializers."""

    promise = Promise.ROUNDING

    def rewrite(self, model: ir.Model) -> int:
        """Walk once in topological order, so that chains fold in one go."""
        count = sum(_lift(model, node) if query.is_standard(node, "Constant") else _fold(model, node) for node in model.graph)
        if count:
            edit.drop_unused(model)
        return count


def _fold(model: ir.Model, node: ir.Node) -> bool:
    if not query.is_standard(node) or node.op_type in ops.LEFT_ALONE or len(node.outputs) != 1 or not node.inputs:
        return False
    if not all(query.is_constant(value) for value in node.inputs) or any(a.type not in PLAIN for a in node.attributes.values()):
        return False
    if node.outputs[0].is_graph_output() or _grows(node):
        return False
    values = list(query.inputs_of(node))
    if node.op_type == "Identity":
        edit.bypass(node, values[0])
        return True
    result = edit.derive_if_possible(model, node.op_type, values, query.name_of(node.outputs[0]), query.attributes(node))
    if result is not None:
        edit.bypass(node, result)
    return result is not None


def _lift(model: ir.Model, node: ir.Node) -> bool:
    attribute = next(iter(node.attributes.values()))
    array = _numbers(attribute)
    if array is None or node.outputs[0].is_graph_output():
        return False
    edit.bypass(node, edit.constant(model, query.name_of(node.outputs[0]), array))
    return True


def _numbers(attribute: ir.Attr) -> Array | None:
    """What a Constant holds; None for text and sparse tensors."""
    if attribute.name == "value":
        array: Array = attribute.as_tensor().numpy()
        return array if array.dtype.kind not in "OSU" else None
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    return np.asarray(attribute.value, kinds[attribute.name]) if attribute.name in kinds else None


def _grows(node: ir.Node) -> bool:
    """Whether the result would be much larger than what it is made of."""
    shape, sizes = query.shape_of(node.outputs[0]), [math.prod(query.sizes_of(value) or ()) for value in node.inputs]
    limit = max(GROWTH_LIMIT, 2 * max(sizes))
    if shape is None or None in shape:
        return node.op_type in ("ConstantOfShape", "Expand", "Tile", "Range", "OneHot", "Resize", "Pad", "EyeLike")
    return math.prod(d for d in shape if d is not None) > limit
