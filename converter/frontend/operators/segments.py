"""Sums, products and extremes of the rows of every segment: ``UnsortedSegmentSum`` and the like, as a reducing ScatterND.

A row whose segment is below zero does not count: it goes to a place behind the last segment, which is cut off. A segment without rows
has what the reduction starts from. ScatterND adds and multiplies from opset 16, takes extremes from 18; before, all pairs are compared.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.frontend.operators import OPERATORS, Expansion, NotInONNXError, Operation
from converter.frontend.operators.writer import BOOL, FLOAT, INT64, REDUCED, Writer


def _segments(reduction: str, since: int) -> Expansion:
    def expand(build: Writer, op: Operation) -> list[ir.Value]:
        data, ids, count = op.inputs
        kind, inner, outer = op.types[0], op.rank(1), op.rank(0)
        wide = kind if kind in REDUCED else FLOAT if kind.is_floating_point() else INT64
        start = _identity(reduction, kind, wide)
        rest = build("Slice", build.shape(data), build.ints(inner), build.ints(outer)) if outer > inner else None
        number = build("Reshape", build.cast(count, INT64), build.ints(1))
        rows = build("Reshape", build.cast(data, wide), _joined(build, build.ints(-1), rest))
        places = build("Reshape", build.cast(ids, INT64), build.ints(-1))
        if build.opset < since:
            return [_compared(build, reduction, start, rows, places, number, outer - inner)]
        places = build.where(build.compare("Less", places, 0), number, places)
        base = build("Expand", build.constant(start), _joined(build, build("Add", number, build.ints(1)), rest))
        scattered = build("ScatterND", base, build("Unsqueeze", places, build.ints(1)), rows, reduction=reduction)
        return [build("Slice", scattered, build.ints(0), number, build.ints(0))]

    return expand


def _joined(build: Writer, first: ir.Value, rest: ir.Value | None) -> ir.Value:
    return first if rest is None else build("Concat", first, rest, axis=0)


def _identity(reduction: str, kind: ir.DataType, wide: ir.DataType) -> np.ndarray:
    if reduction in ("add", "mul"):
        return np.asarray(int(reduction == "mul"), wide.numpy())
    if kind in (BOOL, ir.DataType.BFLOAT16):
        raise NotInONNXError(f"the extremes of {kind.name} segments; cast to float32 first")
    limits = np.finfo(kind.numpy()) if kind.is_floating_point() else np.iinfo(kind.numpy())
    return np.asarray(limits.min if reduction == "max" else limits.max, wide.numpy())


def _compared(
    build: Writer, reduction: str, start: np.ndarray, rows: ir.Value, places: ir.Value, number: ir.Value, trailing: int
) -> ir.Value:
    """The reduction of all rows for every segment, those of other segments replaced by what it starts from."""
    numbers = build("Range", build.constant(np.array(0, np.int64)), build("Squeeze", number, build.ints(0)), build.constant(np.array(1, np.int64)))
    own = build.compare("Equal", build("Unsqueeze", places, build.ints(0)), build("Unsqueeze", numbers, build.ints(1)))
    own = build("Unsqueeze", own, build.ints(*range(2, 2 + trailing))) if trailing else own
    chosen = build.where(own, build("Unsqueeze", rows, build.ints(0)), build.constant(start))
    return build.reduce({"add": "ReduceSum", "mul": "ReduceProd", "max": "ReduceMax", "min": "ReduceMin"}[reduction], chosen, [1])


OPERATORS.add("UnsortedSegmentSum", _segments("add", 16))
OPERATORS.add("UnsortedSegmentProd", _segments("mul", 16))
OPERATORS.add("UnsortedSegmentMax", _segments("max", 18))
OPERATORS.add("UnsortedSegmentMin", _segments("min", 18))
