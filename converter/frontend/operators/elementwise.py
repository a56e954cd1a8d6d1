"""Functions of one or two numbers.

    Erfc(x)  = 1 - Erf(x)          (exact GELU)
    Expm1(x) = Exp(x) - 1          (CELU)
    Log1p(x) = Log(1 + x)
    Xlogy(x, y), Xlog1py, Xdivy: x log y, x log(1 + y), x / y, and zero where x is

Near zero the second and third lose digits that the original keeps: 6e-8 of absolute error, below float32 rounding of the activations
that use them.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from converter.frontend.operators import OPERATORS, Expansion, NotInONNXError, Operation
from converter.frontend.operators.writer import Writer


def _erfc(build: Writer, op: Operation) -> list[ir.Value]:
    x = op.inputs[0]
    return [build("Sub", build.like(x, 1), build("Erf", x))]


def _expm1(build: Writer, op: Operation) -> list[ir.Value]:
    x = op.inputs[0]
    return [build("Sub", build("Exp", x), build.like(x, 1))]


def _log1p(build: Writer, op: Operation) -> list[ir.Value]:
    return [_log_of_one_more(build, op.inputs[0])]


def _log_of_one_more(build: Writer, x: ir.Value) -> ir.Value:
    return build("Log", build("Add", x, build.like(x, 1)))


def _zero_where_x_is(product: Callable[[Writer, ir.Value, ir.Value], ir.Value]) -> Expansion:
    def expand(build: Writer, op: Operation) -> list[ir.Value]:
        x, y = op.inputs
        return [build.where(build.compare("Equal", x, 0), build.like(x, 0), product(build, x, y))]

    return expand


def _select(build: Writer, op: Operation) -> list[ir.Value]:
    """tf2onnx multiplies by the condition, and what is not chosen then spoils the result where it is NaN or infinite."""
    condition, a, b = op.inputs
    missing = op.rank(1) - op.rank(0) if op.kind == "Select" and op.rank(0) == 1 else 0
    if missing > 0:  # a vector chooses rows
        condition = build("Unsqueeze", condition, build.ints(*range(1, missing + 1)), dtype=ir.DataType.BOOL)
    return [build.where(condition, a, b)]


def _near(build: Writer, op: Operation) -> list[ir.Value]:
    return [build.compare("Less", build("Abs", build("Sub", *op.inputs)), float(op.attributes.get("tolerance", 1e-5)))]


def _half_of_squares(build: Writer, op: Operation) -> list[ir.Value]:
    x = op.inputs[0]
    return [build("Mul", build.reduce("ReduceSum", build("Mul", x, x), range(op.rank())), build.like(x, 0.5))]


def _nextafter(build: Writer, op: Operation) -> list[ir.Value]:
    raise NotInONNXError("ONNX has no neighbours of a float; add a small constant instead")


OPERATORS.add("Erfc", _erfc)
OPERATORS.add("Expm1", _expm1)
OPERATORS.add("Log1p", _log1p)
OPERATORS.add("Xlogy", _zero_where_x_is(lambda build, x, y: build("Mul", x, build("Log", y))))
OPERATORS.add("Xlog1py", _zero_where_x_is(lambda build, x, y: build("Mul", x, _log_of_one_more(build, y))))
OPERATORS.add("Xdivy", _zero_where_x_is(lambda build, x, y: build("Div", x, y)))
OPERATORS.add("Select", _select)
OPERATORS.add("SelectV2", _select)
OPERATORS.add("ApproximateEqual", _near)
OPERATORS.add("L2Loss", _half_of_squares)
OPERATORS.add("NextAfter", _nextafter)
