"""Division with a remainder, as TensorFlow rounds it.

    FloorMod(x, y)     x - y floor(x / y): the sign of y; for floats from the exact remainder (ONNX Mod, fmod=1), not from the quotient
    FloorDiv(x, y)     of integers (x - FloorMod(x, y)) / y, which leaves no rest
    TruncateMod, Mod   the sign of x (ONNX Mod, fmod=1)
    RightShift(x, n)   of signed integers floor(x / 2^n)
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.frontend.operators import OPERATORS, Operation
from converter.frontend.operators.writer import BOOL, INT64, Writer


def _floor_mod(build: Writer, op: Operation) -> list[ir.Value]:
    x, y = op.inputs
    if op.types[0].is_integer():
        return [build("Mod", x, y)]
    rest = build("Mod", x, y, fmod=1)
    zero = build.like(x, 0)
    other_side = build("Xor", build.compare("Less", rest, zero), build.compare("Less", y, zero), dtype=BOOL)
    moved = build("And", build("Not", build.compare("Equal", rest, zero)), other_side, dtype=BOOL)
    return [build.where(moved, build("Add", rest, y), rest)]


def _floor_div(build: Writer, op: Operation) -> list[ir.Value]:
    x, y = op.inputs
    if op.types[0].is_integer():
        return [_floor_quotient(build, x, y)]
    return [build("Floor", build("Div", x, y))]


def _floor_quotient(build: Writer, x: ir.Value, y: ir.Value) -> ir.Value:
    kind = x.dtype
    x, y = build.cast(x, INT64), build.cast(y, INT64)  # ONNX Runtime divides int32 and int64 only
    quotient = build("Div", build("Sub", x, build("Mod", x, y)), y)
    return quotient if kind is None else build.cast(quotient, kind)


def _truncate_mod(build: Writer, op: Operation) -> list[ir.Value]:
    return [build("Mod", *op.inputs, fmod=1)]


def _right_shift(build: Writer, op: Operation) -> list[ir.Value]:
    x, count = op.inputs
    if op.types[0].is_signed():
        count = build("Min", build.cast(count, INT64), build.constant(np.array(62, np.int64)))
        return [_floor_quotient(build, x, build("Pow", build.constant(np.array(2, np.int64)), count))]
    return [build("BitShift", x, count, direction="RIGHT")]


OPERATORS.add("FloorMod", _floor_mod)
OPERATORS.add("FloorDiv", _floor_div)
OPERATORS.add("TruncateMod", _truncate_mod)
OPERATORS.add("Mod", _truncate_mod)
OPERATORS.add("RightShift", _right_shift)
