"""Operators that move numbers or compute shapes.

    XlaDynamicUpdateSlice(x, u, at)   u padded to the size of x at ``at``, which is first brought into range      slice_update
    BroadcastArgs(a, b)               the longer of two shapes, axis by axis
    Cross(a, b)                       a[1 2 0] b[2 0 1] - a[2 0 1] b[1 2 0]
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.frontend.operators import OPERATORS, NotInONNXError, Operation
from converter.frontend.operators.writer import BOOL, INT32, INT64, NARROW, Writer


def _update_slice(build: Writer, op: Operation) -> list[ir.Value]:
    x, update, at = op.inputs
    room = build("Sub", build.shape(x), build.shape(update))
    start = build("Min", build("Max", build.cast(at, INT64), build.ints(0)), room)
    pads = build("Concat", start, build("Sub", room, start), axis=0)
    inside = build.cast(build("Pad", build("Expand", build.like(pads, 1), build.shape(update)), pads), BOOL)
    kind = op.types[1]
    padded = build("Pad", build.cast(update, INT32) if kind in NARROW else update, pads)
    return [build.where(inside, build.cast(padded, kind), x)]


def _broadcast_args(build: Writer, op: Operation) -> list[ir.Value]:
    a, b = (build.cast(shape, INT64) for shape in op.inputs)
    lengths = [None if shape is None else shape[0] for shape in op.shapes]
    if lengths[0] is None or lengths[1] is None:
        raise NotInONNXError("shapes of an unknown number of axes are broadcast; give the tensors a known rank")
    longest = max(lengths[0], lengths[1])
    a, b = (_with_ones(build, shape, longest - (n or 0)) for shape, n in zip((a, b), lengths, strict=True))
    return [build.where(build.compare("Equal", a, 1), b, a)]


def _with_ones(build: Writer, shape: ir.Value, count: int) -> ir.Value:
    return build("Concat", build.constant(np.ones(count, np.int64)), shape, axis=0) if count else shape


def _cross(build: Writer, op: Operation) -> list[ir.Value]:
    axis = op.rank() - 1

    def turned(x: ir.Value, *order: int) -> ir.Value:
        return build("Gather", x, build.ints(*order), axis=axis)

    a, b = op.inputs
    return [build("Sub", build("Mul", turned(a, 1, 2, 0), turned(b, 2, 0, 1)), build("Mul", turned(a, 2, 0, 1), turned(b, 1, 2, 0)))]


def _rank(build: Writer, op: Operation) -> list[ir.Value]:
    return [build.constant(np.array(op.rank(), np.int32))]


def _shapes(build: Writer, op: Operation) -> list[ir.Value]:
    return [build.shape(x) for x in op.inputs]


def _unravel(build: Writer, op: Operation) -> list[ir.Value]:
    """One row of places for every axis; the last axis counts fastest."""
    lengths = [int(n) for n in op.known(1)]
    rest, rows = build.cast(op.inputs[0], INT64), []
    for length in reversed(lengths):
        rows.append(build("Unsqueeze", build("Mod", rest, build.like(rest, length)), build.ints(0)))
        rest = build("Div", rest, build.like(rest, length))
    return [build("Concat", *reversed(rows), axis=0)]


OPERATORS.add("Rank", _rank)
OPERATORS.add("ShapeN", _shapes)
OPERATORS.add("UnravelIndex", _unravel)
OPERATORS.add("XlaDynamicUpdateSlice", _update_slice)
OPERATORS.add("BroadcastArgs", _broadcast_args)
OPERATORS.add("Cross", _cross)
