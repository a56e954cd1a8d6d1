"""In which order of its axes a value is wanted: what decides whether a rewrite that costs something pays.

A transpose moves past most operators for nothing. Past a product or a normalization over the last axis it moves only by
making other operators of them, which pays where the transpose meets its inverse later, or vanishes in an average over
all positions. One walk from the end tells that for every value.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from converter.graph import ops, query

Perm = tuple[int, ...]
ANY: Perm = ()  # whatever the order: all positions are summed up
NEVER: Perm = (-1,)
PASSED = ops.UNARY | ops.BINARY | {"Concat", "Pad", "Slice", "Softmax", "LayerNormalization"}


def wanted(model: ir.Model) -> dict[int, Perm]:
    """By identity of a value: the perm of all transposes that it reaches, ANY, or NEVER where something else needs its order."""
    found: dict[int, Perm] = {}
    for node in reversed(model.graph):
        for out in node.outputs:
            found[id(out)] = NEVER if out.is_graph_output() else _common(found, out)
    return found


def _common(found: dict[int, Perm], value: ir.Value) -> Perm:
    perms = {perm for perm in _wishes(found, value) if perm != ANY}
    return next(iter(perms), ANY) if len(perms) < 2 else NEVER


def _wishes(found: dict[int, Perm], value: ir.Value) -> Iterator[Perm]:
    for use in value.uses():
        node = use.node
        if not query.is_standard(node) or node.graph is not value.graph or not node.outputs:
            yield NEVER
        elif node.op_type == "Transpose":
            yield query.ints(node, "perm") or NEVER
        elif node.op_type in ops.REDUCE:
            yield _over_space(found, node, value)
        elif node.op_type in PASSED or (node.op_type == "MatMul" and use.idx == 0 and query.is_constant(node.inputs[1])):
            yield found.get(id(node.outputs[0]), NEVER)
        else:
            yield NEVER


def _over_space(found: dict[int, Perm], node: ir.Node, value: ir.Value) -> Perm:
    rank, axes = query.rank_of(value), query.ints(node, "axes") or query.int_list(query.input_at(node, 1))
    if rank is None or not axes or sorted(a % rank for a in axes) != list(range(1, rank - 1)):
        return NEVER
    return found.get(id(node.outputs[0]), NEVER) if query.integer(node, "keepdims", 1) else ANY
