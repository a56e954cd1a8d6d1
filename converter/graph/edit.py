"""The only writer: every change of a graph goes through here, so that names stay unique and folds are recorded.

All edits cost time in the number of uses they touch, never in the size of the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.graph import io, ledger, query
from converter.spec.quant import Array


def fresh_name(model: ir.Model, base: str) -> str:
    """``base``, or ``base`` with a number behind it: a value name that the graph does not have yet."""
    taken: set[str] | None = model.meta.get("names")
    if taken is None:
        taken = model.meta["names"] = _all_names(model)
    name, count = base, 1
    counters: dict[str, int] = model.meta.setdefault("name_counters", {})
    while name in taken:
        count = counters.get(base, 0) + 1
        counters[base] = count
        name = f"{base}_{count}"
    taken.add(name)
    return name


def _all_names(model: ir.Model) -> set[str]:
    names = {v.name for v in model.graph.inputs} | set(model.graph.initializers)
    names |= {out.name for node in model.graph.all_nodes() for out in node.outputs}
    return {name for name in names if name}


def add_initializer(model: ir.Model, base: str, array: Array) -> ir.Value:
    """A new initializer with a free name built on ``base``."""
    name = fresh_name(model, base)
    tensor = ir.tensor(np.asarray(array, order="C"), name=name)  # ascontiguousarray would make a scalar a vector
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
    model.graph.register_initializer(value)
    return value


def derive(model: ir.Model, op_type: str, inputs: Sequence[ir.Value], base: str, **attributes: Any) -> ir.Value:
    """A new initializer computed from others by one operator; the computation goes into the ledger."""
    arrays = [query.constant(value) for value in inputs]
    result = io.evaluate(op_type, arrays, attributes, query.opset(model))[0]
    value = add_initializer(model, base, result)
    ledger.of(model).record(query.name_of(value), op_type, [query.name_of(v) for v in inputs], attributes)
    return value


def constant(model: ir.Model, base: str, array: Array) -> ir.Value:
    """A new initializer that depends on no weight; its numbers go into the ledger."""
    value = add_initializer(model, base, array)
    ledger.of(model).constant(query.name_of(value), array)
    return value


def insert_before(
    model: ir.Model, at: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], base: str, attributes: Mapping[str, Any] | None = None
) -> ir.Value:
    """A new node before ``at`` that keeps its Keras layer; returns its output, whose type is that of its first input."""
    node = _node(model, op_type, inputs, base, attributes or {}, at)
    at.prepend(node)
    return node.outputs[0]


def insert_after(
    model: ir.Model, at: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], base: str, attributes: Mapping[str, Any] | None = None
) -> ir.Value:
    """A new node behind ``at``; else like :func:`insert_before`."""
    node = _node(model, op_type, inputs, base, attributes or {}, at)
    at.append(node)
    return node.outputs[0]


def insert_first(model: ir.Model, op_type: str, inputs: Sequence[ir.Value], base: str, attributes: Mapping[str, Any]) -> ir.Value:
    """A new node at the very beginning of the graph (it reads graph inputs and initializers only)."""
    node = _node(model, op_type, inputs, base, attributes, None)
    first = next(iter(model.graph), None)
    if first is None:
        model.graph.append(node)
    else:
        first.prepend(node)
    return node.outputs[0]


def _node(
    model: ir.Model, op_type: str, inputs: Sequence[ir.Value | None], base: str, attributes: Mapping[str, Any], like: ir.Node | None
) -> ir.Node:
    name = fresh_name(model, base)
    source = next((value for value in inputs if value is not None), None)
    out = ir.Value(name=name, type=source.type if source is not None else None)
    node = ir.node(op_type, inputs=list(inputs), attributes=dict(attributes), outputs=[out], name=name)
    if like is not None:
        node.metadata_props.update(like.metadata_props)
    return node


def set_attributes(node: ir.Node, **attributes: Any) -> None:
    """Set attributes; None removes one."""
    for name, value in attributes.items():
        if value is None:
            node.attributes.pop(name, None)
        else:
            node.attributes[name] = ir.convenience.convert_attribute(name, value)


def set_inputs(node: ir.Node, inputs: Iterable[ir.Value | None]) -> None:
    """Replace all inputs of ``node``."""
    values = list(inputs)
    node.resize_inputs(len(values))
    for index, value in enumerate(values):
        node.replace_input_with(index, value)


def change_operator(node: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], **attributes: Any) -> None:
    """Turn ``node`` into another operator with the same first output."""
    node.op_type = op_type
    node.attributes.clear()
    set_attributes(node, **attributes)
    set_inputs(node, inputs)


def replace(old: ir.Value, new: ir.Value) -> None:
    """Let every reader of ``old`` read ``new``; a graph output keeps its name."""
    if old.is_graph_output():
        _hand_over_output(old, new)
    old.replace_all_uses_with(new)


def replace_output(old: ir.Value, new: ir.Value) -> None:
    """Make ``new`` the graph output that ``old`` was, under the same name; readers of ``old`` stay."""
    _hand_over_output(old, new)


def _hand_over_output(old: ir.Value, new: ir.Value) -> None:
    graph = old.graph
    assert graph is not None
    if new.is_graph_output() or new.producer() is None:  # one tensor cannot be two outputs, nor an output be an input
        node = ir.node("Identity", inputs=[new], outputs=[ir.Value(name=old.name, shape=old.shape, type=old.type)], name=f"{old.name}/Identity")
        old.name = f"{old.name}/replaced"
        graph.append(node)
        graph.outputs[graph.outputs.index(old)] = node.outputs[0]
        return
    graph.outputs[graph.outputs.index(old)] = new
    old.name, new.name = f"{old.name}/replaced", old.name
    new.shape = old.shape if old.shape is not None else new.shape


def bypass(node: ir.Node, value: ir.Value) -> None:
    """Replace the first output of ``node`` by ``value`` and remove the node."""
    replace(node.outputs[0], value)
    remove(node)


def remove(node: ir.Node) -> None:
    """Remove a node that nobody reads."""
    graph = node.graph
    assert graph is not None
    graph.remove(node, safe=True)


def drop_unused(model: ir.Model) -> int:
    """Remove nodes and initializers that nothing reads; returns how many."""
    graph, count = model.graph, 0
    for node in reversed(graph):
        if not any(out.uses() or out.is_graph_output() for out in node.outputs):
            graph.remove(node, safe=True)
            count += 1
    for name, value in list(graph.initializers.items()):
        if not value.uses() and not value.is_graph_output():
            del graph.initializers[name]
            count += 1
    return count


def rename(model: ir.Model, value: ir.Value, name: str) -> str:
    """Give ``value`` a free name built on ``name``; the ledger follows. Returns the name it got."""
    if value.name == name:
        return name
    new = fresh_name(model, name)
    if value.is_initializer():
        ledger.of(model).rename(query.name_of(value), new)
        del model.graph.initializers[query.name_of(value)]
        value.name = new
        if value.const_value is not None:
            value.const_value.name = new
        model.graph.register_initializer(value)
    else:
        value.name = new
    return new
