"""The only writer: every change of a graph goes through here, so that names stay unique and folds are recorded.

All edits cost time in the number of uses they touch, never in the size of the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError
from converter.graph import io, ledger, query
from converter.graph.names import fresh_name, names_of
from converter.spec.quant import Array


def add_initializer(model: ir.Model, base: str, array: Array) -> ir.Value:
    """A new initializer with a free name built on ``base``."""
    return _register(model, fresh_name(model, base), array)


def set_numbers(value: ir.Value, array: Array) -> None:
    """Give an initializer other numbers of the same shape and type."""
    value.const_value = ir.Tensor(np.asarray(array, order="C"), name=value.name)


def resize(value: ir.Value, array: Array) -> None:
    """Give an initializer numbers of another shape; what reads it needs its shapes inferred again."""
    set_numbers(value, array)
    value.shape = ir.Shape(array.shape)


def take_apart(model: ir.Model, value: ir.Value, nodes: Sequence[ir.Node]) -> ir.Value:
    """A copy of an initializer that ``nodes`` read from now on; all others keep reading ``value``."""
    assert value.const_value is not None
    own = add_initializer(model, query.name_of(value), value.const_value.numpy())
    for use in tuple(value.uses()):
        if use.node in nodes:
            use.node.replace_input_with(use.idx, own)
    return own


def _register(model: ir.Model, name: str, array: Array) -> ir.Value:
    tensor = ir.Tensor(np.asarray(array, order="C"), name=name)  # ascontiguousarray would make a scalar a vector
    value = ir.Value(name=name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor)
    model.graph.register_initializer(value)
    return value


class Numbers(NamedTuple):
    """An entry of the ledger with its numbers, on the way to an initializer: what a fold computes with is not in the graph."""

    name: str
    array: Array


Operand = ir.Value | Numbers | Array


def compute(model: ir.Model, op_type: str, inputs: Sequence[Operand], base: str, **attributes: Any) -> Numbers:
    """One operator on initializers, entries and plain arrays (a shape, axes); the computation goes into the ledger, and no further."""
    arrays = [query.constant(x) if isinstance(x, ir.Value) else x.array if isinstance(x, Numbers) else x for x in inputs]
    return _recorded(model, io.evaluate(op_type, arrays, attributes, query.opset(model))[0], op_type, inputs, base, attributes)


def _recorded(
    model: ir.Model, result: Array, op_type: str, inputs: Sequence[Operand], base: str, attributes: Mapping[str, Any]
) -> Numbers:
    book = ledger.of(model)
    names = [query.name_of(x) if isinstance(x, ir.Value) else x.name if isinstance(x, Numbers) else book.literal(x) for x in inputs]
    name = fresh_name(model, base)
    book.record(name, op_type, names, attributes)
    return Numbers(name, result)


def settle(model: ir.Model, numbers: Numbers) -> ir.Value:
    """The initializer that holds an entry of the ledger."""
    return _register(model, *numbers)


def derive(model: ir.Model, op_type: str, inputs: Sequence[Operand], base: str, **attributes: Any) -> ir.Value:
    """A new initializer: :func:`compute`, settled."""
    return settle(model, compute(model, op_type, inputs, base, **attributes))


def derive_if_possible(model: ir.Model, op_type: str, inputs: Sequence[ir.Value], base: str, attributes: Mapping[str, Any]) -> ir.Value | None:
    """Like :func:`derive`, but None where the operator cannot be computed here, or gives no tensor."""
    result = io.try_evaluate(op_type, [query.constant(value) for value in inputs], attributes, query.opset(model))
    return None if result is None else settle(model, _recorded(model, result, op_type, inputs, base, attributes))


def constant(model: ir.Model, base: str, array: Array) -> ir.Value:
    """A new initializer that depends on no weight; its numbers go into the ledger."""
    book = ledger.of(model)
    value = add_initializer(model, base, array)
    book.constant(query.name_of(value), array)
    return value


def insert_before(
    model: ir.Model, at: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], base: str, attributes: Mapping[str, Any] | None = None
) -> ir.Value:
    """A new node before ``at`` that keeps its Keras layer; returns its output, whose type is that of its first input."""
    node = new_node(model, op_type, inputs, base, attributes or {}, at)
    at.prepend(node)
    return node.outputs[0]


def insert_after(
    model: ir.Model, at: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], base: str, attributes: Mapping[str, Any] | None = None
) -> ir.Value:
    """A new node behind ``at``; else like :func:`insert_before`."""
    node = new_node(model, op_type, inputs, base, attributes or {}, at)
    at.append(node)
    return node.outputs[0]


def insert_first(model: ir.Model, op_type: str, inputs: Sequence[ir.Value], base: str, attributes: Mapping[str, Any]) -> ir.Value:
    """A new node at the very beginning of the graph (it reads graph inputs and initializers only)."""
    node = new_node(model, op_type, inputs, base, attributes, None)
    first = next(iter(model.graph), None)
    if first is None:
        model.graph.append(node)
    else:
        first.prepend(node)
    return node.outputs[0]


def new_node(
    model: ir.Model, op_type: str, inputs: Sequence[ir.Value | None], base: str, attributes: Mapping[str, Any], like: ir.Node | None,
    outputs: int = 1,
) -> ir.Node:
    """A node that is in no graph yet; its outputs have the type of its first input, its Keras layer is that of ``like``."""
    name = fresh_name(model, base)
    source = next((value for value in inputs if value is not None), None)
    names = [name, *(fresh_name(model, f"{base}:{index}") for index in range(1, outputs))]
    made = [ir.Value(name=n, type=source.type if source is not None else None) for n in names]
    node = ir.Node("", op_type, list(inputs), [_attribute(*pair) for pair in attributes.items()], outputs=made, name=name)
    if like is not None:
        node.metadata_props.update(like.metadata_props)
    return node


def set_attributes(node: ir.Node, **attributes: Any) -> None:
    """Set attributes; None removes one."""
    for name, value in attributes.items():
        if value is None:
            node.attributes.pop(name, None)
        else:
            node.attributes[name] = _attribute(name, value)


def _attribute(name: str, value: Any) -> ir.Attr:
    """The two common kinds at once; onnx_ir's own conversion tries many protocols before it comes to them."""
    if isinstance(value, int):
        return ir.AttrInt64(name, int(value))
    if isinstance(value, list | tuple) and value and all(isinstance(x, int) for x in value):
        return ir.AttrInt64s(name, list(value))
    return ir.convenience.convert_attribute(name, value)


def set_inputs(node: ir.Node, inputs: Iterable[ir.Value | None]) -> None:
    """Replace all inputs of ``node``."""
    values = list(inputs)
    node.resize_inputs(len(values))
    for index, value in enumerate(values):
        if node.inputs[index] is not value:
            node.replace_input_with(index, value)


def change_operator(node: ir.Node, op_type: str, inputs: Sequence[ir.Value | None], **attributes: Any) -> None:
    """Turn ``node`` into another operator with the same first output."""
    node.op_type = op_type
    node.attributes.clear()
    set_attributes(node, **attributes)
    set_inputs(node, inputs)


def replace(old: ir.Value, new: ir.Value) -> None:
    """Let every reader of ``old`` read ``new``; a graph output keeps its name.

    Raises:
        ConversionError: ``old`` is an input and an output of the graph at once: another value cannot have its name.
    """
    if old.is_graph_output():
        _hand_over_output(old, new)
    old.replace_all_uses_with(new)


def replace_output(old: ir.Value, new: ir.Value) -> None:
    """Make ``new`` the graph output that ``old`` was, under the same name; readers of ``old`` stay."""
    _hand_over_output(old, new)


def _hand_over_output(old: ir.Value, new: ir.Value) -> None:
    graph, name = old.graph, query.name_of(old)
    assert graph is not None
    if old.producer() is None:
        raise ConversionError(f"{name!r} is an input and an output of the graph; no other value can be called so")
    names = names_of(graph)
    old.name = names.free(f"{name}/replaced")
    if new.is_graph_output() or new.producer() is None or new.graph is not graph:  # one tensor is not two outputs, nor an input an output
        node = ir.node("Identity", inputs=[new], outputs=[ir.Value(name=name, shape=old.shape, type=old.type)], name=names.free(f"{name}/Identity"))
        graph.append(node)
        graph.outputs[graph.outputs.index(old)] = node.outputs[0]
        return
    graph.outputs[graph.outputs.index(old)] = new
    new.name = name
    new.shape = old.shape if old.shape is not None else new.shape
    new.type = old.type if old.type is not None else new.type


def bypass(node: ir.Node, value: ir.Value) -> None:
    """Replace the first output of ``node`` by ``value`` and remove the node."""
    replace(node.outputs[0], value)
    remove(node)


def replace_node(node: ir.Node, values: Sequence[ir.Value]) -> None:
    """Replace every output of ``node``, in the main graph or in a subgraph, by the value in its place, and remove the node.

    A value without a shape gets that of the output.
    """
    for old, new in zip(node.outputs, values, strict=True):
        new.shape = new.shape if new.shape is not None else old.shape
        replace(old, new)
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
        if not value.uses() and not value.is_graph_output() and not value.is_graph_input():  # an input with a default stays optional
            del graph.initializers[name]
            count += 1
    return count


def rename(model: ir.Model, value: ir.Value, name: str) -> str:
    """Give ``value`` a free name built on ``name``; the ledger follows. Returns the name it got.

    An input or output of the graph keeps its name.
    """
    if value.name == name or value.is_graph_output() or value.is_graph_input():
        return query.name_of(value)
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


def rename_ends(model: ir.Model, wanted: Mapping[str, str]) -> None:
    """Give inputs and outputs other names, by their old ones; what else has one of these names inside the graph gets another."""
    graph = model.graph
    inner = [*graph.initializers.values(), *(out for node in graph.all_nodes() for out in node.outputs)]
    for value in inner:
        if value.name in wanted.values() and value.name not in wanted:
            rename(model, value, f"{value.name}/inner")
    for value in (*graph.inputs, *graph.outputs):
        value.name = wanted.get(query.name_of(value), query.name_of(value))
