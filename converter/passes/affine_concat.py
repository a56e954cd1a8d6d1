"""A per-channel scale or shift behind a Concat moves in front of it, where every part can take its share.

    Concat(a, b, ..) * s  =  Concat(a * s_a, b * s_b, ..)        s cut where the parts meet; likewise for + t

Done where all parts are made by linear nodes that nothing else reads: there the shares vanish in the weights (NASNet puts
BatchNorm behind two convolutions side by side).
"""

from __future__ import annotations

import itertools

import numpy as np
import onnx_ir as ir

from converter.graph import edit, query
from converter.passes.affine import LINEAR
from converter.passes.base import GraphPass


class AffineBeforeConcat(GraphPass):
    """Cut Mul, Div, Add and Sub of a Concat of linear nodes into one for every part."""

    def rewrite(self, model: ir.Model) -> int:
        """For every Concat over channels, move reader after reader."""
        count = 0
        for node in model.graph:
            if query.is_standard(node, "Concat") and _parts(node):
                while _move_reader(model, node):
                    count += 1
        if count:
            edit.drop_unused(model)
        return count


def _parts(concat: ir.Node) -> bool:
    """Whether every part is made by a linear node for this Concat alone."""
    rank = query.rank_of(concat.outputs[0])
    if rank is None or rank < 2 or query.integer(concat, "axis", 0) % rank != 1:
        return False
    return all(value is not None and query.sole_consumer(value) is concat and _is_linear(value.producer()) for value in concat.inputs)


def _is_linear(node: ir.Node | None) -> bool:
    return node is not None and query.is_standard(node, *LINEAR) and query.is_constant(node.inputs[1])


def _move_reader(model: ir.Model, concat: ir.Node) -> bool:
    out = concat.outputs[0]
    reader, rank, widths = query.sole_consumer(out), query.rank_of(out), [_width(value) for value in concat.inputs]
    if reader is None or rank is None or None in widths or not query.is_standard(reader, "Mul", "Div", "Add", "Sub"):
        return False
    side = 1 if reader.inputs[0] is out else 0
    other, ends = reader.inputs[side], [0, *itertools.accumulate(width for width in widths if width is not None)]
    sizes = query.sizes_of(other)
    if other is None or sizes is None or not query.is_float32(other) or not query.channel_vector(other, rank, 1):
        return False
    if len(sizes) < rank - 1 or sizes[len(sizes) - rank + 1] != ends[-1]:  # one number for all, or too few axes to be one a channel
        return False
    moved = [_share(model, reader, value, other, side, (start, end), len(sizes) - rank + 1)
             for value, (start, end) in zip(concat.inputs, itertools.pairwise(ends), strict=True)]
    edit.set_inputs(concat, moved)
    edit.bypass(reader, out)
    return True


def _width(value: ir.Value | None) -> int | None:
    shape = query.shape_of(value) if value is not None else None
    return shape[1] if shape is not None else None


def _share(
    model: ir.Model, reader: ir.Node, value: ir.Value | None, other: ir.Value, side: int, part: tuple[int, int], axis: int
) -> ir.Value:
    assert value is not None
    maker = value.producer()
    assert maker is not None
    share = edit.derive(model, "Slice", [other, *(np.array([n]) for n in (*part, axis))], query.name_of(other))
    pair = [value, share] if side else [share, value]
    made = edit.insert_after(model, maker, reader.op_type, pair, f"{query.label(reader)}/part")
    made.shape, made.type = value.shape, value.type
    return made
