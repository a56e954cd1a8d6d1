"""A product of matrices between two Reshapes as one product of the tensor: what a Dense layer on more than two axes arrives as.

    Reshape(Reshape(x, (-1, k)) W, (.., m))  =  x W       where x is (.., k), W is (k, m), and ``..`` are the same lengths

Exact: MatMul multiplies the last axis of x, row by row, whatever the axes in front of it are.
"""

from __future__ import annotations

import onnx_ir as ir

from converter.graph import edit, query
from converter.passes.base import GraphPass


class MatMulOfRows(GraphPass):
    """Drop the Reshapes around a MatMul with a constant matrix."""

    def rewrite(self, model: ir.Model) -> int:
        """One walk over the products."""
        count = sum(_join(node) for node in model.graph if query.is_standard(node, "MatMul"))
        if count:
            edit.drop_unused(model)
        return count


def _join(node: ir.Node) -> bool:
    rows, back, weight = query.producer_of(node.inputs[0], "Reshape"), query.sole_consumer(node.outputs[0]), query.sizes_of(node.inputs[1])
    if rows is None or rows.inputs[0] is None or back is None or not query.is_standard(back, "Reshape") or weight is None or len(weight) != 2:
        return False
    shape, target = query.shape_of(rows.inputs[0]), query.int_list(query.input_at(back, 1))
    if shape is None or len(shape) < 2 or shape[-1] != weight[0] or not _are_rows(rows, weight[0]) or target is None:
        return False
    if target[-1] != weight[1] or not _same_lengths(shape[:-1], target[:-1]):
        return False
    edit.set_inputs(node, [rows.inputs[0], node.inputs[1]])
    node.outputs[0].shape = back.outputs[0].shape
    edit.bypass(back, node.outputs[0])
    return True


def _are_rows(reshape: ir.Node, width: int) -> bool:
    target = query.int_list(query.input_at(reshape, 1))
    return target is not None and len(target) == 2 and target[0] == -1 and target[1] == width


def _same_lengths(shape: tuple[int | None, ...], target: tuple[int, ...]) -> bool:
    """Whether the Reshape keeps all lengths: at most one of them is free, and that is the one it leaves open."""
    wanted = tuple(-1 if length is None else length for length in shape)
    return wanted == target and wanted.count(-1) <= 1 and 0 not in target
