"""Diagonals, by comparing the numbers of rows and columns.

    Diag(v)                  v on the diagonal of a square of zeros; of a matrix of shape (a, b) the result has (a, b, a, b)
    DiagPart(x)              the inverse
    MatrixSetDiagV3(x, d)    the main diagonal of the last two axes replaced by d
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from converter.frontend.operators import OPERATORS, NotInONNXError, Operation
from converter.frontend.operators.writer import Writer


def _lengths(op: Operation) -> list[int]:
    shape = op.shapes[0]
    known = [n for n in shape or () if n is not None]
    if shape is None or len(known) < len(shape):
        raise NotInONNXError("a diagonal of free length; give the axes a length")
    return known


def _diag(build: Writer, op: Operation) -> list[ir.Value]:
    x, lengths = op.inputs[0], _lengths(op)
    row = build("Reshape", x, build.ints(1, -1))
    square = build.where(build.constant(np.eye(math.prod(lengths), dtype=bool)), row, build.like(x, 0))
    return [build("Reshape", square, build.ints(*lengths, *lengths))]


def _diag_part(build: Writer, op: Operation) -> list[ir.Value]:
    lengths = _lengths(op)
    half = lengths[: len(lengths) // 2]
    count = math.prod(half)
    flat = build("Reshape", op.inputs[0], build.ints(-1))
    return [build("Reshape", build("Gather", flat, build.ints(*range(0, count * count, count + 1)), axis=0), build.ints(*half))]


def _set_diagonal(build: Writer, op: Operation) -> list[ir.Value]:
    x, diagonal, offset = op.inputs[:3]
    rows, columns = (op.shapes[0] or (None, None))[-2:]
    if rows is None or columns is None or np.any(op.known(2)):
        raise NotInONNXError(f"a diagonal of free length, or another than the main one ({offset.name}); add a matrix with the numbers in place")
    spread = build("Unsqueeze", diagonal, build.ints(op.rank(1) - 1 if columns <= rows else op.rank(1)))
    return [build.where(build.constant(np.eye(rows, columns, dtype=bool)), spread, x)]


OPERATORS.add("Diag", _diag)
OPERATORS.add("DiagPart", _diag_part)
OPERATORS.add("MatrixSetDiagV3", _set_diagonal)
