"""Reshapes one behind the other, and those that change nothing.

    Reshape(f(x), s)  =  Reshape(x, s)     where f is Reshape, Flatten, Squeeze or Unsqueeze, and s names every length but one
    Reshape(x, s)     =  x                 where s are the lengths that x has, at most one of them free

So the gate of a squeeze-and-excite block is read off GlobalAveragePool without two reshapes between them.
"""

from __future__ import annotations

import onnx_ir as ir

from converter.graph import edit, query
from converter.passes.base import GraphPass

KEEPS_ORDER = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


class MergeReshapes(GraphPass):
    """Leave one Reshape of a chain, or none."""

    def rewrite(self, model: ir.Model) -> int:
        """One walk; what a Reshape reads is already merged."""
        count = sum(_rewrite(node) for node in model.graph if query.is_standard(node, "Reshape"))
        if count:
            edit.drop_unused(model)
        return count


def _rewrite(node: ir.Node) -> bool:
    target, source = query.int_list(query.input_at(node, 1)), node.inputs[0]
    if target is None or source is None or 0 in target or target.count(-1) > 1:
        return False
    behind = source
    while (inner := _in_front(behind, node)) is not None:
        behind = inner
    if behind is not source:
        edit.set_inputs(node, [behind, node.inputs[1]])
    if _has_these(behind, target) and not (node.outputs[0].is_graph_output() and (behind.producer() is None or behind.is_graph_output())):
        edit.bypass(node, behind)
        return True
    return behind is not source


def _in_front(value: ir.Value, node: ir.Node) -> ir.Value | None:
    """What ``value`` is another shape of."""
    maker = value.producer()
    return maker.inputs[0] if maker is not None and query.is_standard(maker, *KEEPS_ORDER) and maker.graph is node.graph else None


def _has_these(value: ir.Value, target: tuple[int, ...]) -> bool:
    """Whether ``value`` has the lengths of ``target``; the one that is open must be the one that is free."""
    shape = query.shape_of(value)
    return shape is not None and tuple(-1 if d is None else d for d in shape) == target
