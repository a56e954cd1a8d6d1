"""Activations in the form that engines fuse, and the redundant ones removed.

    Max(x, 0)                = Relu(x)
    Clip(x, 0, none)         = Relu(x)
    Min(Relu(x), c)          = Clip(x, 0, c)                    for c >= 0
    Relu(Relu(x))            = Relu(x)
    Relu(Clip(x, a, b))      = Clip(x, a, b)                    for a >= 0
    Clip(Relu(x), a, b)      = Clip(x, max(a, 0), b)            for b >= 0
    Clip(Clip(x, a, b), c, d) = Clip(x, max(a, c), min(b, d))   where the intervals meet
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from converter.graph import edit, query
from converter.passes.base import GraphPass

Bounds = tuple[float, float]


class SimplifyActivations(GraphPass):
    """Write every clamp to an interval as Relu or Clip, and merge neighbours."""

    def rewrite(self, model: ir.Model) -> int:
        """One walk: each clamp looks at the clamp in front of it, which is already simplified."""
        count = sum(_rewrite(model, node) for node in model.graph)
        if count:
            edit.drop_unused(model)
        return count


def bounds(node: ir.Node) -> tuple[ir.Value, Bounds] | None:
    """``(x, (low, high))`` where ``node`` clamps x to an interval by constants, else None."""
    if not query.is_standard(node) or not node.inputs or node.inputs[0] is None:
        return None
    if node.op_type == "Relu":
        return node.inputs[0], (0.0, math.inf)
    if node.op_type == "Clip":
        low, high = query.input_at(node, 1), query.input_at(node, 2)
        if any(v is not None and query.scalar(v) is None for v in (low, high)):
            return None
        return node.inputs[0], (_or(low, -math.inf), _or(high, math.inf))
    if node.op_type in ("Max", "Min") and len(node.inputs) == 2:
        side = 1 if query.scalar(node.inputs[1]) is not None else 0
        value, source = query.scalar(node.inputs[side]), node.inputs[1 - side]
        if value is None or source is None or not _scalar_keeps_shape(node.inputs[side], source):
            return None
        return source, ((value, math.inf) if node.op_type == "Max" else (-math.inf, value))
    return None


def _or(value: ir.Value | None, default: float) -> float:
    found = query.scalar(value) if value is not None else None
    return default if found is None else found


def _scalar_keeps_shape(value: ir.Value | None, source: ir.Value) -> bool:
    array, rank = query.constant(value), query.rank_of(source)
    return array is not None and (array.ndim == 0 or (rank is not None and array.ndim <= rank))


def _rewrite(model: ir.Model, node: ir.Node) -> bool:
    found = bounds(node)
    if found is None or not query.is_float32(found[0]):
        return False
    source, (low, high) = found
    inner = source.producer()
    behind = bounds(inner) if inner is not None else None
    if behind is not None and query.sole_consumer(source) is node:
        _, (inner_low, inner_high) = behind
        if max(low, inner_low) <= min(high, inner_high):
            source, low, high = behind[0], max(low, inner_low), min(high, inner_high)
    if source is found[0] and (node.op_type == "Relu" or (node.op_type == "Clip" and (low, high) != (0.0, math.inf))):
        return False
    _become_clamp(model, node, source, low, high)
    return True


def _become_clamp(model: ir.Model, node: ir.Node, source: ir.Value, low: float, high: float) -> None:
    if (low, high) == (0.0, math.inf):
        edit.change_operator(node, "Relu", [source])
        return
    limits = [None if math.isinf(b) else edit.constant(model, f"{query.label(node)}/{side}", np.array(b, np.float32))
              for side, b in (("min", low), ("max", high))]
    edit.change_operator(node, "Clip", [source, *limits])
