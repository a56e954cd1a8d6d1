"""Facts about ONNX operators, one place for all. Each has a runtime oracle in the tests: do not trust a table."""

from __future__ import annotations

import onnx_ir as ir

from converter.graph import query

UNARY = frozenset({
    "Abs", "Ceil", "Celu", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log",
    "Mish", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Tanh",
    "ThresholdedRelu", "Cast", "Dropout", "IsNaN", "IsInf", "Not",
})
"""Operators of one tensor that work element by element; any further inputs are scalars."""

BINARY = frozenset({
    "Add", "Sub", "Mul", "Div", "Pow", "Max", "Min", "Mean", "Sum", "PRelu", "Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual",
    "And", "Or", "Xor", "Where", "Mod",
})
"""Operators that work element by element on tensors that are broadcast against each other."""

REDUCE = frozenset({"ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare"})

LEFT_ALONE = frozenset({"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli", "Dropout"})
"""Operators that give another result each time (Dropout: in training mode), so that they are never folded or merged."""


def weight_axis(node: ir.Node) -> int | None:
    """Axis of the output channel in the second input (the weight) of ``node``; None if the operator has no weight.

    Conv ``(out, in / group, ...)`` 0; ConvTranspose ``(in, out / group, ...)`` 1; Gemm ``(k, n)`` 1, or 0 with transB;
    MatMul ``(..., k, n)`` the last; a vector ``(k,)`` has no output channel.
    """
    if node.op_type == "Conv":
        return 0
    if node.op_type == "ConvTranspose":
        return 1
    if node.op_type == "Gemm":
        return 0 if query.integer(node, "transB", 0) else 1
    if node.op_type == "MatMul" and node.inputs[1] is not None:
        rank = query.rank_of(node.inputs[1])
        return rank - 1 if rank is not None and rank > 1 else None
    return None


def channel_axis(node: ir.Node, rank: int) -> int:
    """Axis of the output channel in the output of a node that has a weight: 1 for convolutions, else the last."""
    return 1 if node.op_type in ("Conv", "ConvTranspose") else rank - 1


def is_depthwise(node: ir.Node) -> bool:
    """Whether ``node`` is a convolution in which every group has one input channel."""
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    shape = query.shape_of(weight) if weight is not None else None
    return node.op_type == "Conv" and query.integer(node, "group", 1) > 1 and shape is not None and shape[1] == 1
