"""Complex numbers between where they are made of real ones and where they are taken apart again: ONNX has none, so each is followed as a pair.

    Complex(a, b) = (a, b)    Cast(a) = (a, 0)    (a, b) + (c, d) = (a + c, b + d)    (a, b) (c, d) = (ac - bd, ad + bc)    Conj(a, b) = (a, -b)

ComplexAbs is left to tf2onnx, which reads it together with the Fourier transform in front of it.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.frontend.operators import OPERATORS, PREFIX, NotInONNXError, Operation
from converter.frontend.operators.writer import FLOAT, Writer
from converter.graph import query

COMPLEX = frozenset({ir.DataType.COMPLEX64, ir.DataType.COMPLEX128})
REASON = "ONNX has no complex numbers; carry the real and the imaginary part as two tensors"
Pair = tuple[ir.Value, ir.Value]


def _parts(build: Writer, value: ir.Value | None) -> Pair:
    """Real and imaginary part, both float32.

    Raises:
        NotInONNXError: the number comes from an operator that is not followed.
    """
    node = value.producer() if value is not None else None
    known = query.constant(value)
    if known is not None:
        return build.constant(np.asarray(known.real, np.float32)), build.constant(np.asarray(known.imag, np.float32))
    if node is None or node.inputs[0] is None:
        raise NotInONNXError(REASON)
    if node.op_type == f"{PREFIX}Complex" and node.inputs[1] is not None:
        return build.cast(node.inputs[0], FLOAT), build.cast(node.inputs[1], FLOAT)
    if node.op_type == "Cast":
        return _of_cast(build, node, node.inputs[0])
    if node.op_type in ("Add", "Sub", "Mul"):
        return _arithmetic(build, node.op_type, _parts(build, node.inputs[0]), _parts(build, node.inputs[1]))
    if node.op_type in ("Identity", "Neg", f"{PREFIX}Conj"):
        real, imag = _parts(build, node.inputs[0])
        return build("Neg", real) if node.op_type == "Neg" else real, imag if node.op_type == "Identity" else build("Neg", imag)
    raise NotInONNXError(REASON)


def _of_cast(build: Writer, node: ir.Node, source: ir.Value) -> Pair:
    if ir.DataType(query.integer(node, "to", 0)) not in COMPLEX:
        raise NotInONNXError(REASON)
    if source.dtype in COMPLEX:
        return _parts(build, source)
    real = build.cast(source, FLOAT)
    return real, build.like(real, 0)


def _arithmetic(build: Writer, op_type: str, x: Pair, y: Pair) -> Pair:
    (a, b), (c, d) = x, y
    if op_type != "Mul":
        return build(op_type, a, c), build(op_type, b, d)
    return build("Sub", build("Mul", a, c), build("Mul", b, d)), build("Add", build("Mul", a, d), build("Mul", b, c))


def _left(build: Writer, op: Operation) -> list[ir.Value]:
    raise NotInONNXError(REASON)  # nobody minds once all its readers have taken the parts


def _real(build: Writer, op: Operation) -> list[ir.Value]:
    return [_parts(build, op.inputs[0])[0]]


def _imag(build: Writer, op: Operation) -> list[ir.Value]:
    return [_parts(build, op.inputs[0])[1]]


OPERATORS.add("Complex", _left)
OPERATORS.add("Conj", _left)
OPERATORS.add("Real", _real)
OPERATORS.add("Imag", _imag)
