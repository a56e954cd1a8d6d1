"""Products and normalizations over the last axis, moved in front of the transpose that brought the channels there.

For ``T`` that moves axis 1 to the end, k channels, ``R`` the mean over axis 1 with the axis kept:

    T(x) W               = T(Conv_1x1(x, W^T))
    LayerNorm(T(x))      = T(d / Sqrt(R(d d) + epsilon) gamma + beta),  d = x - R(x)

Exact but for rounding: the sums are the same numbers in another order.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.graph import edit, query
from converter.passes.layout_rules import Moved, Perm, source_of


def product(model: ir.Model, node: ir.Node, perm: Perm) -> Moved | None:
    """MatMul with a constant matrix becomes a convolution of one position."""
    source, weight, sizes = source_of(node.inputs[0], perm), node.inputs[1], query.sizes_of(node.inputs[1])
    if source is None or weight is None or sizes is None or len(sizes) != 2 or perm != to_last(len(perm)) or not query.is_float32(weight):
        return None
    base = query.name_of(weight)
    turned = edit.compute(model, "Transpose", [weight], base, perm=(1, 0))
    kernel = edit.derive(model, "Reshape", [turned, np.array([*sizes[::-1], *[1] * (len(perm) - 2)])], base)
    edit.change_operator(node, "Conv", [source, kernel])
    return [source, kernel], {}, perm


def normalization(model: ir.Model, node: ir.Node, perm: Perm) -> Moved | None:
    """LayerNormalization over the last axis becomes the operators that it stands for, over axis 1."""
    source, scale, shift = source_of(node.inputs[0], perm), node.inputs[1], query.input_at(node, 2)
    over_last = query.integer(node, "axis", -1) % len(perm) == len(perm) - 1
    if source is None or scale is None or not over_last or perm != to_last(len(perm)) or any(out.uses() for out in node.outputs[1:]):
        return None
    if not all(value is None or (query.is_constant(value) and query.is_float32(value)) for value in (scale, shift)):
        return None
    normal = _normal(model, node, source, query.number(node, "epsilon", 1e-5))
    gamma = _along_channels(model, scale, len(perm))
    if shift is None:
        inputs: list[ir.Value | None] = [normal, gamma]
        edit.change_operator(node, "Mul", inputs)
    else:
        scaled = edit.insert_before(model, node, "Mul", [normal, gamma], f"{query.label(node)}/Mul")
        scaled.shape = source.shape
        inputs = [scaled, _along_channels(model, shift, len(perm))]
        edit.change_operator(node, "Add", inputs)
    return inputs, {}, perm


def to_last(rank: int) -> Perm:
    """The perm that moves axis 1 to the end."""
    return (0, *range(2, rank), 1)


def _normal(model: ir.Model, node: ir.Node, source: ir.Value, epsilon: float) -> ir.Value:
    """``(x - mean) / sqrt(variance + epsilon)`` over axis 1."""
    thin = None if source.shape is None else ir.Shape([source.shape[0], 1, *list(source.shape)[2:]])

    def made(op_type: str, *inputs: ir.Value, shape: ir.Shape | None) -> ir.Value:
        value = edit.insert_before(model, node, op_type, inputs, f"{query.label(node)}/{op_type}")
        value.shape = shape
        return value

    deviation = made("Sub", source, _mean(model, node, source, thin), shape=source.shape)
    square = made("Mul", deviation, deviation, shape=source.shape)
    small = edit.constant(model, f"{query.label(node)}/epsilon", np.array(epsilon, np.float32))
    variance = made("Add", _mean(model, node, square, thin), small, shape=thin)
    return made("Div", deviation, made("Sqrt", variance, shape=thin), shape=source.shape)


def _mean(model: ir.Model, node: ir.Node, value: ir.Value, shape: ir.Shape | None) -> ir.Value:
    base = f"{query.label(node)}/ReduceMean"
    if query.opset(model) < 18:
        mean = edit.insert_before(model, node, "ReduceMean", [value], base, {"axes": [1]})
    else:
        axes = edit.constant(model, f"{query.label(node)}/axes", np.array([1], np.int64))
        mean = edit.insert_before(model, node, "ReduceMean", [value, axes], base)
    mean.shape = shape
    return mean


def _along_channels(model: ir.Model, value: ir.Value, rank: int) -> ir.Value:
    return edit.derive(model, "Reshape", [value, np.array([-1, *[1] * (rank - 2)])], query.name_of(value))
