"""CTCGreedyDecoder: the likeliest label of every step, without repetitions and blanks, as the parts of a sparse tensor.

    keep[b, t] = t < length[b]  and  label[b, t] != blank  and  (t = 0 or label[b, t] != label[b, t - 1])

(A. Graves et al., "Connectionist temporal classification", 2006, best path decoding.)
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.frontend.operators import OPERATORS, Operation
from converter.frontend.operators.writer import INT64, Writer


def _greedy(build: Writer, op: Operation) -> list[ir.Value]:
    logits, lengths = op.inputs
    labels = build("Transpose", build("ArgMax", logits, dtype=INT64, axis=2, keepdims=0), perm=[1, 0])
    within = _within(build, labels, lengths)
    keep = build("And", within, build("Not", build.compare("Equal", labels, _blank(build, op))))
    if op.attributes.get("merge_repeated"):
        before = build("Pad", labels, build.ints(0, 1, 0, -1), build.like(labels, -1))
        keep = build("And", keep, build("Not", build.compare("Equal", labels, before)))
    count = build("CumSum", build.cast(keep, INT64), build.constant(np.array(1, np.int64)))
    places = build("Transpose", build("NonZero", keep, dtype=INT64), perm=[1, 0])
    columns = build("Sub", build("GatherND", count, places), build.like(count, 1))
    rows = build("Slice", places, build.ints(0), build.ints(1), build.ints(1))
    indices = build("Concat", rows, build("Unsqueeze", columns, build.ints(1)), axis=1)
    size = build("Concat", build("Slice", build.shape(labels), build.ints(0), build.ints(1)), _longest(build, count), axis=0)
    best = build("Transpose", build.reduce("ReduceMax", logits, [2]), perm=[1, 0])
    score = build.reduce("ReduceSum", build("Neg", build("Mul", best, build.cast(within, op.types[0]))), [1], keep=True)
    return [indices, build("GatherND", labels, places), size, score]


def _within(build: Writer, labels: ir.Value, lengths: ir.Value) -> ir.Value:
    steps = build("Slice", build.shape(labels), build.ints(1), build.ints(2))
    numbers = build("Range", build.constant(np.array(0, np.int64)), build("Squeeze", steps, build.ints(0)), build.constant(np.array(1, np.int64)))
    return build.compare("Less", numbers, build("Unsqueeze", build.cast(lengths, INT64), build.ints(1)))


def _blank(build: Writer, op: Operation) -> ir.Value:
    index = int(op.attributes.get("blank_index", -1))
    if index >= 0:
        return build.constant(np.array(index, np.int64))
    return build("Add", build("Slice", build.shape(op.inputs[0]), build.ints(2), build.ints(3)), build.ints(index))


def _longest(build: Writer, count: ir.Value) -> ir.Value:
    """The largest count as a vector of one; zero of no steps."""
    return build("Reshape", build.reduce("ReduceMax", build("Pad", count, build.ints(0, 0, 0, 1)), [0, 1], keep=True), build.ints(1))


OPERATORS.add("CTCGreedyDecoder", _greedy)
