"""What is known of vectors of lengths: tf2onnx writes shapes as arithmetic on Shape, though all but the batch is known.

    Shape(x)              the lengths of x, unknown where they are free
    Gather, Slice, Concat, Unsqueeze, Squeeze, Cast, Identity      of what is known
    ReduceProd, Mul, Add, Sub      known where every number in it is

A length is a whole number, or None where it depends on the input.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir

from converter.graph import query

Known = list[int | None]
LONGEST = 64  # a shape has no more entries; longer constants are data


class Lengths:
    """Looks up values, each once."""

    def __init__(self) -> None:
        self._found: dict[int, Known | None] = {}

    def of(self, value: ir.Value | None) -> Known | None:
        """The entries of a vector, or the one of a scalar; None where even their number is unknown."""
        if value is None:
            return None
        if id(value) not in self._found:
            self._found[id(value)] = None  # a graph has no cycles, but a broken one must not hang
            self._found[id(value)] = self._look(value)
        return self._found[id(value)]

    def _look(self, value: ir.Value) -> Known | None:
        node = value.producer()
        if value.const_value is not None:
            return _constant(value.const_value)
        if node is None or not query.is_standard(node) or node.op_type not in RULES:
            return None
        return RULES[node.op_type](self, node)

    def inputs(self, node: ir.Node) -> list[Known] | None:
        """Those of all inputs, or None where one is unknown."""
        found = [self.of(value) for value in node.inputs]
        return None if None in found else [entries for entries in found if entries is not None]


def _constant(tensor: ir.TensorProtocol) -> Known | None:
    if tensor.size > LONGEST or len(tensor.shape) > 1 or not tensor.dtype.is_integer():
        return None
    return [int(n) for n in tensor.numpy().reshape(-1)]


def _shape(known: Lengths, node: ir.Node) -> Known | None:
    source = node.inputs[0]
    shape = query.shape_of(source) if source is not None else None
    return None if shape is None else list(shape[query.integer(node, "start", 0):query.integer(node, "end", len(shape))])


def _same(known: Lengths, node: ir.Node) -> Known | None:
    return known.of(node.inputs[0])


def _unsqueeze(known: Lengths, node: ir.Node) -> Known | None:
    """A number that nothing is known of is one entry still."""
    return known.of(node.inputs[0]) or ([None] if query.rank_of(node.outputs[0]) in (None, 1) else None)


def _gather(known: Lengths, node: ir.Node) -> Known | None:
    data, at = known.of(node.inputs[0]), known.of(node.inputs[1])
    if data is None or at is None or any(i is None or not -len(data) <= i < len(data) for i in at):
        return None
    return [data[i] for i in at if i is not None]


def _slice(known: Lengths, node: ir.Node) -> Known | None:
    found = known.inputs(node)
    if found is None or len(found) < 3 or any(len(part) != 1 or part[0] is None for part in found[1:]):
        return None
    step = found[4][0] if len(found) > 4 else 1
    return found[0][found[1][0]:found[2][0]:step] if step and step > 0 else None


def _concat(known: Lengths, node: ir.Node) -> Known | None:
    found = known.inputs(node)
    return None if found is None else [entry for part in found for entry in part]


def _product(known: Lengths, node: ir.Node) -> Known | None:
    entries = known.of(node.inputs[0])
    if entries is None or query.rank_of(node.outputs[0]) not in (0, 1):
        return None
    return [None if None in entries else math.prod(n for n in entries if n is not None)]


def _pairwise(combine: Callable[[int, int], int]) -> Callable[[Lengths, ir.Node], Known | None]:
    def rule(known: Lengths, node: ir.Node) -> Known | None:
        found = known.inputs(node)
        if found is None:
            return None
        a, b = _stretched(found[0], len(found[1])), _stretched(found[1], len(found[0]))
        return [None if x is None or y is None else combine(x, y) for x, y in zip(a, b, strict=True)] if len(a) == len(b) else None

    return rule


def _stretched(entries: Sequence[int | None], count: int) -> Known:
    return list(entries) * count if len(entries) == 1 else list(entries)


RULES: Mapping[str, Callable[[Lengths, ir.Node], Known | None]] = {
    "Shape": _shape, "Gather": _gather, "Slice": _slice, "Concat": _concat, "ReduceProd": _product,
    **dict.fromkeys(("Cast", "Identity", "Squeeze"), _same), "Unsqueeze": _unsqueeze,
    "Mul": _pairwise(operator.mul), "Add": _pairwise(operator.add), "Sub": _pairwise(operator.sub),
}
