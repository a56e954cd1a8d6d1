"""Fold a per-channel scale or shift in front of a linear node into its weight and bias, where that is exact.

For ``L(x) = W x + b`` with input channel i:

    L(x * s)  =  (W s) x + b                  W'[o, i, ...] = W[o, i, ...] s[i]
    L(x + t)  =  W x + (b + W t)              b'[o] = b[o] + sum over i and the kernel of W[o, i, ...] t[i]

The shift is exact only without padding: a padded zero stands for x = 0 in front of the shift, and the shift would move
it too. The scale is exact with any padding. Folded for Gemm, and for convolutions of one group or depthwise ones.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.graph import edit, ops, query
from converter.passes.affine import weight_of
from converter.passes.base import GraphPass, Promise


class FoldAffineBefore(GraphPass):
    """Fold Mul and Add with per-channel constants into the only linear node that reads them."""

    promise = Promise.ROUNDING

    def rewrite(self, model: ir.Model) -> int:
        """For every linear node, fold what feeds it for as long as something fits."""
        count = 0
        for node in model.graph:
            if node.op_type in ("Conv", "Gemm") and _foldable(node):
                while _fold_feeder(model, node):
                    count += 1
        edit.drop_unused(model)
        return count


def _foldable(node: ir.Node) -> bool:
    weight, bias = query.constant(node.inputs[1]), query.input_at(node, 2)
    if weight is None or weight.dtype != np.float32 or (bias is not None and query.constant(bias) is None):
        return False
    if node.op_type == "Gemm":
        return query.number(node, "alpha", 1.0) == query.number(node, "beta", 1.0) == 1.0 and not query.integer(node, "transA", 0)
    return query.integer(node, "group", 1) == 1 or ops.is_depthwise(node)


def _fold_feeder(model: ir.Model, node: ir.Node) -> bool:
    source = node.inputs[0]
    feeder = source.producer() if source is not None else None
    if source is None or feeder is None or feeder.op_type not in ("Mul", "Add") or query.sole_consumer(source) is not node:
        return False
    side = 1 if query.constant(feeder.inputs[1]) is not None else 0
    other, kept = feeder.inputs[side], feeder.inputs[1 - side]
    rank = query.rank_of(source)
    if rank is None or kept is None or other is None or query.rank_of(kept) != rank:
        return False
    if not query.channel_vector(other, rank, 1) or not query.is_float32(other):
        return False
    if feeder.op_type == "Add" and not _unpadded(node):
        return False
    vector = _as_weight(model, node, other)
    if feeder.op_type == "Mul":
        scaled = edit.derive(model, "Mul", [weight_of(node), vector], query.name_of(weight_of(node)))
        edit.set_inputs(node, [kept, scaled, *node.inputs[2:]])
    else:
        edit.set_inputs(node, [kept, node.inputs[1], _shifted_bias(model, node, vector)])
    edit.remove(feeder)
    return True


def _unpadded(node: ir.Node) -> bool:
    return node.op_type == "Gemm" or (query.string(node, "auto_pad", "NOTSET") in ("NOTSET", "VALID") and not any(query.ints(node, "pads")))


def _as_weight(model: ir.Model, node: ir.Node, value: ir.Value) -> ir.Value:
    """The per-channel constant shaped so that it multiplies the weight along its input channels."""
    array, weight = query.constant(value), query.constant(weight_of(node))
    assert array is not None and weight is not None
    if node.op_type == "Gemm":
        shape = [1, -1] if query.integer(node, "transB", 0) else [-1, 1]
    elif ops.is_depthwise(node):
        return _repeated(model, node, value)
    else:
        shape = [1, -1] + [1] * (weight.ndim - 2)
    return edit.derive(model, "Reshape", [value, edit.constant(model, f"{node.name}/shape", np.array(shape, np.int64))], query.name_of(value))


def _repeated(model: ir.Model, node: ir.Node, value: ir.Value) -> ir.Value:
    """For a depthwise weight ``(c * m, 1, ...)``: every channel's number m times."""
    array, weight = query.constant(value), query.constant(weight_of(node))
    assert array is not None and weight is not None
    groups = query.integer(node, "group", 1)
    rows = edit.constant(model, f"{node.name}/shape", np.array([-1 if array.size > 1 else 1, 1], np.int64))
    column = edit.derive(model, "Reshape", [value, rows], query.name_of(value))
    wide = edit.constant(model, f"{node.name}/shape", np.array([groups, weight.shape[0] // groups], np.int64))
    grid = edit.derive(model, "Expand", [column, wide], query.name_of(value))
    shape = edit.constant(model, f"{node.name}/shape", np.array([-1] + [1] * (weight.ndim - 1), np.int64))
    return edit.derive(model, "Reshape", [grid, shape], query.name_of(value))


def _shifted_bias(model: ir.Model, node: ir.Node, vector: ir.Value) -> ir.Value:
    weight = query.constant(weight_of(node))
    assert weight is not None
    axis = ops.weight_axis(node)
    product = edit.derive(model, "Mul", [weight_of(node), vector], f"{node.name}/shift")
    axes = edit.constant(model, f"{node.name}/axes", np.array([a for a in range(weight.ndim) if a != axis], np.int64))
    total = edit.derive(model, "ReduceSum", [product, axes], f"{node.name}/shift", keepdims=0)
    bias = query.input_at(node, 2)
    return total if bias is None else edit.derive(model, "Add", [bias, total], query.name_of(bias))
