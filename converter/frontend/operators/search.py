"""Places in sorted numbers, and counts of whole numbers, as comparisons and sums.

    LowerBound(sorted, x)    how many of ``sorted`` are below x             searchsorted
    UpperBound(sorted, x)    how many are not above x
    Bucketize(x)             the same, with constant boundaries             digitize, Discretization
    DenseBincount(x, n)      how many of x are i, for i < n                 bincount
    InTopKV2(p, t, k)        whether fewer than k of p are above p[t]
    HistogramFixedWidth      how many of x are in each of n ranges of one width
    NthElement(x, n)         the last of the n + 1 least

Memory is that of all pairs; ONNX has no binary search.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.frontend.operators import OPERATORS, Expansion, Operation
from converter.frontend.operators.writer import BOOL, FLOAT, INT32, INT64, NARROW, Writer


def _comparable(build: Writer, x: ir.Value) -> ir.Value:
    assert x.dtype is not None
    if x.dtype in NARROW or x.dtype == ir.DataType.UINT8:
        return build.cast(x, INT32)
    return x if x.dtype in (FLOAT, ir.DataType.DOUBLE, INT32, INT64) else build.cast(x, FLOAT)


def _count(build: Writer, condition: ir.Value, axis: int) -> ir.Value:
    return build.reduce("ReduceSum", build.cast(condition, INT64), [axis])


def _bound(comparison: str) -> Expansion:
    def expand(build: Writer, op: Operation) -> list[ir.Value]:
        ordered, x = (_comparable(build, value) for value in op.inputs)
        rank = op.rank(1)
        pairs = build.compare(comparison, build("Unsqueeze", ordered, build.ints(rank - 1)), build("Unsqueeze", x, build.ints(rank)))
        return [_count(build, pairs, rank)]

    return expand


def _bucketize(build: Writer, op: Operation) -> list[ir.Value]:
    """Not ``x >= b``: TensorFlow (bucketize_op.cc, std::upper_bound) puts what is not a number behind the last boundary."""
    double = op.types[0] == ir.DataType.DOUBLE
    x, rank = op.inputs[0] if double else build.cast(op.inputs[0], FLOAT), op.rank()
    boundaries = build.constant(np.array(op.attributes.get("boundaries", ()), np.float64 if double else np.float32))
    return [_count(build, build("Not", build("Less", build("Unsqueeze", x, build.ints(rank)), boundaries, dtype=BOOL)), rank)]


def _bincount(build: Writer, op: Operation) -> list[ir.Value]:
    x, size, weights = op.inputs
    rank, weighted = op.rank(), op.shapes[2] != (0,)
    numbers = build("Range", build.constant(np.array(0, np.int64)), build.cast(size, INT64), build.constant(np.array(1, np.int64)), dtype=INT64)
    equal = build.compare("Equal", build("Unsqueeze", build.cast(x, INT64), build.ints(rank)), numbers)
    axis = rank - 1
    if op.attributes.get("binary_output"):
        return [build.reduce("ReduceMax", build.cast(equal, INT32), [axis])]
    if not weighted:
        return [_count(build, equal, axis)]
    return [build.reduce("ReduceSum", build("Mul", build("Unsqueeze", weights, build.ints(rank)), build.cast(equal, op.types[2])), [axis])]


def _in_top_k(build: Writer, op: Operation) -> list[ir.Value]:
    predictions, targets, k = op.inputs
    chosen = build("GatherElements", predictions, build("Unsqueeze", build.cast(targets, INT64), build.ints(1)), axis=1)
    above = _count(build, build.compare("Greater", predictions, chosen), 1)
    rest = build.reduce("ReduceSum", build("Mul", predictions, build.like(predictions, 0)), [1])  # NaN where a row is not finite
    return [build("And", build.compare("Less", above, build.cast(k, INT64)), build.compare("Equal", rest, 0), dtype=BOOL)]


def _histogram(build: Writer, op: Operation) -> list[ir.Value]:
    """What is out of range counts for the first and the last bin."""
    x, limits, count = op.inputs
    low, high = (build("Gather", limits, build.constant(np.array(i, np.int64)), axis=0) for i in (0, 1))
    bins = build.cast(count, INT64)
    width = build("Div", build("Sub", high, low), build.cast(bins, op.types[0]))
    place = build("Floor", build("Div", build("Sub", build("Reshape", x, build.ints(-1)), low), width))
    last = build("Sub", build.cast(bins, op.types[0]), build.like(x, 1))
    place = build.cast(build("Max", build("Min", place, last), build.like(x, 0)), INT64)
    numbers = build("Range", build.constant(np.array(0, np.int64)), bins, build.constant(np.array(1, np.int64)), dtype=INT64)
    return [_count(build, build.compare("Equal", build("Unsqueeze", place, build.ints(1)), numbers), 0)]


def _nth(build: Writer, op: Operation) -> list[ir.Value]:
    x, n = op.inputs
    k = build("Reshape", build("Add", build.cast(n, INT64), build.constant(np.array(1, np.int64))), build.ints(1))
    ordered, places = build.several("TopK", x, k, count=2, axis=-1, largest=int(bool(op.attributes.get("reverse"))), sorted=1)
    places.type = ir.TensorType(INT64)
    return [build("Gather", ordered, build.cast(n, INT64), axis=op.rank() - 1)]


OPERATORS.add("HistogramFixedWidth", _histogram)
OPERATORS.add("NthElement", _nth)
OPERATORS.add("LowerBound", _bound("Less"))
OPERATORS.add("UpperBound", _bound("LessOrEqual"))
OPERATORS.add("Bucketize", _bucketize)
OPERATORS.add("DenseBincount", _bincount)
OPERATORS.add("InTopKV2", _in_top_k)
