"""Averages over all positions as GlobalAveragePool: ``ReduceMean over the spatial axes (x) = GlobalAveragePool(x)``.

Without ``keepdims`` a Flatten follows, since GlobalAveragePool keeps the axes. Exact up to the order of the sum.
Moments of a normalization, ``x - ReduceMean(x)`` and ``ReduceMean(x^2)``, stay: engines fuse these.
"""

from __future__ import annotations

import onnx_ir as ir

from converter.graph import edit, query
from converter.passes.base import GraphPass, Promise


class ReduceMeanToPool(GraphPass):
    """ReduceMean over all spatial axes of a channels-first tensor becomes GlobalAveragePool."""

    promise = Promise.ROUNDING

    def rewrite(self, model: ir.Model) -> int:
        """One walk."""
        count = sum(_rewrite(model, node) for node in model.graph if query.is_standard(node, "ReduceMean"))
        if count:
            edit.drop_unused(model)
        return count


def _rewrite(model: ir.Model, node: ir.Node) -> bool:
    source = node.inputs[0]
    rank = query.rank_of(source) if source is not None else None
    axes = query.ints(node, "axes") or query.int_list(query.input_at(node, 1))
    if source is None or rank is None or rank < 3 or not axes or not query.is_float32(source):
        return False
    if sorted(a % rank for a in axes) != list(range(2, rank)) or _is_moment(node, source):
        return False
    if query.integer(node, "keepdims", 1):
        edit.change_operator(node, "GlobalAveragePool", [source])
        return True
    pooled = edit.insert_before(model, node, "GlobalAveragePool", [source], f"{query.label(node)}/GlobalAveragePool")
    if source.shape is not None:
        pooled.shape = ir.Shape([*list(source.shape)[:2], *[1] * (rank - 2)])
    edit.change_operator(node, "Flatten", [pooled], axis=1)
    return True


def _is_moment(node: ir.Node, source: ir.Value) -> bool:
    made, centred = source.producer(), any(query.is_standard(use.node, "Sub") and source in use.node.inputs for use in node.outputs[0].uses())
    squared = made is not None and (query.is_standard(made, "Pow") or (query.is_standard(made, "Mul") and made.inputs[0] is made.inputs[1]))
    return centred or squared
