"""Put the nodes of one graph into another: names stay unique, free axes keep their meaning, functions keep their bodies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from converter.graph import query

LAYER_KEY = query.LAYER_KEY


@dataclass
class Renamed:
    """New names by old ones: ``interface`` of inputs and outputs of the result, by whose they are; ``count`` of all."""

    interface: dict[str, dict[str, str]] = field(default_factory=dict)
    count: int = 0


def values_of(graph: ir.Graph) -> Iterable[ir.Value]:
    """Every named value of the graph and its subgraphs, once."""
    found: dict[ir.Value, None] = {}
    for part in (graph, *graph.subgraphs()):
        found.update(dict.fromkeys(part.inputs))
        found.update(dict.fromkeys(part.initializers.values()))
        found.update(dict.fromkeys(out for node in part for out in node.outputs))
    return [value for value in found if value.name]


def make_unique(recipient: ir.Graph, donor: ir.Graph, ends: Mapping[str, set[str]]) -> Renamed:
    """Rename what has the same name in both.

    An input or output of the result keeps its name, the recipient's where both have one; else what is the recipient's does.

    Args:
        recipient, donor: the graphs, changed in place.
        ends: names of the inputs and outputs that the result has from ``recipient`` and ``donor``.
    """
    renamed = Renamed({"recipient": {}, "donor": {}})
    taken = {query.name_of(v) for graph in (recipient, donor) for v in values_of(graph)}
    inside = {query.name_of(v) for v in values_of(recipient)}
    _rename(values_of(recipient), "recipient", (ends["donor"] - ends["recipient"]) & inside, taken, renamed)
    _rename(values_of(donor), "donor", {query.name_of(v) for v in values_of(recipient)}, taken, renamed, ends["donor"])
    nodes = {node.name for node in recipient.all_nodes() if node.name}
    every = nodes | {node.name for node in donor.all_nodes() if node.name}
    layers = {node.metadata_props.get(LAYER_KEY) for node in recipient.all_nodes()}
    for node in donor.all_nodes():
        if node.name in nodes:
            node.name = _free(f"donor/{node.name}", every)
        if node.metadata_props.get(LAYER_KEY) in layers - {None}:
            node.metadata_props[LAYER_KEY] = f"donor/{node.metadata_props[LAYER_KEY]}"
    return renamed


def _rename(values: Iterable[ir.Value], whose: str, clash: set[str], taken: set[str], renamed: Renamed, ends: set[str] | None = None) -> None:
    for value in values:
        old = query.name_of(value)
        if old not in clash:
            continue
        if value.const_value is not None:  # the tensor is shared with the graph that this one is a copy of
            value.const_value = _called(value.const_value, old)
        value.name = _free(f"{whose}/{old}", taken)
        renamed.count += 1
        if old in (ends or ()):
            renamed.interface[whose][old] = query.name_of(value)


def _called(tensor: ir.TensorProtocol, name: str) -> ir.TensorProtocol:
    """Another object of the same numbers, which are not read."""
    if tensor.dtype == ir.DataType.STRING:
        return ir.StringTensor(np.asarray(tensor.numpy(), dtype=object), shape=ir.Shape(tensor.shape.numpy()), name=name)
    return ir.LazyTensor(lambda: tensor, dtype=tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), name=name)


def _free(base: str, taken: set[str]) -> str:
    name, number = base, 0
    while name in taken:
        number += 1
        name = f"{base}_{number}"
    taken.add(name)
    return name


def free_axes(graph: ir.Graph) -> set[str]:
    """Names of the axes whose length is free."""
    return {d.value for v in values_of(graph) if v.shape is not None for d in v.shape if not isinstance(d, int) and d.value}


def set_axes(graph: ir.Graph, lengths: Mapping[str, int | str]) -> None:
    """Give free axes another name, or a length."""
    for value in values_of(graph):
        if value.shape is not None and any(not isinstance(d, int) and d.value in lengths for d in value.shape):
            value.shape = ir.Shape([d if isinstance(d, int) or d.value is None else lengths.get(d.value, d.value) for d in value.shape])


def separate_axes(recipient: ir.Graph, donor: ir.Graph, shared: set[str]) -> None:
    """A free axis of the donor that is called like one of the recipient gets another name, unless it is in ``shared``: the same length."""
    theirs, taken = free_axes(recipient), free_axes(recipient) | free_axes(donor)
    set_axes(donor, {name: _free(f"donor_{name}", taken) for name in sorted(free_axes(donor) & theirs - shared)})


def move(source: ir.Model, target: ir.Model) -> None:
    """Append all nodes of ``source``, with what they read and call, to ``target``; its inputs and outputs are left behind."""
    _merge_functions(source, target)
    graph = source.graph
    nodes, weights = list(graph), list(graph.initializers.values())
    graph.outputs.clear()
    graph.inputs.clear()
    graph.remove(nodes)
    graph.initializers.clear()
    for weight in weights:
        target.graph.register_initializer(weight)
    target.graph.extend(nodes)
    for domain, version in graph.opset_imports.items():
        target.graph.opset_imports.setdefault(domain, version)
    target.ir_version = max(target.ir_version, source.ir_version)


def _merge_functions(source: ir.Model, target: ir.Model) -> None:
    """Functions of the same identity and another body get another name."""
    new: dict[ir.OperatorIdentifier, str] = {}
    taken = {key[1] for model in (source, target) for key in model.functions}
    for key, function in source.functions.items():
        if key in target.functions and _text(function) != _text(target.functions[key]):
            new[key] = _free(f"{key[1]}_donor", taken)
    for node in [*source.graph.all_nodes(), *(n for f in source.functions.values() for n in f.all_nodes())]:
        node.op_type = new.get(node.op_identifier(), node.op_type)
    for key, function in source.functions.items():
        function.name = new.get(key, function.name)
        target.functions.setdefault(function.identifier(), function)


def _text(function: ir.Function) -> bytes:
    return bytes(ir.to_proto(function).SerializeToString(deterministic=True))
