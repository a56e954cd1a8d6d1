"""Lift a lowered graph to a newer opset than tf2onnx can write."""

from __future__ import annotations

import onnx_ir as ir

from converter.graph import io, query


def lift(model: ir.Model, opset: int) -> None:
    """Rewrite ``model`` in place for ``opset``, and give it the IR version that came with that opset."""
    if query.opset(model) < opset:
        from onnxscript import version_converter

        version_converter.convert_version(model, opset)
    model.ir_version = max(io.ir_version_of(opset), io.OLDEST_IR)
