"""Numbers at places that are computed.

    ScatterNd(i, u, s)       ScatterND that adds, onto zeros: where a place comes twice TensorFlow adds, and tf2onnx keeps the last only
    OneHot(i, n, on, off)    OneHot, for which ids below zero are first put out of range: ONNX counts them from the end, TensorFlow gives off
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.frontend.operators import OPERATORS, NotInONNXError, Operation
from converter.frontend.operators.writer import BOOL, FLOAT, INT64, Writer
from converter.graph import query

ADDED = frozenset({FLOAT, ir.DataType.DOUBLE, ir.DataType.INT32, INT64})


def _scatter(build: Writer, op: Operation) -> list[ir.Value]:
    indices, updates, shape = op.inputs
    known = query.constant(indices)
    unique = known is not None and len(np.unique(known.reshape(-1, known.shape[-1]), axis=0)) == known.size // max(known.shape[-1], 1)
    wide = op.types[1] if op.types[1] in ADDED else INT64 if op.types[1].is_integer() or op.types[1] == BOOL else FLOAT
    zeros = build("Expand", build.constant(np.zeros((), wide.numpy())), build.cast(shape, INT64))
    given = [zeros, build.cast(indices, INT64), build.cast(updates, wide)]
    if unique:
        return [build("ScatterND", *given)]
    if build.opset < 16:
        raise NotInONNXError("places that may come twice need opset 16 or newer")
    return [build("ScatterND", *given, reduction="add")]


def _one_hot(build: Writer, op: Operation) -> list[ir.Value]:
    indices, depth = op.inputs[:2]
    ids, depth = build.cast(indices, INT64), build.cast(depth, INT64)
    if not _is_place(indices):
        ids = build.where(build.compare("Less", ids, 0), depth, ids)
    if op.rank() == 0:  # ONNX OneHot takes no single number
        return [build("Squeeze", _hot(build, op, build("Reshape", ids, build.ints(1)), depth, -1), build.ints(0))]
    return [_hot(build, op, ids, depth, int(op.attributes.get("axis", -1)))]


def _hot(build: Writer, op: Operation, ids: ir.Value, depth: ir.Value, axis: int) -> ir.Value:
    kind, (on, off) = op.out_types[0], op.inputs[2:]
    if kind in (FLOAT, INT64):
        return build("OneHot", ids, depth, _pair(build, off, on), dtype=kind, axis=axis)
    hot = build("OneHot", ids, depth, build.constant(np.array([0, 1], np.int64)), dtype=INT64, axis=axis)
    return build.where(build.cast(hot, BOOL), on, off)


def _is_place(indices: ir.Value) -> bool:
    """Whether the ids come from ArgMax or ArgMin, so that none is below zero."""
    node = indices.producer()
    while node is not None and node.op_type == "Cast" and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    return node is not None and node.op_type in ("ArgMax", "ArgMin")


def _pair(build: Writer, off: ir.Value, on: ir.Value) -> ir.Value:
    known = query.constant(off), query.constant(on)
    if known[0] is not None and known[1] is not None:
        return build.constant(np.stack([known[0].reshape(()), known[1].reshape(())]))
    return build("Concat", *(build("Reshape", x, build.ints(1)) for x in (off, on)), axis=0)


OPERATORS.add("ScatterNd", _scatter)
OPERATORS.add("OneHot", _one_hot)
