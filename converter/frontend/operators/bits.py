"""Bitcast between float32 and 32-bit integers, by arithmetic, since ONNX has none before opset 26.

A float32 of size a = m 2^e, with 1 <= m < 2, or m < 1 at the least exponent e = -126, has the bits (e + 126 + m) 2^23, and a sign.
All of it is exact in float64. A NaN gets the bits of the quiet one.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from converter.frontend.operators import OPERATORS, NotInONNXError, Operation
from converter.frontend.operators.writer import FLOAT, INT32, INT64, Writer

DOUBLE, UINT32 = ir.DataType.DOUBLE, ir.DataType.UINT32
LEAST, MANTISSA, SIGN = -126, 2**23, 2**31
INFINITE, NAN = 0x7F800000, 0x7FC00000


def _bitcast(build: Writer, op: Operation) -> list[ir.Value]:
    source, target, x = op.types[0], op.out_types[0], op.inputs[0]
    if source == target:
        return [x]
    if {source, target} == {INT32, UINT32}:
        return [build.cast(build.cast(x, INT64), target)]
    if source == FLOAT and target in (INT32, UINT32):
        return [_bits_of(build, x, signed=target == INT32)]
    if target == FLOAT and source in (INT32, UINT32):
        return [_float_of(build, x)]
    raise NotInONNXError(f"the bits of {source.name} cannot be read as {target.name} in ONNX; between float32 and 32-bit integers they can")


def _bits_of(build: Writer, x: ir.Value, *, signed: bool) -> ir.Value:
    size = build.cast(build("Abs", x), DOUBLE)
    exponent = build("Floor", build("Div", build("Log", size), build.like(size, math.log(2))))
    exponent = build("Max", build("Min", exponent, build.like(size, 127)), build.like(size, LEAST))
    mantissa = build("Div", size, build("Pow", build.like(size, 2), exponent))
    one = build.like(size, 1)
    up = build.cast(build.compare("GreaterOrEqual", mantissa, 2), DOUBLE)  # the logarithm may be off by rounding
    low = build("And", build.compare("Less", mantissa, one), build.compare("Greater", exponent, LEAST))
    down = build.cast(low, DOUBLE)
    mantissa = build("Mul", mantissa, build("Sub", build("Add", one, down), build("Mul", up, build.like(size, 0.5))))
    exponent = build("Add", exponent, build("Sub", up, down))
    finite = build("Mul", build("Add", build("Add", exponent, mantissa), build.like(size, -LEAST)), build.like(size, MANTISSA))
    bits = build.where(build("IsInf", x, dtype=ir.DataType.BOOL), build.like(size, INFINITE), finite)
    bits = build.cast(build.where(build("IsNaN", x, dtype=ir.DataType.BOOL), build.like(size, NAN), bits), INT64)
    minus = build("Mul", build.cast(negative(build, x), INT64), build.like(bits, -SIGN if signed else SIGN))
    return build("Add", bits, minus)


def negative(build: Writer, x: ir.Value) -> ir.Value:
    """Where the sign bit of ``x`` is set: -0 has it, which only its reciprocal tells."""
    below = build.compare("Less", x, 0)
    zero = build("And", build.compare("Equal", x, 0), build.compare("Less", build("Reciprocal", x), 0))
    return build("Or", below, zero)


def _float_of(build: Writer, x: ir.Value) -> ir.Value:
    whole = build("Mod", build.cast(x, INT64), build.constant(np.array(2**32, np.int64)))
    sign = build("Div", whole, build.like(whole, SIGN))
    rest = build("Mod", whole, build.like(whole, SIGN))
    exponent = build.cast(build("Div", rest, build.like(whole, MANTISSA)), DOUBLE)
    mantissa = build("Div", build.cast(build("Mod", rest, build.like(whole, MANTISSA)), DOUBLE), build.like(exponent, MANTISSA))
    normal = build.cast(build.compare("Greater", exponent, 0), DOUBLE)
    power = build("Pow", build.like(exponent, 2), build("Sub", build("Max", exponent, build.like(exponent, 1)), build.like(exponent, 127)))
    size = build("Mul", build("Add", mantissa, normal), power)
    special = build.where(build.compare("Equal", mantissa, 0), build.like(exponent, np.inf), build.like(exponent, np.nan))
    size = build.where(build.compare("Equal", exponent, 255), special, size)
    factor = build("Sub", build.like(exponent, 1), build("Mul", build.cast(sign, DOUBLE), build.like(exponent, 2)))
    return build.cast(build("Mul", size, factor), FLOAT)


OPERATORS.add("Bitcast", _bitcast)
