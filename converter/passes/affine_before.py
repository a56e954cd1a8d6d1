"""Fold a per-channel scale or shift in front of a linear node into its weight and bias, where that is exact.

For ``L(x) = W x + b`` with input channel i:

    L(x * s)  =  (W s) x + b                  W'[o, i, ...] = W[o, i, ...] s[i]
    L(x + t)  =  W x + (b + W t)              b'[o] = b[o] + sum over i and the kernel of W[o, i, ...] t[i]

The shift is exact only without padding: a padded zero stands for x = 0 in front of the shift, and the shift would move
it too. The scale is exact with any padding. Folded for Gemm, and for convolutions of one group or depthwise ones.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from converter.graph import edit, ops, query
from converter.passes.affine import has_reciprocal, is_plain_gemm, weight_of
from converter.passes.base import GraphPass, Promise


class FoldAffineBefore(GraphPass):
    """Fold Mul, Div, Add and Sub with per-channel constants into the only linear node that reads them."""

    promise = Promise.ROUNDING

    def rewrite(self, model: ir.Model) -> int:
        """For every linear node, fold what feeds it for as long as something fits."""
        count = 0
        for node in model.graph:
            if query.is_standard(node, "Conv", "Gemm") and _foldable(node):
                while _fold_feeder(model, node):
                    count += 1
        if count:
            edit.drop_unused(model)
        return count


def _foldable(node: ir.Node) -> bool:
    weight, bias = node.inputs[1], query.input_at(node, 2)
    if weight is None or not query.is_constant(weight) or not query.is_float32(weight) or (bias is not None and not query.is_constant(bias)):
        return False
    return is_plain_gemm(node) if node.op_type == "Gemm" else query.integer(node, "group", 1) == 1 or ops.is_depthwise(node)


def _fold_feeder(model: ir.Model, node: ir.Node) -> bool:
    source = node.inputs[0]
    feeder = source.producer() if source is not None else None
    if source is None or feeder is None or not query.is_standard(feeder, "Mul", "Div", "Add", "Sub") or query.sole_consumer(source) is not node:
        return False
    side = 1 if query.is_constant(feeder.inputs[1]) else 0
    other, kept = feeder.inputs[side], feeder.inputs[1 - side]
    if other is None or kept is None or not _is_per_channel(node, other, kept, query.rank_of(source)):
        return False
    if feeder.op_type in ("Add", "Sub") and not _unpadded(node):
        return False
    if feeder.op_type == "Div" and (side == 0 or not has_reciprocal(other)):
        return False
    _fold(model, node, feeder.op_type, side, kept, _as_weight(model, node, other))
    edit.remove(feeder)
    return True


def _is_per_channel(node: ir.Node, other: ir.Value, kept: ir.Value, rank: int | None) -> bool:
    """Whether a constant has one number, or one for every input channel, and does not stretch what it is combined with."""
    sizes, shape, channels = query.sizes_of(other), query.shape_of(kept), _in_channels(node)
    if sizes is None or not query.is_float32(other) or rank is None or shape is None or len(shape) != rank:
        return False
    return query.channel_vector(other, rank, 1) and (math.prod(sizes) == 1 or math.prod(sizes) == channels == shape[1])


def _in_channels(node: ir.Node) -> int:
    sizes = query.sizes_of(weight_of(node))
    assert sizes is not None
    if node.op_type == "Gemm":
        return sizes[1 if query.integer(node, "transB", 0) else 0]
    return sizes[1] * query.integer(node, "group", 1)


def _unpadded(node: ir.Node) -> bool:
    return node.op_type == "Gemm" or (query.string(node, "auto_pad", "NOTSET") in ("NOTSET", "VALID") and not any(query.ints(node, "pads")))


def _fold(model: ir.Model, node: ir.Node, op_type: str, side: int, kept: ir.Value, vector: edit.Numbers) -> None:
    """``vector`` is shaped like the weight, or broadcasts to it."""
    weight, base = weight_of(node), query.name_of(weight_of(node))
    rest: list[ir.Value | None] = list(node.inputs[2:])
    if op_type == "Mul":
        weight = edit.derive(model, "Mul", [weight, vector], base)
    elif op_type == "Div":
        weight = edit.derive(model, "Div", [weight, vector], base)
    elif op_type == "Add" or side == 0:
        rest = [_shifted_bias(model, node, vector)]
        weight = weight if op_type == "Add" else edit.derive(model, "Neg", [weight], base)  # W (t - x) = -W x + W t
    else:
        rest = [_shifted_bias(model, node, edit.compute(model, "Neg", [vector], f"{query.label(node)}/shift"))]
    edit.set_inputs(node, [kept, weight, *rest])


def _as_weight(model: ir.Model, node: ir.Node, value: ir.Value) -> edit.Numbers:
    """The per-channel constant shaped so that it multiplies the weight along its input channels."""
    sizes, base = query.sizes_of(weight_of(node)), query.name_of(value)
    assert sizes is not None
    if node.op_type == "Gemm":
        return edit.compute(model, "Reshape", [value, np.array([1, -1] if query.integer(node, "transB", 0) else [-1, 1])], base)
    if not ops.is_depthwise(node):
        return edit.compute(model, "Reshape", [value, np.array([1, -1] + [1] * (len(sizes) - 2))], base)
    groups = query.integer(node, "group", 1)  # a weight (c * m, 1, ...): every channel's number m times
    grid = edit.compute(model, "Expand", [edit.compute(model, "Reshape", [value, np.array([-1, 1])], base),
                                          np.array([groups, sizes[0] // groups])], base)
    return edit.compute(model, "Reshape", [grid, np.array([-1] + [1] * (len(sizes) - 1))], base)


def _shifted_bias(model: ir.Model, node: ir.Node, vector: edit.Numbers) -> ir.Value:
    sizes, bias, base = query.sizes_of(weight_of(node)), query.input_at(node, 2), f"{query.label(node)}/shift"
    assert sizes is not None
    axes = np.array([axis for axis in range(len(sizes)) if axis != ops.weight_axis(node)])
    total = edit.compute(model, "ReduceSum", [edit.compute(model, "Mul", [weight_of(node), vector], base), axes], base, keepdims=0)
    return edit.settle(model, total) if bias is None else edit.derive(model, "Add", [bias, total], query.name_of(bias))
