"""Fold a per-channel scale or shift behind a linear node into its weight and bias: BatchNorm, bias, Rescaling.

Keras computes BatchNorm in inference as ``y = x * s + (beta - mean * s)`` with ``s = gamma / sqrt(var + epsilon)``; it
arrives as Mul and Add with vectors that are constant. For a linear node ``L(x) = W x + b`` with output channel o:

    L(x) * s  =  (s W) x + s b          W'[o, ...] = s[o] W[o, ...],   b'[o] = s[o] b[o]
    L(x) + t  =  W x + (b + t)          b'[o] = b[o] + t[o]

It holds for convolution (also depthwise, grouped, transposed) whatever its padding, and for Gemm and MatMul. The steps
go into the ledger as the operators they are, so that a fold can be replayed on new gamma, beta, mean and variance.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.graph import edit, ops, query
from converter.passes.base import GraphPass, Promise

LINEAR = ("Conv", "ConvTranspose", "Gemm", "MatMul")


class FoldAffineAfter(GraphPass):
    """Fold Mul, Div, Add and Sub with per-channel constants into the linear node in front of them."""

    promise = Promise.ROUNDING

    def rewrite(self, model: ir.Model) -> int:
        """For every linear node, fold reader after reader for as long as there is one that fits."""
        count = 0
        for node in model.graph:
            if node.op_type in LINEAR and _foldable(node):
                while _fold_reader(model, node):
                    count += 1
        edit.drop_unused(model)
        return count


def _foldable(node: ir.Node) -> bool:
    constant = query.constant(node.inputs[1])
    if constant is None or constant.dtype != np.float32:
        return False
    bias = query.input_at(node, 2)
    plain = node.op_type != "Gemm" or (query.number(node, "alpha", 1.0) == 1.0 and query.number(node, "beta", 1.0) == 1.0
                                       and not query.integer(node, "transA", 0))
    return plain and (bias is None or query.constant(bias) is not None)


def _fold_reader(model: ir.Model, node: ir.Node) -> bool:
    out = node.outputs[0]
    reader, rank = query.sole_consumer(out), query.rank_of(out) or _rank(node)
    if reader is None or rank is None or reader.op_type not in ("Mul", "Div", "Add", "Sub") or len(reader.inputs) != 2:
        return False
    side = 1 if reader.inputs[0] is out else 0
    other = reader.inputs[side]
    if other is None or not query.channel_vector(other, rank, ops.channel_axis(node, rank)) or not query.is_float32(other):
        return False
    if reader.op_type == "Div" and side == 0:
        return False
    if reader.op_type in ("Add", "Sub") and node.op_type == "MatMul":
        return False
    vector = _vector(model, node, other)
    if reader.op_type in ("Mul", "Div"):
        _scale(model, node, edit.derive(model, "Reciprocal", [vector], f"{node.name}/scale") if reader.op_type == "Div" else vector)
    elif reader.op_type == "Sub" and side == 0:  # t - L(x) = -L(x) + t
        _scale(model, node, edit.constant(model, f"{node.name}/minus", np.full(_channels(node), -1, np.float32)))
        _shift(model, node, vector)
    else:
        _shift(model, node, edit.derive(model, "Neg", [vector], f"{node.name}/shift") if reader.op_type == "Sub" else vector)
    edit.bypass(reader, out)
    return True


def _rank(node: ir.Node) -> int | None:
    if node.op_type in ("Conv", "ConvTranspose"):
        return query.rank_of(weight_of(node))
    return 2 if node.op_type == "Gemm" else None


def weight_of(node: ir.Node) -> ir.Value:
    """The weight of a linear node."""
    value = node.inputs[1]
    assert value is not None
    return value


def _channels(node: ir.Node) -> int:
    array, axis = query.constant(weight_of(node)), ops.weight_axis(node)
    assert array is not None and axis is not None
    groups = query.integer(node, "group", 1) if node.op_type == "ConvTranspose" else 1
    return int(array.shape[axis]) * groups


def _vector(model: ir.Model, node: ir.Node, value: ir.Value) -> ir.Value:
    """``value`` as a vector of one number for every output channel of ``node``."""
    channels, array = _channels(node), query.constant(value)
    assert array is not None
    shape = edit.constant(model, f"{node.name}/channels", np.array([-1 if array.size > 1 else 1], np.int64))
    flat = edit.derive(model, "Reshape", [value, shape], query.name_of(value))
    if array.size == channels:
        return flat
    count = edit.constant(model, f"{node.name}/channels", np.array([channels], np.int64))
    return edit.derive(model, "Expand", [flat, count], query.name_of(value))


def _scale(model: ir.Model, node: ir.Node, vector: ir.Value) -> None:
    weight = weight_of(node)
    array, axis = query.constant(weight), ops.weight_axis(node)
    assert array is not None and axis is not None
    groups = query.integer(node, "group", 1) if node.op_type == "ConvTranspose" else 1
    if groups > 1:  # (in, out / group, ...): the rows of one group share their output channels
        scaled = _scale_grouped_transposed(model, node, weight, vector, groups)
    else:
        shape = [1] * array.ndim
        shape[axis] = -1
        factor = edit.derive(model, "Reshape", [vector, edit.constant(model, f"{node.name}/shape", np.array(shape, np.int64))], f"{node.name}/scale")
        scaled = edit.derive(model, "Mul", [weight, factor], query.name_of(weight))
    inputs = [node.inputs[0], scaled]
    bias = query.input_at(node, 2)
    if bias is not None:
        inputs.append(edit.derive(model, "Mul", [bias, vector], query.name_of(bias)))
    edit.set_inputs(node, inputs)


def _scale_grouped_transposed(model: ir.Model, node: ir.Node, weight: ir.Value, vector: ir.Value, groups: int) -> ir.Value:
    array = query.constant(weight)
    assert array is not None
    split = [groups, array.shape[0] // groups, *array.shape[1:]]
    shape = edit.constant(model, f"{node.name}/shape", np.array(split, np.int64))
    blocks = edit.derive(model, "Reshape", [weight, shape], query.name_of(weight))
    factor_shape = edit.constant(model, f"{node.name}/shape", np.array([groups, 1, array.shape[1]] + [1] * (array.ndim - 2), np.int64))
    factor = edit.derive(model, "Reshape", [vector, factor_shape], f"{node.name}/scale")
    scaled = edit.derive(model, "Mul", [blocks, factor], query.name_of(weight))
    whole = edit.constant(model, f"{node.name}/shape", np.array(array.shape, np.int64))
    return edit.derive(model, "Reshape", [scaled, whole], query.name_of(weight))


def _shift(model: ir.Model, node: ir.Node, vector: ir.Value) -> None:
    bias = query.input_at(node, 2)
    total = vector if bias is None else edit.derive(model, "Add", [bias, vector], query.name_of(bias))
    edit.set_inputs(node, [node.inputs[0], node.inputs[1], total])
