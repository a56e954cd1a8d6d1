"""Lift a lowered graph to a newer opset than tf2onnx can write."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, RemoveUnusedOpsetsPass

from converter.graph import io, query

ADAPTED = frozenset({"DFT", "GridSample", "GroupNormalization"})
"""Operators that onnxscript says otherwise on the way up; of all others a newer opset takes more types and settings, and means the same."""


def lift(model: ir.Model, opset: int) -> None:
    """Rewrite ``model`` in place for ``opset``, and give it the IR version that came with that opset.

    onnxscript knows how, but takes as long to import as a small model to lower: it is asked only where it has something to rewrite.
    """
    if query.opset(model) < opset:
        if model.functions or any(node.op_type in ADAPTED for node in model.graph.all_nodes()):
            from onnxscript import version_converter

            version_converter.convert_version(model, opset)
        else:
            RemoveUnusedNodesPass()(model)
            RemoveUnusedOpsetsPass()(model)
            model.opset_imports.pop("ai.onnx", None)
            model.opset_imports[""] = opset
    model.ir_version = max(io.ir_version_of(opset), io.OLDEST_IR)
