"""Running products and log-sums, by doubling: after step k an element is that of itself and the 2^k - 1 before it.

(W. Hillis and G. Steele, "Data parallel algorithms", 1986.) A logarithm would turn a sum into a product, but not for negative numbers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from converter.frontend.operators import OPERATORS, Expansion, Operation
from converter.frontend.operators.writer import FLOAT, INT32, NARROW, Writer

Combine = Callable[[Writer, ir.Value, ir.Value], ir.Value]
LONGEST = 2**31
"""An axis of free length is taken to be shorter: 31 steps."""


def _running(combine: Combine, neutral: float) -> Expansion:
    def expand(build: Writer, op: Operation) -> list[ir.Value]:
        rank, kind = op.rank(), op.types[0]
        axis = int(op.known(1)) % rank
        shape = op.shapes[0]
        length = shape[axis] if shape is not None else None
        backwards = bool(op.attributes.get("reverse"))
        x = build.cast(op.inputs[0], INT32 if kind in NARROW else FLOAT if kind == ir.DataType.FLOAT16 else kind)
        first = build.like(x, neutral)
        moved = _padded if length is not None else _joined
        if op.attributes.get("exclusive"):
            x = moved(build, x, first, axis, rank, 1, backwards)
        step = 1
        while step < (LONGEST if length is None else length):
            x = combine(build, x, moved(build, x, first, axis, rank, step, backwards))
            step *= 2
        return [x]

    return expand


def _product(build: Writer, a: ir.Value, b: ir.Value) -> ir.Value:
    return build("Mul", a, b)


def _log_sum(build: Writer, a: ir.Value, b: ir.Value) -> ir.Value:
    """log(exp(a) + exp(b)); the bound keeps what is common finite where both are minus infinity."""
    assert a.dtype is not None
    common = build("Max", a, b, build.like(a, np.finfo(a.dtype.numpy()).min))
    return build("Add", common, build("Log", build("Add", build("Exp", build("Sub", a, common)), build("Exp", build("Sub", b, common)))))


def _padded(build: Writer, x: ir.Value, first: ir.Value, axis: int, rank: int, step: int, backwards: bool) -> ir.Value:
    """``x`` moved ``step`` places along the axis, with neutral numbers behind it: what a negative pad cuts off, the other side gets."""
    pads = [0] * (2 * rank)
    pads[axis], pads[rank + axis] = (-step, step) if backwards else (step, -step)
    return build("Pad", x, build.ints(*pads), first)


def _joined(build: Writer, x: ir.Value, first: ir.Value, axis: int, rank: int, step: int, backwards: bool) -> ir.Value:
    """The same for an axis that may be shorter than ``step``, which leaves neutral numbers alone."""
    starts = (-step, step) if backwards else (0, 0)
    ends = (LONGEST, LONGEST) if backwards else (step, -step)
    lost, kept = (build("Slice", x, build.ints(a), build.ints(b), build.ints(axis)) for a, b in zip(starts, ends, strict=True))
    added = build("Expand", first, build.shape(lost))
    return build("Concat", *((kept, added) if backwards else (added, kept)), axis=axis)


OPERATORS.add("Cumprod", _running(_product, 1))
OPERATORS.add("CumulativeLogsumexp", _running(_log_sum, -np.inf))
