"""Give a lowered graph its weights and its names: initializers by Keras variable path, nodes by Keras layer path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.frontend.axes import name_axes
from converter.frontend.lower import layer_of
from converter.frontend.trace import Trace
from converter.graph import ledger, names, query
from converter.graph.query import LAYER_KEY
from converter.spec.quant import Array


def bind(model: ir.Model, traced: Trace, axes: Mapping[str, str] | None = None) -> None:
    """Turn the variable inputs of ``model`` into initializers, start its ledger, and name inputs, outputs, their axes and nodes.

    Args:
        model, traced: a lowered graph and where it came from.
        axes: see :func:`converter.frontend.axes.name_axes`.
    """
    graph = model.graph
    model.meta[ledger.META] = ledger.Ledger(opset=query.opset(model))
    book = ledger.of(model)
    for name, value in graph.initializers.items():
        book.constant(name, _numbers(value))
    by_name = {query.name_of(v): v for v in graph.inputs}
    free = {name: by_name[name] for name in traced.inputs if name in by_name}
    graph.inputs.clear()
    graph.inputs.extend(free[name] for name in traced.inputs if name in free)
    _variables(model, traced, by_name)
    for name, tensor in traced.constants.items():
        if name in by_name:
            array = _shared(tensor)
            _become_initializer(model, by_name[name], array, name)
            book.constant(query.name_of(by_name[name]), array)
    _name_ends(model, traced, free)
    name_axes(model, axes)
    _name_nodes(model, traced)


def _numbers(value: ir.Value) -> Array:
    assert value.const_value is not None
    return value.const_value.numpy()


def _shared(tensor: Any) -> Array:
    """The numbers of a TensorFlow tensor or variable without a copy.

    TensorFlow writes to a variable's memory only while nobody else holds it, so training later does not change the array.
    """
    import tensorflow as tf

    held = tf.convert_to_tensor(tensor)
    try:
        return np.asarray(memoryview(held))
    except (TypeError, ValueError, BufferError, tf.errors.OpError):  # a type that Python's buffers do not know, such as bfloat16
        return np.asarray(held.numpy())


def _variables(model: ir.Model, traced: Trace, by_name: dict[str, ir.Value]) -> None:
    book = ledger.of(model)
    for name, variable in traced.variables.items():
        value = by_name.get(name)
        if value is None or not value.uses():
            continue
        path = traced.variable_names[name]
        _become_initializer(model, value, _shared(variable.value), f"@{path}")  # the plain path is for what is left in the end
        book.variable(query.name_of(value), path)


def _become_initializer(model: ir.Model, value: ir.Value, array: Array, base: str) -> None:
    value.name = names.fresh_name(model, base)
    value.shape, value.const_value = ir.Shape(array.shape), ir.tensor(array, name=value.name)
    value.type = ir.TensorType(value.const_value.dtype)
    model.graph.register_initializer(value)


def _name_ends(model: ir.Model, traced: Trace, free: dict[str, ir.Value]) -> None:
    for old, name in zip(traced.inputs, traced.input_names, strict=True):
        if old in free:
            free[old].name = names.fresh_name(model, name)
    for value, name in zip(model.graph.outputs, traced.output_names, strict=True):
        value.name = names.fresh_name(model, name)


def _name_nodes(model: ir.Model, traced: Trace) -> None:
    """Name every node and what it makes by layer path and operator, and note the layer path on it."""
    ends = {id(v) for v in model.graph.outputs}
    nodes = list(model.graph.all_nodes())
    paths = _layers(nodes, traced)
    for node in nodes:
        path = paths.get(id(node))
        if path:
            node.metadata_props[LAYER_KEY] = path
        node.name = names.fresh_name(model, f"{path or 'graph'}/{node.op_type}")
        for index, out in enumerate(node.outputs):
            if out.name and id(out) not in ends:  # an output without a name is left out
                out.name = names.fresh_name(model, f"{node.name}:{index}")


def _layers(nodes: list[ir.Node], traced: Trace) -> dict[int, str]:
    """Layer path of every node by identity.

    Some nodes that stand for one TensorFlow operator together lose its name, all but the last: they get the layer of what
    reads them. What is still without a layer then gets the layer of what it reads.
    """
    paths: dict[int, str] = {}
    for node in nodes:
        path = layer_of(node.name or "", traced) or layer_of(node.outputs[0].name or "", traced)
        if path:
            paths[id(node)] = path
    for node in reversed(nodes):
        _inherit(paths, node, (use.node for out in node.outputs for use in out.uses()))
    for node in nodes:
        _inherit(paths, node, (p for v in query.inputs_of(node) if (p := v.producer()) is not None))
    return paths


def _inherit(paths: dict[int, str], node: ir.Node, neighbours: Iterable[ir.Node]) -> None:
    path = next((paths[id(n)] for n in neighbours if id(n) in paths), None)
    if path is not None:
        paths.setdefault(id(node), path)
