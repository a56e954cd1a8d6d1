"""Running products, by doubling: after step k an element is the product of itself and the 2^k - 1 before it.

(W. Hillis and G. Steele, "Data parallel algorithms", 1986.) A logarithm would turn a sum into a product, but not for negative numbers.
"""

from __future__ import annotations

import onnx_ir as ir

from converter.frontend.operators import OPERATORS, Operation
from converter.frontend.operators.writer import FLOAT, INT32, NARROW, Writer

LONGEST = 2**31
"""An axis of free length is taken to be shorter: 31 steps."""


def _cumprod(build: Writer, op: Operation) -> list[ir.Value]:
    rank, kind = op.rank(), op.types[0]
    axis = int(op.known(1)) % rank
    shape = op.shapes[0]
    length = shape[axis] if shape is not None else None
    backwards = bool(op.attributes.get("reverse"))
    x = build.cast(op.inputs[0], INT32 if kind in NARROW else FLOAT if kind == ir.DataType.FLOAT16 else kind)
    moved = _padded if length is not None else _joined
    if op.attributes.get("exclusive"):
        x = moved(build, x, axis, rank, 1, backwards)
    step = 1
    while step < (LONGEST if length is None else length):
        x = build("Mul", x, moved(build, x, axis, rank, step, backwards))
        step *= 2
    return [x]


def _padded(build: Writer, x: ir.Value, axis: int, rank: int, step: int, backwards: bool) -> ir.Value:
    """``x`` moved ``step`` places along the axis, with ones behind it: what a negative pad cuts off, the other side gets."""
    pads = [0] * (2 * rank)
    pads[axis], pads[rank + axis] = (-step, step) if backwards else (step, -step)
    return build("Pad", x, build.ints(*pads), build.like(x, 1))


def _joined(build: Writer, x: ir.Value, axis: int, rank: int, step: int, backwards: bool) -> ir.Value:
    """The same for an axis that may be shorter than ``step``, which leaves ones alone."""
    starts = (-step, step) if backwards else (0, 0)
    ends = (LONGEST, LONGEST) if backwards else (step, -step)
    lost, kept = (build("Slice", x, build.ints(a), build.ints(b), build.ints(axis)) for a, b in zip(starts, ends, strict=True))
    ones = build("Expand", build.like(x, 1), build.shape(lost))
    return build("Concat", *((kept, ones) if backwards else (ones, kept)), axis=axis)


OPERATORS.add("Cumprod", _cumprod)
