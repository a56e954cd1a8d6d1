"""How a node moves in front of the transposes that feed it, one function for every kind of operator.

Each gives ``(inputs, attributes, perm)``: what the node reads and is set to, and the perm that its output then needs;
or None where it cannot move.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from converter.graph import edit, query

Perm = tuple[int, ...]
Moved = tuple[list[ir.Value | None], dict[str, Any], Perm]


def unary(model: ir.Model, node: ir.Node, perm: Perm) -> Moved | None:
    """Elementwise on the first input; the others are scalars."""
    source = source_of(node.inputs[0], perm)
    return None if source is None else ([source, *node.inputs[1:]], {}, perm)


def binary(model: ir.Model, node: ir.Node, perm: Perm) -> Moved | None:
    """Elementwise on several inputs: all come out of the same transpose, or are constants, or have one element."""
    inputs: list[ir.Value | None] = []
    for value in node.inputs:
        moved = source_of(value, perm) or _constant(model, value, perm) or _thin(model, node, value, perm)
        if moved is None:
            return None
        inputs.append(moved)
    return inputs, {}, perm


def reduction(model: ir.Model, node: ir.Node, perm: Perm) -> Moved | None:
    """A reduction over axes that are an attribute or a constant second input."""
    source, axes = source_of(node.inputs[0], perm), _axes(node)
    if source is None or not axes:  # no axes means all of them, or none
        return None
    outer = sorted(a % len(perm) for a in axes)
    inner = sorted(perm[a] for a in outer)
    keep = query.integer(node, "keepdims", 1)
    inputs, attributes = _with_axes(model, node, source, inner)
    return inputs, attributes, perm if keep else _without(perm, outer)


def along_axis(model: ir.Model, node: ir.Node, perm: Perm) -> Moved | None:
    """An operator with one axis that keeps the shape."""
    source = source_of(node.inputs[0], perm)
    axis = query.integer(node, "axis", -1) % len(perm)
    return None if source is None else ([source], {"axis": perm[axis]}, perm)


def concat(model: ir.Model, node: ir.Node, perm: Perm) -> Moved | None:
    """Concatenation; every input comes out of the same transpose or is a constant."""
    inputs = [source_of(value, perm) or _constant(model, value, perm) for value in node.inputs]
    axis = query.integer(node, "axis", 0) % len(perm)
    return None if any(v is None for v in inputs) else (list(inputs), {"axis": perm[axis]}, perm)


def pad(model: ir.Model, node: ir.Node, perm: Perm) -> Moved | None:
    """Pad with constant amounts for every axis."""
    source, amounts = source_of(node.inputs[0], perm), query.int_list(query.input_at(node, 1))
    rank = len(perm)
    if source is None or amounts is None or len(amounts) != 2 * rank or query.input_at(node, 3) is not None:
        return None
    moved = [0] * (2 * rank)
    for outer, inner in enumerate(perm):
        moved[inner], moved[rank + inner] = amounts[outer], amounts[rank + outer]
    value = edit.constant(model, f"{query.label(node)}/pads", np.array(moved, np.int64))
    return [source, value, *node.inputs[2:]], {}, perm


def cut(model: ir.Model, node: ir.Node, perm: Perm) -> Moved | None:
    """Slice with constant axes."""
    source, axes = source_of(node.inputs[0], perm), query.int_list(query.input_at(node, 3))
    if source is None or axes is None:
        return None
    bounds = query.constant(node.inputs[3])  # all four have one type
    kind = bounds.dtype if bounds is not None else np.dtype(np.int64)
    inner = edit.constant(model, f"{query.label(node)}/axes", np.array([perm[a % len(perm)] for a in axes], kind))
    return [source, *node.inputs[1:3], inner, *node.inputs[4:]], {}, perm


def squeeze(model: ir.Model, node: ir.Node, perm: Perm) -> Moved | None:
    """Squeeze of named axes."""
    source, axes = source_of(node.inputs[0], perm), _axes(node)
    if source is None or not axes:
        return None
    outer = sorted(a % len(perm) for a in axes)
    inputs, attributes = _with_axes(model, node, source, sorted(perm[a] for a in outer))
    return inputs, attributes, _without(perm, outer)


def unsqueeze(model: ir.Model, node: ir.Node, perm: Perm) -> Moved | None:
    """Unsqueeze of one axis: the new axis is put before the axis that follows it, so that it keeps its neighbour."""
    source, axes = source_of(node.inputs[0], perm), _axes(node)
    if source is None or axes is None or len(axes) != 1:
        return None
    outer = axes[0] % (len(perm) + 1)
    inner = perm[outer] if outer < len(perm) else len(perm)
    shifted = [p + (p >= inner) for p in perm]
    inputs, attributes = _with_axes(model, node, source, [inner])
    return inputs, attributes, (*shifted[:outer], inner, *shifted[outer:])


def source_of(value: ir.Value | None, perm: Perm) -> ir.Value | None:
    """What ``value`` is the transpose of, if by ``perm``."""
    node = query.producer_of(value, "Transpose")
    return node.inputs[0] if node is not None and query.ints(node, "perm") == perm else None


def _constant(model: ir.Model, value: ir.Value | None, perm: Perm) -> ir.Value | None:
    """A constant as it must be in front of the transpose: ``T_p^-1`` of it, one axis added on the left where it has fewer."""
    sizes = query.sizes_of(value)
    if sizes is None or value is None or len(sizes) > len(perm):
        return None
    if not sizes:
        return value
    back, base = tuple(perm.index(i) for i in range(len(perm))), query.name_of(value)
    aligned = (1,) * (len(perm) - len(sizes)) + sizes
    if sum(n != 1 for n in aligned) < 2:  # a vector: no number passes another
        return edit.derive(model, "Reshape", [value, np.array([aligned[i] for i in back])], base)
    if len(sizes) < len(perm):
        return edit.derive(model, "Transpose", [edit.compute(model, "Reshape", [value, np.array(aligned)], base)], base, perm=back)
    return edit.derive(model, "Transpose", [value], base, perm=back)


def _thin(model: ir.Model, node: ir.Node, value: ir.Value | None, perm: Perm) -> ir.Value | None:
    """An activation with one long axis beside the batch (a gate ``(n, 1, 1, c)``): moving its axes costs nothing."""
    shape = query.shape_of(value) if value is not None else None
    if value is None or shape is None or len(shape) != len(perm) or sum(d != 1 for d in shape[1:]) > 1 or perm[0] != 0:
        return None
    back = [perm.index(i) for i in range(len(perm))]
    turned = edit.insert_before(model, node, "Transpose", [value], f"{query.label(node)}/Transpose", {"perm": back})
    turned.shape = ir.Shape([shape[i] if shape[i] is not None else value.shape[i] for i in back])  # type: ignore[index]
    return turned


def _axes(node: ir.Node) -> tuple[int, ...] | None:
    if "axes" in node.attributes:
        return query.ints(node, "axes")
    return query.int_list(query.input_at(node, 1))


def _with_axes(model: ir.Model, node: ir.Node, source: ir.Value, axes: list[int]) -> tuple[list[ir.Value | None], dict[str, Any]]:
    if "axes" in node.attributes:
        return [source], {"axes": axes}
    return [source, edit.constant(model, f"{query.label(node)}/axes", np.array(axes, np.int64))], {}


def _without(perm: Perm, outer: list[int]) -> Perm:
    """``perm`` with the outer axes removed and the rest renumbered."""
    kept = [p for i, p in enumerate(perm) if i not in outer]
    return tuple(sorted(kept).index(p) for p in kept)
