"""BatchNormalization of ONNX files as what Keras writes for it, so that one set of folds serves both.

    BatchNormalization(x, gamma, beta, mean, var)  =  x * s + t        s = gamma / sqrt(var + epsilon),   t = beta - mean * s

(ONNX, BatchNormalization with ``training_mode`` 0). The steps go into the ledger: a fold can be replayed on new statistics.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from converter.graph import edit, query
from converter.passes.base import GraphPass, Promise


class BatchNormToAffine(GraphPass):
    """BatchNormalization with constant vectors becomes Mul and Add."""

    promise = Promise.ROUNDING

    def rewrite(self, model: ir.Model) -> int:
        """One walk."""
        found = [node for node in model.graph if query.is_standard(node, "BatchNormalization") and _fits(node)]
        for node in found:
            _spell_out(model, node)
        if found:
            edit.drop_unused(model)
        return len(found)


def _fits(node: ir.Node) -> bool:
    source, vectors = node.inputs[0], [v for v in node.inputs[1:5] if query.is_constant(v)]
    others = any(out.uses() or out.is_graph_output() for out in node.outputs[1:])
    return (source is not None and query.rank_of(source) is not None and not others and not query.integer(node, "training_mode", 0)
            and query.is_float32(source) and len(vectors) == 4 and all(v is not None and query.is_float32(v) for v in vectors))


def _spell_out(model: ir.Model, node: ir.Node) -> None:
    gamma, beta, mean, variance = (v for v in node.inputs[1:5] if v is not None)
    base, source = query.label(node), node.inputs[0]
    epsilon = np.float32(query.number(node, "epsilon", 1e-5))
    spread = edit.compute(model, "Sqrt", [edit.compute(model, "Add", [variance, np.asarray(epsilon)], f"{base}/spread")], f"{base}/deviation")
    scale = edit.compute(model, "Div", [gamma, spread], f"{base}/scale")
    shift = edit.compute(model, "Sub", [beta, edit.compute(model, "Mul", [mean, scale], f"{base}/offset")], f"{base}/shift")
    behind = np.array([-1, *[1] * ((query.rank_of(source) or 2) - 2)], np.int64) if source is not None else np.array([-1], np.int64)
    factor, addend = (edit.derive(model, "Reshape", [numbers, behind], f"{numbers.name}/channels") for numbers in (scale, shift))
    product = edit.insert_before(model, node, "Mul", [source, factor], f"{base}/Mul")
    product.shape = node.outputs[0].shape
    node.resize_outputs(1)
    edit.change_operator(node, "Add", [product, addend])
