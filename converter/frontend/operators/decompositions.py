"""Decompositions of matrices of a known size that end after as many steps as there are rows, written out step by step.

    Cholesky(a)    l with l l^T = a, from the lower triangle of a: Golub, van Loan, Matrix Computations, 4.2 (outer products)
    Qr(a)          q, r with q r = a by Householder's reflections, the same, 5.2, with the signs that Eigen chooses

What goes on until it is exact enough (eigenvalues, singular values) is refused.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.frontend.operators import OPERATORS, NotInONNXError, Operation
from converter.frontend.operators.solving import row, size, transposed
from converter.frontend.operators.writer import Writer


def _cholesky(build: Writer, op: Operation) -> list[ir.Value]:
    left, rows, columns = op.inputs[0], size(op), []
    for k in range(rows):
        column = row(build, left, k, -1)
        below = build("Div", column, build("Sqrt", row(build, column, k)))
        columns.append(build.where(build.constant(np.arange(rows).reshape(rows, 1) >= k), below, build.like(below, 0)))
        if k + 1 < rows:
            left = build("Sub", left, build("MatMul", columns[-1], transposed(build, columns[-1], op.rank())))
    return [build("Concat", *columns, axis=-1) if rows > 1 else columns[0]]


def _qr(build: Writer, op: Operation) -> list[ir.Value]:
    r, rows, columns = op.inputs[0], size(op), (op.shapes[0] or (None,))[-1]
    if columns is None:
        raise NotInONNXError("a matrix with a free number of columns; give the axis a length")
    square = build("Concat", build("Slice", build.shape(r), build.ints(0), build.ints(-1), build.ints(0)), build.ints(rows), axis=0)
    q = build("Expand", build.like(r, np.eye(rows)), square)
    for k in range(min(rows - 1, columns)):
        v, share = _reflector(build, row(build, r, k, -1), k, rows)
        across = transposed(build, v, op.rank())
        r = build("Sub", r, build("MatMul", v, build("Mul", build("MatMul", across, r), share)))
        q = build("Sub", q, build("Mul", build("MatMul", build("MatMul", q, v), across), share))
    r = build("Mul", r, build.like(r, np.triu(np.ones((rows, columns)))))
    if op.attributes.get("full_matrices") or rows <= columns:
        return [q, r]
    return [build("Slice", x, build.ints(0), build.ints(columns), build.ints(axis)) for x, axis in ((q, -1), (r, -2))]


def _reflector(build: Writer, column: ir.Value, k: int, rows: int) -> tuple[ir.Value, ir.Value]:
    """The vector ``v`` of the reflection that clears ``column`` below row ``k``, and 2 / v^T v; nothing is reflected where it is clear."""
    zero, below = build.like(column, 0), np.arange(rows).reshape(rows, 1) > k
    tail = build.where(build.constant(below), column, zero)
    head = row(build, column, k)
    rest = build.reduce("ReduceSum", build("Mul", tail, tail), [-2], keep=True)
    norm = build("Sqrt", build("Add", rest, build("Mul", head, head)))
    first = build("Add", head, build.where(build.compare("Less", head, 0), build("Neg", norm), norm))
    v = build.where(build.constant(np.arange(rows).reshape(rows, 1) == k), first, tail)
    length = build("Add", rest, build("Mul", first, first))
    clear = build.compare("Equal", rest, 0)
    return v, build.where(clear, zero, build("Div", build.like(length, 2), build.where(clear, build.like(length, 1), length)))


OPERATORS.add("Cholesky", _cholesky)
OPERATORS.add("Qr", _qr)
