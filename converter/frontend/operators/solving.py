"""Systems of linear equations with matrices of a known size, by elimination written out step by step.

    MatrixSolve(a, b)              a^-1 b
    MatrixInverse(a)               a^-1 I
    MatrixTriangularSolve(a, b)    the same for one triangle of a, by substitution

Elimination is Gauss's and Jordan's with partial pivoting (Golub, van Loan: Matrix Computations, 3.4). Rows are not swapped: the one-hot
vector e says which row is the pivot of a step, its multiple is taken from all others, and it is struck from those to choose from; in the
end the vectors are the rows of the permutation that brings the result in order. It is done in double precision: a matrix near a singular
one costs many digits, and the other side of the comparison has lost its own already.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.frontend.operators import OPERATORS, NotInONNXError, Operation
from converter.frontend.operators.writer import INT64, Writer

LARGEST = 32  # rows: a step is a dozen operators


def size(op: Operation) -> int:
    """Rows of the matrix that is the first input.

    Raises:
        NotInONNXError: it is free, or too large to be written out.
    """
    rows = (op.shapes[0] or (None,) * 2)[-2]
    if rows is None or rows > LARGEST:
        raise NotInONNXError(f"a matrix of {rows or 'unknown'} rows, and up to {LARGEST} can be written out; compute it outside of the graph, or, "
                             "where the matrix is a weight, once, and keep the result")
    return rows


def row(build: Writer, x: ir.Value, index: int, axis: int = -2) -> ir.Value:
    """One row of the matrices ``x (..., n, m)``, ``(..., 1, m)``; with ``axis`` -1 one column, ``(..., n, 1)``."""
    return build("Slice", x, build.ints(index), build.ints(index + 1), build.ints(axis))


def transposed(build: Writer, x: ir.Value, rank: int) -> ir.Value:
    """The last two axes of ``x`` exchanged."""
    return build("Transpose", x, perm=[*range(rank - 2), rank - 1, rank - 2])


def _solved(build: Writer, op: Operation, a: ir.Value, b: ir.Value) -> ir.Value:
    rows = size(op)
    a, b = (build.cast(x, ir.DataType.DOUBLE) for x in (a, b))
    both = build("Concat", a, b, axis=-1)
    free, pivots = build("Expand", build.like(a, np.ones((rows, 1))), build.shape(row(build, a, 0, -1))), []
    for k in range(rows):
        column = row(build, both, k, -1)
        candidate = build.where(build.compare("Greater", free, 0), build("Abs", column), build.like(a, -1))
        best = build("ArgMax", candidate, dtype=INT64, axis=-2, keepdims=1)
        pivot = build.cast(build.compare("Equal", best, build.constant(np.arange(rows).reshape(rows, 1))), ir.DataType.DOUBLE)
        across = transposed(build, pivot, op.rank())
        scaled = build("Div", build("MatMul", across, both), build("MatMul", across, column))
        both = build("Sub", both, build("MatMul", build("Sub", column, pivot), scaled))
        free = build("Sub", free, pivot)
        pivots.append(across)
    right = build("Slice", both, build.ints(rows), build.ints(np.iinfo(np.int64).max), build.ints(-1))
    return build("MatMul", build("Concat", *pivots, axis=-2) if rows > 1 else pivots[0], right)


def _solve(build: Writer, op: Operation) -> list[ir.Value]:
    a, b = op.inputs
    return [_solved(build, op, transposed(build, a, op.rank()) if op.attributes.get("adjoint") else a, b)]


def _inverse(build: Writer, op: Operation) -> list[ir.Value]:
    a = transposed(build, op.inputs[0], op.rank()) if op.attributes.get("adjoint") else op.inputs[0]
    return [_solved(build, op, a, build("Expand", build.like(a, np.eye(size(op))), build.shape(a)))]


def _substitute(build: Writer, op: Operation) -> list[ir.Value]:
    """The solution row by row; the other triangle is not looked at."""
    a, left = op.inputs
    rows, lower = size(op), bool(op.attributes.get("lower", 1))
    if op.attributes.get("adjoint"):
        a, lower = transposed(build, a, op.rank()), not lower
    order = list(range(rows)) if lower else list(range(rows - 1, -1, -1))
    found: dict[int, ir.Value] = {}
    for k in order:
        line = row(build, a, k)
        found[k] = build("Div", row(build, left, k), row(build, line, k, -1))
        if k != order[-1]:
            left = build("Sub", left, build("MatMul", row(build, a, k, -1), found[k]))
    return [build("Concat", *(found[k] for k in range(rows)), axis=-2) if rows > 1 else found[0]]


OPERATORS.add("MatrixSolve", _solve)
OPERATORS.add("MatrixInverse", _inverse)
OPERATORS.add("MatrixTriangularSolve", _substitute)
