"""Where a graph is cut: a name becomes the value that is handed over, and the grid that its readers see it through.

In a graph of QuantizeLinear and DequantizeLinear pairs one tensor has three names: the real numbers, their codes, and the real numbers of the
codes. All three mean the same seam, whose root is the first of them that the graph has.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from converter.errors import UsageError, known
from converter.graph import edit, query
from converter.spec.quant import Array
from converter.transfer.flow import Flow

CODERS = ("", "ai.onnx", "com.microsoft")
INTEGER_OPERATORS = ("QLinear", "QGemm")
CLOSE = 3


@dataclass(frozen=True)
class Grid:
    """The grid of a QuantizeLinear or DequantizeLinear node.

    Args:
        scale, zero_point: as in the node, scalars or a number a channel; a zero point that is left out is 0.
        dtype: of the codes.
        layout: axis and block size; empty where there is one scale.
    """

    scale: Array
    zero_point: Array
    dtype: ir.DataType
    layout: tuple[int, ...] = ()

    def same(self, other: Grid | None) -> bool:
        """Whether codes of the one are codes of the other, bit for bit."""
        return (other is not None and self.dtype == other.dtype and self.layout == other.layout and self.scale.dtype == other.scale.dtype
                and np.array_equal(self.scale, other.scale) and np.array_equal(self.zero_point, other.zero_point))

    def describe(self) -> str:
        """For messages: ``uint8, scale 0.02, zero point 3``; the first and last number where there are several."""
        scale, zero = (f"{a.reshape(-1)[0]:.9g}" + (f" to {a.reshape(-1)[-1]:.9g}" if a.size > 1 else "")
                       for a in (self.scale.astype(float), self.zero_point.astype(float)))
        return f"{self.dtype.name.lower()}, scale {scale}, zero point {zero}"


def codes_node(node: ir.Node | None, op_type: str) -> bool:
    """Whether ``node`` is a QuantizeLinear (or DequantizeLinear), also of onnxruntime's own domain."""
    return node is not None and node.op_type == op_type and node.domain in CODERS and bool(node.inputs) and node.inputs[0] is not None


def coder_like(model: ir.Model, op_type: str, source: ir.Value, like: tuple[ir.Node, int], base: str) -> ir.Node:
    """A QuantizeLinear or DequantizeLinear of ``source``, in no graph yet, on the grid on which the reader ``like`` reads."""
    node, at = like
    coder = node.op_type in ("QuantizeLinear", "DequantizeLinear")
    attributes = {name: a.value for name, a in node.attributes.items() if coder and name in ("axis", "block_size")}
    made = edit.new_node(model, op_type, [source, *node.inputs[at + 1:at + 3]], f"{base}/{op_type}", attributes, node)
    made.domain = node.domain if coder else ""
    return made


def numbers(value: ir.Value | None) -> Array | None:
    """The numbers of an initializer or of a Constant node, or None."""
    tensor = None if value is None or value.is_graph_input() else ir.convenience.get_const_tensor(value)
    return None if tensor is None else tensor.numpy()


def grid_at(node: ir.Node, at: int = 0) -> Grid | None:
    """The grid of a QuantizeLinear or DequantizeLinear, or that on which an integer operator reads its input ``at``; None where it is computed."""
    scale, zero = numbers(query.input_at(node, at + 1)), query.input_at(node, at + 2)
    held = numbers(zero)
    if scale is None or (zero is not None and held is None):
        return None
    codes = query.output_of(node) if node.op_type == "QuantizeLinear" else node.inputs[at]
    dtype = zero.dtype if zero is not None and zero.dtype is not None else codes.dtype if codes is not None else None
    layout = (query.integer(node, "axis", 1), query.integer(node, "block_size", 0)) if scale.size > 1 else ()
    return Grid(scale, np.zeros_like(scale, np.int32) if held is None else held, dtype or ir.DataType.UINT8, layout)


def is_integer(value: ir.Value) -> bool:
    """Whether the elements are integers."""
    return value.dtype is not None and value.dtype.is_integer()


def reads_codes(node: ir.Node, at: int) -> bool:
    """Whether ``node`` takes codes as its input ``at`` and is told their grid behind them: DequantizeLinear, QLinearConv and its kind."""
    return (at == 0 and codes_node(node, "DequantizeLinear")) or bool(node.op_type.startswith(INTEGER_OPERATORS))


def readers_grid(value: ir.Value) -> Grid | None:
    """The one grid that all readers of ``value`` see it through: they make codes of it, or read it as codes. None where some do not.

    Readers of codes that only move them do not count.
    """
    if value.is_graph_output():
        return None
    if is_integer(value):
        grids = [grid_at(use.node, use.idx) for use in value.uses() if reads_codes(*use)]
    else:
        grids = [grid_at(use.node) if codes_node(use.node, "QuantizeLinear") and use.idx == 0 else None for use in value.uses()]
    return grids[0] if grids and grids[0] is not None and all(grids[0].same(g) for g in grids) else None


def root_of(value: ir.Value, live: set[ir.Value]) -> ir.Value:
    """The real numbers that ``value`` are codes of, or are read from; the codes themselves where no node of the graph makes them."""
    maker = value.producer()
    codes = maker.inputs[0] if maker is not None and codes_node(maker, "DequantizeLinear") else value
    assert codes is not None
    if codes not in live:
        return value  # a weight
    maker = codes.producer()
    source = maker.inputs[0] if maker is not None and codes_node(maker, "QuantizeLinear") else None
    return source if source is not None else codes


def family(root: ir.Value) -> set[ir.Value]:
    """``root``, its codes, and the real numbers read from them."""
    codes = {use.node.outputs[0] for use in root.uses() if codes_node(use.node, "QuantizeLinear")} if not is_integer(root) else {root}
    return {root} | codes | {use.node.outputs[0] for c in codes for use in c.uses() if codes_node(use.node, "DequantizeLinear")}


def find(flow: Flow, name: str, whose: str) -> ir.Value:
    """The root of the seam called ``name``: a tensor, a node, or a Keras layer, looked for in this order.

    Args:
        flow: of the graph.
        name: what a layer called so gives out is the seam; a model inside the model is a layer too.
        whose: donor or recipient, for messages.

    Raises:
        UsageError: there is no such name, or several tensors could be meant; they are listed.
    """
    live = flow.live()
    values = {query.name_of(v): v for v in flow.values()}
    if name in values:
        if values[name] not in live:
            raise UsageError(f"{name!r} of the {whose} does not depend on its inputs: it is a weight or a constant, and no seam")
        return root_of(values[name], live)
    nodes = [node for node in flow.graph if node.name == name] or [node for node in flow.graph if _in_layer(node, name)]
    if not nodes:
        raise UsageError(f"the {whose} has no tensor, node or layer called {name!r}; {_close(name, _names(flow))}")
    inside = set(nodes)
    out = [v for node in nodes for v in node.outputs if v in live and (v.is_graph_output() or any(n not in inside for n in flow.readers(v)))]
    roots = list(dict.fromkeys(root_of(v, live) for v in out))
    if len(roots) != 1:
        raise UsageError(f"{name!r} of the {whose} gives out {len(roots)} tensors, and a seam is one; name one of: "
                         f"{known(query.name_of(v) for v in roots)}")
    return roots[0]


def _in_layer(node: ir.Node, name: str) -> bool:
    path = node.metadata_props.get(query.LAYER_KEY, "")
    return path == name or path.startswith(f"{name}/")


def _names(flow: Flow) -> list[str]:
    found = [query.name_of(v) for v in flow.values() if v in flow.live()]
    for node in flow.graph:
        found += [node.name or "", node.metadata_props.get(query.LAYER_KEY, "")]
    return list(dict.fromkeys(filter(None, found)))


def _close(name: str, names: Iterable[str]) -> str:
    """The names that are most like ``name``, or the layers and tensors there are."""
    there = list(names)
    found = difflib.get_close_matches(name, there, CLOSE, 0.5) or [n for n in there if name in n][:CLOSE]
    return f"close to it: {', '.join(found)}" if found else f"it has {known(there)}"
