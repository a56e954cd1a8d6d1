"""Casts around operators for which ONNX, or ONNX Runtime on a CPU, has no kernel of a whole-number type.

Exact: the numbers of the narrow type are numbers of the wide one, sums and products wrap around alike, and the result is cast back.
A cast of floats to a narrow type goes by way of int32 too: what does not fit then wraps around, as in TensorFlow, and does not saturate.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from converter.frontend.operators.writer import Writer
from converter.graph import edit, query

T = ir.DataType
WIDE: Mapping[ir.DataType, ir.DataType] = {T.BOOL: T.INT32, T.INT8: T.INT32, T.UINT8: T.INT32, T.INT16: T.INT32, T.UINT16: T.INT32, T.UINT32: T.INT64}
FLOATS = frozenset({T.FLOAT, T.DOUBLE, T.FLOAT16})
WHOLE = frozenset({T.INT32, T.INT64})
BYTES = WHOLE | {T.INT8, T.UINT8}
UNSIGNED = BYTES | {T.UINT32, T.UINT64}
TAKEN: Mapping[str, frozenset[ir.DataType]] = {
    "ReduceSum": WHOLE, "ReduceProd": WHOLE, "CumSum": WHOLE, "Pow": WHOLE, "Einsum": WHOLE,
    "ReduceMax": BYTES, "ReduceMin": BYTES, "ArgMax": BYTES, "ArgMin": BYTES, "Relu": WHOLE | {T.INT8},
    "Max": UNSIGNED, "Min": UNSIGNED, "Clip": UNSIGNED, "Pad": UNSIGNED | {T.BOOL}, "Where": WHOLE | {T.UINT8},
}
"""The types, but for floats, that an operator is left with; any other of :data:`WIDE` is cast."""


def widen(model: ir.Model) -> None:
    """Put the casts in, in place, in subgraphs too; values of unknown type are left alone."""
    for node in list(model.graph.all_nodes()):
        if query.is_standard(node, "Cast"):
            _wrap_around(model, node)
        elif query.is_standard(node, *TAKEN):
            value = query.input_at(node, 1 if node.op_type == "Where" else 0)
            kind = value.dtype if value is not None else None
            if kind is not None and kind in WIDE and kind not in TAKEN[node.op_type]:
                _widen(model, node, kind)


def _wrap_around(model: ir.Model, node: ir.Node) -> None:
    source, target = node.inputs[0], ir.DataType(query.integer(node, "to", 0))
    if source is not None and source.dtype in FLOATS and target in WIDE and target != T.BOOL:
        build = Writer(model, node)
        edit.set_inputs(node, [build.cast(source, WIDE[target])])


def _widen(model: ir.Model, node: ir.Node, kind: ir.DataType) -> None:
    build = Writer(model, node)
    wide, condition = WIDE[kind], node.inputs[0] if node.op_type == "Where" else None
    inputs = [x if x is None or x is condition or x.dtype != kind else build.cast(x, wide) for x in node.inputs]
    made = build(node.op_type, *inputs, dtype=T.INT64 if node.op_type.startswith("Arg") else wide, **query.attributes(node))
    edit.replace_node(node, [made if node.op_type.startswith("Arg") else build.cast(made, kind)])
