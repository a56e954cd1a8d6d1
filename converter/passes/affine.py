"""Fold a per-channel scale or shift behind a linear node into its weight and bias: BatchNorm, bias, Rescaling.

Keras computes BatchNorm in inference as ``y = x * s + (beta - mean * s)`` with ``s = gamma / sqrt(var + epsilon)``; it
arrives as Mul and Add with vectors that are constant. For a linear node ``L(x) = W x + b`` with output channel o:

    L(x) * s  =  (s W) x + s b          W'[o, ...] = s[o] W[o, ...],   b'[o] = s[o] b[o]
    L(x) + t  =  W x + (b + t)          b'[o] = b[o] + t[o]

It holds for convolution (also depthwise, grouped, transposed) whatever its padding, and for Gemm and MatMul. The steps
go into the ledger as the operators they are, so that a fold can be replayed on new gamma, beta, mean and variance.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from converter.graph import edit, ops, query
from converter.passes.base import GraphPass, Promise

Constant = ir.Value | edit.Numbers
LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")


class FoldAffineAfter(GraphPass):
    """Fold Mul, Div, Add and Sub with per-channel constants into the linear node in front of them."""

    promise = Promise.ROUNDING

    def rewrite(self, model: ir.Model) -> int:
        """For every linear node, fold reader after reader for as long as there is one that fits."""
        count = 0
        for node in model.graph:
            if query.is_standard(node, *LINEAR) and _foldable(node):
                while _fold_reader(model, node):
                    count += 1
        if count:
            edit.drop_unused(model)
        return count


def _foldable(node: ir.Node) -> bool:
    weight, bias = node.inputs[1], query.input_at(node, 2)
    if weight is None or not query.is_constant(weight) or not query.is_float32(weight) or (bias is not None and not query.is_constant(bias)):
        return False
    return ops.weight_axis(node) is not None and (node.op_type != "Gemm" or is_plain_gemm(node))


def is_plain_gemm(node: ir.Node) -> bool:
    """Whether a Gemm is ``x W + b`` and no more."""
    return query.number(node, "alpha", 1.0) == query.number(node, "beta", 1.0) == 1.0 and not query.integer(node, "transA", 0)


def _fold_reader(model: ir.Model, node: ir.Node) -> bool:
    out = node.outputs[0]
    reader = query.sole_consumer(out)
    if reader is None or not query.is_standard(reader, "Mul", "Div", "Add", "Sub"):
        return False
    side = 1 if reader.inputs[0] is out else 0
    other = reader.inputs[side]
    if other is None or not _is_per_channel(node, other) or (reader.op_type in ("Add", "Sub") and node.op_type == "MatMul"):
        return False
    if reader.op_type == "Div" and (side == 0 or not has_reciprocal(other)):
        return False
    _fold(model, node, reader.op_type, side, other)
    edit.bypass(reader, out)
    return True


def _is_per_channel(node: ir.Node, other: ir.Value) -> bool:
    """Whether a constant has one number, or one for every output channel and is laid along that axis."""
    out, sizes = node.outputs[0], query.sizes_of(other)
    rank = query.rank_of(out) or _rank(node)
    if rank is None or sizes is None or not query.is_float32(other) or math.prod(sizes) not in (1, _channels(node)):
        return False
    return query.channel_vector(other, rank, ops.channel_axis(node, rank))


def _rank(node: ir.Node) -> int | None:
    if node.op_type in ("Conv", "ConvTranspose"):
        return query.rank_of(weight_of(node))
    return 2 if node.op_type == "Gemm" else None


def has_reciprocal(value: ir.Value) -> bool:
    """Whether 1 / c is finite for every number of a constant."""
    array = query.constant(value)
    with np.errstate(all="ignore"):
        return array is not None and bool(np.isfinite(np.float32(1) / array).all())


def weight_of(node: ir.Node) -> ir.Value:
    """The weight of a linear node."""
    value = node.inputs[1]
    assert value is not None
    return value


def _fold(model: ir.Model, node: ir.Node, op_type: str, side: int, value: ir.Value) -> None:
    base = query.label(node)
    if op_type == "Mul":
        _scale(model, node, value)
    elif op_type == "Div":
        _scale(model, node, edit.compute(model, "Reciprocal", [value], f"{base}/scale"))
    elif op_type == "Add":
        _shift(model, node, value)
    elif side == 1:
        _shift(model, node, edit.compute(model, "Neg", [value], f"{base}/shift"))
    else:  # t - L(x) = -L(x) + t
        _scale(model, node, edit.compute(model, "Neg", [np.ones(1, np.float32)], f"{base}/minus"))
        _shift(model, node, value)


def _channels(node: ir.Node) -> int:
    sizes, axis = query.sizes_of(weight_of(node)), ops.weight_axis(node)
    assert sizes is not None and axis is not None
    return sizes[axis] * _groups(node)


def _groups(node: ir.Node) -> int:
    """Into how many parts the axis of the output channel is cut: a transposed convolution has ``(in, out / group, ...)``."""
    return query.integer(node, "group", 1) if node.op_type == "ConvTranspose" else 1


def _size(constant: Constant) -> int:
    return constant.array.size if isinstance(constant, edit.Numbers) else math.prod(query.sizes_of(constant) or ())


def _scale(model: ir.Model, node: ir.Node, constant: Constant) -> None:
    """``constant`` has one number, or one for every output channel; one number broadcasts as it is."""
    weight, bias = weight_of(node), query.input_at(node, 2)
    axis, groups, base, sizes = ops.weight_axis(node), _groups(node), query.name_of(weight), query.sizes_of(weight)
    assert sizes is not None and axis is not None
    name = f"{query.label(node)}/scale"
    if groups > 1 and _size(constant) > 1:  # the rows of one group share their output channels
        factor = edit.compute(model, "Reshape", [constant, np.array([groups, 1, -1] + [1] * (len(sizes) - 2))], name)
        blocks = edit.compute(model, "Reshape", [weight, np.array([groups, sizes[0] // groups, *sizes[1:]])], base)
        scaled = edit.derive(model, "Reshape", [edit.compute(model, "Mul", [blocks, factor], base), np.array(sizes)], base)
    else:
        factor = edit.compute(model, "Reshape", [constant, np.array([-1 if i == axis else 1 for i in range(len(sizes))])], name)
        scaled = edit.derive(model, "Mul", [weight, factor], base)
    inputs = [node.inputs[0], scaled]
    if bias is not None:
        flat = edit.compute(model, "Reshape", [constant, np.array([-1])], name)
        inputs.append(edit.derive(model, "Mul", [bias, flat], query.name_of(bias)))
    edit.set_inputs(node, inputs)


def _shift(model: ir.Model, node: ir.Node, constant: Constant) -> None:
    bias, name = query.input_at(node, 2), query.name_of(constant) if isinstance(constant, ir.Value) else constant.name
    flat = edit.compute(model, "Reshape", [constant, np.array([-1])], name)
    if bias is not None:
        total = edit.derive(model, "Add", [bias, flat], query.name_of(bias))
    elif _size(constant) == _channels(node):
        total = edit.settle(model, flat)
    else:
        total = edit.derive(model, "Expand", [flat, np.array([_channels(node)])], name)
    edit.set_inputs(node, [node.inputs[0], node.inputs[1], total])
