"""What a parameter is to the operator that reads it, so that the same parameter is found whatever operators an exporter chose.

Gemm and MatMul are one family; a vector that is added behind a layer is that layer's bias; constants of elementwise operators are
compared without their axes of length 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from converter.graph import ops, query
from converter.transfer.layouts import Halves, Reshaped, Scaled, Step, Turned

Meaning = tuple[ir.Node, str, str, tuple[Step, ...]]
DENSE = frozenset({"Gemm", "MatMul"})
RECURRENT = ("input", "kernel", "recurrent kernel", "bias", "lengths", "initial state", "initial cell", "peephole")
ROLES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("Conv", "ConvTranspose", "Gemm"), ("input", "kernel", "bias")),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), RECURRENT),
    "MatMul": ("left kernel", "kernel"),
    "Gather": ("table", "ids"),
    "BatchNormalization": ("input", "scale", "shift", "mean", "variance"),
    **dict.fromkeys(("LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization"), ("input", "scale", "shift")),
}


def meaning(node: ir.Node, index: int, shape: tuple[int, ...]) -> Meaning:
    """What input ``index`` of ``node`` is: the operator it belongs to, that one's family, the role, and the steps to the canonical form.

    Args:
        node: the first reader of a parameter.
        index: of its input.
        shape: of that input.
    """
    if node.op_type not in ROLES:
        owner = _biased(node, index, shape)
        if owner is not None:
            return owner, family(owner), "bias", _flat(shape)
        return node, family(node), "operand" if node.op_type in ops.BINARY else f"input {index}", _flat(shape)
    roles = ROLES[node.op_type]
    return node, family(node), roles[index] if index < len(roles) else f"input {index}", _steps(node, index, shape)


def family(node: ir.Node) -> str:
    """The kind of operator, whatever an exporter chose to say it with."""
    return "Dense" if node.op_type in DENSE else "Embedding" if node.op_type == "Gather" else node.op_type


def _steps(node: ir.Node, index: int, shape: tuple[int, ...]) -> tuple[Step, ...]:
    if node.op_type == "Gemm":
        turned = (Turned((1, 0)),) if index < 2 and query.integer(node, ("transA", "transB")[index], 0) else ()
        factor = query.number(node, ("alpha", "alpha", "beta")[index], 1.0)
        return (*turned, *(_flat(shape) if index == 2 else ()), *((Scaled(factor),) if factor != 1.0 else ()))
    if node.op_type in ("LSTM", "GRU", "RNN") and index == 3:
        apart = int(node.op_type == "GRU" and bool(query.integer(node, "linear_before_reset", 0)))
        return (Halves(query.integer(node, "hidden_size", 0), apart),)
    return ()


def _flat(shape: tuple[int, ...]) -> tuple[Step, ...]:
    """Without axes of length 1."""
    plain = tuple(n for n in shape if n != 1) or (1,)
    return () if plain == shape else (Reshaped(shape, plain),)


def _biased(node: ir.Node, index: int, shape: tuple[int, ...]) -> ir.Node | None:
    """The layer whose bias is added by ``node``: one without a bias of its own, whose channels the vector runs along."""
    if node.op_type != "Add" or not shape:
        return None
    layer = _behind_pairs(query.input_at(node, 1 - index))
    if layer is None or layer.op_type not in ("Conv", "ConvTranspose", *DENSE) or query.input_at(layer, 2) is not None:
        return None
    rank = query.rank_of(layer.outputs[0]) or query.rank_of(node.outputs[0])
    if rank is None:
        return None
    axis = ops.channel_axis(layer, rank)
    lengths = (1,) * (rank - len(shape)) + shape
    return layer if len(lengths) == rank and all(n == 1 or i == axis for i, n in enumerate(lengths)) and lengths[axis] > 1 else None


def _behind_pairs(value: ir.Value | None) -> ir.Node | None:
    """The operator that makes ``value``, seen through QuantizeLinear and DequantizeLinear."""
    node = value.producer() if value is not None else None
    while node is not None and query.is_standard(node, "QuantizeLinear", "DequantizeLinear"):
        source = node.inputs[0]
        node = source.producer() if source is not None else None
    return node
