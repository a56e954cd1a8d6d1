"""Typed reads of a graph. ``onnx_ir`` says None for much that a valid graph always has; that is paid here, once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError
from converter.spec.quant import Array
from converter.spec.signature import TensorInfo

LAYER_KEY = "converter.layer"


def name_of(value: ir.Value) -> str:
    """The value's name; a ConversionError where it has none (a graph under construction)."""
    if value.name is None:
        raise ConversionError(f"a value of the graph has no name: {value}")
    return value.name


def inputs_of(node: ir.Node) -> Iterator[ir.Value]:
    """The inputs that are there (optional ones may be absent)."""
    return (value for value in node.inputs if value is not None)


def input_at(node: ir.Node, index: int) -> ir.Value | None:
    """Input ``index`` of ``node``, or None where it is absent."""
    return node.inputs[index] if index < len(node.inputs) else None


def output_of(node: ir.Node) -> ir.Value:
    """The first output."""
    return node.outputs[0]


def is_constant(value: ir.Value | None) -> bool:
    """Whether ``value`` is an initializer that no caller can override."""
    return value is not None and value.const_value is not None and value.is_initializer() and not value.is_graph_input()


def constant(value: ir.Value | None) -> Array | None:
    """The numbers of an initializer that no caller can override, or None; they are read anew each time, so look at the shape first."""
    return value.const_value.numpy() if value is not None and is_constant(value) and value.const_value is not None else None


def sizes_of(value: ir.Value | None) -> tuple[int, ...] | None:
    """The shape of a constant, or None; its numbers are not touched."""
    if value is None or not is_constant(value) or value.const_value is None:
        return None
    shape = value.const_value.shape if value.shape is None else value.shape
    return tuple(int(d) for d in shape.numpy())


def scalar(value: ir.Value | None) -> float | None:
    """The number of a one-element constant, or None."""
    array = constant(value) if set(sizes_of(value) or ()) <= {1} else None
    return float(array.reshape(-1)[0]) if array is not None else None


def ints(node: ir.Node, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
    """An integer-list attribute."""
    attribute = node.attributes.get(name)
    return tuple(attribute.as_ints()) if attribute is not None else default


def integer(node: ir.Node, name: str, default: int) -> int:
    """An integer attribute."""
    attribute = node.attributes.get(name)
    return attribute.as_int() if attribute is not None else default


def number(node: ir.Node, name: str, default: float) -> float:
    """A float attribute."""
    attribute = node.attributes.get(name)
    return attribute.as_float() if attribute is not None else default


def string(node: ir.Node, name: str, default: str) -> str:
    """A text attribute."""
    attribute = node.attributes.get(name)
    return attribute.as_string() if attribute is not None else default


def shape_of(value: ir.Value) -> tuple[int | None, ...] | None:
    """The shape with None where a length is free; None where even the rank is unknown."""
    if value.shape is None:
        return None
    return tuple(d if isinstance(d, int) else None for d in value.shape)


def rank_of(value: ir.Value) -> int | None:
    """Number of axes, or None where unknown."""
    return None if value.shape is None else len(value.shape)


def is_float32(value: ir.Value) -> bool:
    """Whether the elements are float32."""
    return value.dtype == ir.DataType.FLOAT


def sole_consumer(value: ir.Value) -> ir.Node | None:
    """The one node that reads ``value`` (once), or None: several, none, it is an output of the graph, or the reader sits in a subgraph."""
    uses = tuple(value.uses())
    if len(uses) != 1 or value.is_graph_output() or uses[0].node.graph is not value.graph:
        return None
    return uses[0].node


def is_standard(node: ir.Node, *op_types: str) -> bool:
    """Whether ``node`` is one of ``op_types`` of the default domain (any of it, where none is named)."""
    return node.domain in ("", "ai.onnx") and (not op_types or node.op_type in op_types)


def label(node: ir.Node) -> str:
    """A name for what is derived from ``node``: its own, or that of what it makes."""
    return node.name or f"{node.outputs[0].name if node.outputs else 'node'}/{node.op_type}"


def producer_of(value: ir.Value | None, op_type: str) -> ir.Node | None:
    """The node that makes ``value`` if it is an ``op_type`` of the default domain."""
    node = value.producer() if value is not None else None
    return node if node is not None and is_standard(node, op_type) else None


def layer_path(node: ir.Node) -> str:
    """Path of the Keras layer that the node came from; the node's name where it did not come from Keras."""
    return node.metadata_props.get(LAYER_KEY) or node.name or node.op_type


def opset(model: ir.Model) -> int:
    """Version of the default operator domain."""
    return model.graph.opset_imports.get("", 1)


def true_inputs(model: ir.Model) -> list[ir.Value]:
    """Graph inputs that a caller must feed (initializers may be listed as inputs too)."""
    return [value for value in model.graph.inputs if not value.is_initializer()]


def info(value: ir.Value) -> TensorInfo:
    """Name, shape and dtype of an input or output."""
    shape = () if value.shape is None else tuple(d if isinstance(d, int) else (d.value or None) for d in value.shape)
    dtype = "float32" if value.dtype is None else str(np.dtype(value.dtype.numpy()))
    return TensorInfo(name_of(value), shape, dtype)


def signature(model: ir.Model) -> tuple[list[TensorInfo], list[TensorInfo]]:
    """Inputs and outputs of the model."""
    return [info(v) for v in true_inputs(model)], [info(v) for v in model.graph.outputs]


def attributes(node: ir.Node) -> dict[str, object]:
    """All attributes of ``node`` as Python values; tensors as arrays, lists as tuples."""
    return {name: _plain(attribute.value) for name, attribute in node.attributes.items()}


def _plain(value: object) -> object:
    if isinstance(value, ir.TensorProtocol):
        return value.numpy()
    return tuple(value) if isinstance(value, list | tuple) else value


def int_list(value: ir.Value | None) -> tuple[int, ...] | None:
    """The numbers of a constant integer tensor, or None."""
    array = constant(value)
    return tuple(int(v) for v in array.reshape(-1)) if array is not None and array.dtype.kind == "i" else None


def channel_vector(value: ir.Value | None, rank: int, axis: int) -> bool:
    """Whether a constant broadcasts against ``rank`` axes along ``axis`` only (a scalar does too)."""
    sizes = sizes_of(value)
    if sizes is None or len(sizes) > rank:
        return False
    lengths = (1,) * (rank - len(sizes)) + sizes
    return all(n == 1 or i == axis for i, n in enumerate(lengths))
