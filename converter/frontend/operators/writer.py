"""A builder that knows types: it casts where ONNX Runtime has no kernel for a type, and where two types meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.graph.build import Builder

BOOL, FLOAT, INT32, INT64 = ir.DataType.BOOL, ir.DataType.FLOAT, ir.DataType.INT32, ir.DataType.INT64
CHOSEN = frozenset({FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, INT32, INT64, ir.DataType.UINT8})
"""Types that ONNX Runtime's Where takes."""
NARROW = frozenset({BOOL, ir.DataType.INT8, ir.DataType.INT16, ir.DataType.UINT16})
"""Types whose numbers are all int32 numbers."""
REDUCED = frozenset({FLOAT, ir.DataType.DOUBLE, INT32, INT64})
"""Types that ONNX Runtime's ReduceSum, ReduceProd, ReduceMax and ReduceMin all take."""


class Writer(Builder):
    """:class:`converter.graph.build.Builder` with the operators that need care."""

    def cast(self, x: ir.Value, dtype: ir.DataType) -> ir.Value:
        """``x`` as ``dtype``; ``x`` itself where it is."""
        return x if x.dtype == dtype else self("Cast", x, dtype=dtype, to=int(dtype))

    def like(self, x: ir.Value, numbers: Any) -> ir.Value:
        """A constant of the type of ``x``."""
        assert x.dtype is not None, x.name
        return self.constant(np.asarray(numbers).astype(x.dtype.numpy()))

    def ints(self, *numbers: int) -> ir.Value:
        """A constant int64 vector."""
        return self.constant(np.array(numbers, np.int64))

    def compare(self, op_type: str, a: ir.Value, b: ir.Value | float) -> ir.Value:
        """``Less``, ``Equal`` and the like, as bool; ``b`` may be a number."""
        return self(op_type, a, b if isinstance(b, ir.Value) else self.like(a, b), dtype=BOOL)

    def where(self, condition: ir.Value, a: ir.Value, b: ir.Value) -> ir.Value:
        """``a`` where ``condition`` holds, else ``b``."""
        assert a.dtype is not None
        wide = a.dtype if a.dtype in CHOSEN else INT32 if a.dtype in NARROW else INT64 if a.dtype.is_integer() else FLOAT
        return self.cast(self("Where", condition, self.cast(a, wide), self.cast(b, wide), dtype=wide), a.dtype)

    def shape(self, x: ir.Value) -> ir.Value:
        """The lengths of the axes of ``x``, int64."""
        return self("Shape", x, dtype=INT64)

    def reduce(self, op_type: str, x: ir.Value, axes: Sequence[int], *, keep: bool = False) -> ir.Value:
        """A reduction; the axes are an attribute before opset 18 (ReduceSum: 13), then an input."""
        assert x.dtype is not None
        wide = x.dtype if x.dtype in REDUCED else INT32 if x.dtype in NARROW else INT64 if x.dtype.is_integer() else FLOAT
        given = self.cast(x, wide)
        if self.opset >= 18 or op_type == "ReduceSum":
            return self.cast(self(op_type, given, self.ints(*axes), keepdims=int(keep)), x.dtype)
        return self.cast(self(op_type, given, axes=list(axes), keepdims=int(keep)), x.dtype)

    def polynomial(self, x: ir.Value, coefficients: Sequence[float]) -> ir.Value:
        """Horner's scheme; the coefficient of the highest power comes first."""
        result = self.like(x, coefficients[0])
        for c in coefficients[1:]:
            result = self("Add", self("Mul", x, result), self.like(x, c))
        return result
