"""Of linear algebra ONNX has one operator: Det. The logarithm of a determinant is taken from it, so that it must fit float32."""

from __future__ import annotations

import onnx_ir as ir

from converter.frontend.operators import OPERATORS, Operation
from converter.frontend.operators.writer import Writer


def _log_determinant(build: Writer, op: Operation) -> list[ir.Value]:
    determinant = build("Det", op.inputs[0])
    return [build("Sign", determinant), build("Log", build("Abs", determinant))]


OPERATORS.add("LogMatrixDeterminant", _log_determinant)
