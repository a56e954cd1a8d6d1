"""Complex tensors as pairs of real ones: x + iy is (x, y).

ONNX has complex types, and no operator that computes with them. What moves numbers and does not look at them is done to both parts.

    (a + ib) + (c + id) = (a + c) + i(b + d)
    (a + ib) * (c + id) = (ac - bd) + i(ad + bc)
    angle(x + iy)       = atan2(y, x)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from converter.frontend.expansions import EXPANSIONS, Ground, Pair, Site
from converter.graph import query
from converter.spec.quant import Array

COMPLEX, BOOL = (ir.DataType.COMPLEX64, ir.DataType.COMPLEX128), ir.DataType.BOOL
FLOAT = ir.DataType.FLOAT
MOVES = frozenset({"Concat", "Expand", "Gather", "GatherElements", "GatherND", "Identity", "Neg", "Reshape", "ReduceMean", "ReduceSum", "Slice",
                   "Squeeze", "Tile", "Transpose", "Unsqueeze", "Where"})
"""ONNX operators that are linear in what may be complex: done to both parts, they are done to the whole."""


def is_complex(value: ir.Value, ground: Ground) -> bool:
    """Whether ``value`` is known as a pair, or is a complex constant."""
    return value in ground.complexes or (value.const_value is not None and value.const_value.dtype in COMPLEX)


def pair(site: Site, index: int = 0) -> Pair:
    """Both parts of an input; the imaginary part of a real input is zero.

    Raises:
        ConversionError: the input is complex and nobody knows its parts.
    """
    value = site.value(index)
    if value in site.ground.complexes:
        return site.ground.complexes[value]
    if value.const_value is not None:
        numbers = value.const_value.numpy()
        return Pair(site.build.constant(_part(numbers.real)), site.build.constant(_part(numbers.imag)))
    raise site.refusal(f"its input {value.name!r} is complex, and comes from an operator that is not known to give complex numbers")


def _part(numbers: Array) -> Array:
    return numbers.astype(np.float64 if numbers.dtype == np.float64 else np.float32)


def apply(site: Site) -> ir.Value | Pair:
    """An ONNX operator that reads complex tensors; a cast to a real type drops the imaginary part, as TensorFlow's does.

    Raises:
        ConversionError: it does more with them than to move, add or multiply.
    """
    op_type, build = site.node.op_type, site.build
    if op_type == "Cast":
        to = ir.DataType(query.integer(site.node, "to", 0))
        return build("Cast", pair(site).real, to=to, dtype=to)
    if op_type in ("Shape", "Size"):
        return build(op_type, pair(site).real, dtype=ir.DataType.INT64, **query.attributes(site.node))
    if op_type in MOVES:
        return _moved(site)
    if op_type not in ("Add", "Sub", "Mul"):
        raise site.refusal("it computes with complex numbers; split them into a real and an imaginary part first")
    a, b = pair(site, 0), pair(site, 1)
    if op_type == "Mul":
        return Pair(build("Sub", build("Mul", a.real, b.real), build("Mul", a.imag, b.imag)),
                    build("Add", build("Mul", a.real, b.imag), build("Mul", a.imag, b.real)))
    return Pair(build(op_type, a.real, b.real), build(op_type, a.imag, b.imag))


def becomes_complex(node: ir.Node) -> bool:
    """Whether ``node`` casts real numbers to complex ones."""
    return node.op_type == "Cast" and query.integer(node, "to", 0) in COMPLEX


def cast(site: Site) -> Pair:
    """Such a cast: the imaginary part is zero."""
    real = site.floats()
    return Pair(real, site.build("Mul", real, np.array(0, np.float32)))


def _angle(site: Site) -> ir.Value:
    value, build = pair(site), site.build
    x, y, zero = value.real, value.imag, np.array(0, np.float32)
    upright = build("Equal", x, zero, dtype=BOOL)
    right = build("Atan", build("Div", y, build("Where", upright, np.array(1, np.float32), x, dtype=x.dtype)))
    turn = build("Where", build("Less", y, zero, dtype=BOOL), np.array(-np.pi, np.float32), np.array(np.pi, np.float32), dtype=FLOAT)
    either = build("Where", build("Less", x, zero, dtype=BOOL), build("Add", right, turn), right, dtype=FLOAT)
    return build("Where", upright, build("Mul", build("Sign", y), np.array(np.pi / 2, np.float32)), either, dtype=FLOAT)


def _moved(site: Site) -> Pair:
    attributes: dict[str, Any] = dict(query.attributes(site.node))
    parts = [pair(site, i) if value is not None and is_complex(value, site.ground) else None for i, value in enumerate(site.node.inputs)]
    real, imag = ([whole if part is None else part[half] for part, whole in zip(parts, site.node.inputs, strict=True)] for half in (0, 1))
    return Pair(site.build(site.node.op_type, *real, **attributes), site.build(site.node.op_type, *imag, **attributes))


def _complex(site: Site) -> Pair:
    return Pair(site.value(0), site.value(1))


def _conjugate(site: Site) -> Pair:
    value = pair(site)
    return Pair(value.real, site.build("Neg", value.imag))


def _magnitude(site: Site) -> ir.Value:
    value, build = pair(site), site.build
    return build("Sqrt", build("Add", build("Mul", value.real, value.real), build("Mul", value.imag, value.imag)))


EXPANSIONS.add("Complex", _complex)
EXPANSIONS.add("Real", lambda site: pair(site).real)
EXPANSIONS.add("Imag", lambda site: pair(site).imag)
EXPANSIONS.add("Conj", _conjugate)
EXPANSIONS.add("ComplexAbs", _magnitude)
EXPANSIONS.add("Angle", _angle)
