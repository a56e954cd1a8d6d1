"""What two graphs compute with: operators counted, nodes paired by name and then by what they read, attributes and inputs compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.graph import query
from converter.transfer import diff_tensors
from converter.transfer.parameters import plain_name


@dataclass(frozen=True)
class NodeDiff:
    """How a node of the second graph differs: its name in both (empty where only one has it), its operators, and a phrase for every difference."""

    name: str
    other: str
    op_types: tuple[str, str]
    what: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"name": self.name, "other": self.other, "op_types": list(self.op_types), "what": list(self.what)}


def counts(first: ir.Model, second: ir.Model) -> dict[str, tuple[int, int]]:
    """How often each operator occurs in both, subgraphs included; those that occur equally often are left out."""
    one, two = (Counter(operator(node) for _, node in _nodes(model)) for model in (first, second))
    return {kind: (one[kind], two[kind]) for kind in sorted({*one, *two}) if one[kind] != two[kind]}


def compare(first: ir.Model, second: ir.Model, renamed: Mapping[str, str]) -> tuple[list[NodeDiff], int]:
    """Nodes that differ, and how many pairs were compared.

    A node is known by its name, one without a unique name by what it makes. What is left is paired by operator and inputs, so that numbers in names
    do not matter. QuantizeLinear and DequantizeLinear are looked through where an input is compared: they are nodes of their own.

    Args:
        first, second: the graphs.
        renamed: tensors of the first graph that have another name in the second.
    """
    mine, theirs = _by_name(first), _by_name(second)
    same = dict(zip((_names(first.graph.inputs)), _names(second.graph.inputs), strict=False)) | dict(renamed)
    named = set(mine) & set(theirs)
    free = _index(theirs, named)
    found: list[NodeDiff] = []
    taken = set(named)
    for key, node in mine.items():
        other_key = key if key in named else _take(free, _signature(node, same))
        if other_key is None:
            found.append(NodeDiff(key, "", (operator(node), ""), ("only in the first",)))
            continue
        taken.add(other_key)
        other = theirs[other_key]
        what = _differences(node, other, same)
        same.update(zip((v.name or "" for v in node.outputs), (v.name or "" for v in other.outputs), strict=False))
        if what:
            found.append(NodeDiff(key, other_key, (operator(node), operator(other)), tuple(what)))
    found += [NodeDiff("", key, ("", operator(node)), ("only in the second",)) for key, node in theirs.items() if key not in taken]
    return found, len(taken)


def operator(node: ir.Node) -> str:
    """Operator with its domain where that is not the default one."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def source_name(value: ir.Value | None) -> str:
    """The name of what a node really reads: the tensor behind a pair of quantizers, or the tensor that codes were made of."""
    while value is not None:
        node = query.producer_of(value, "DequantizeLinear")
        inner = node.inputs[0] if node is not None else None
        if inner is None:
            break
        if query.is_constant(inner) or diff_tensors.constant_tensor(inner.producer() or ir.Node("", "None", [])) is not None:
            return plain_name(query.name_of(inner))
        quantizer = query.producer_of(inner, "QuantizeLinear")
        if quantizer is None:
            break
        value = quantizer.inputs[0]
    return "" if value is None else value.name or ""


def _nodes(model: ir.Model) -> Iterator[tuple[str, ir.Node]]:
    """Every node with the place that it is in: the main graph, a subgraph, a function."""
    yield from (("", node) for node in model.graph)
    for graph in model.graph.subgraphs():
        yield from ((f"{graph.name or 'subgraph'}:", node) for node in graph)
    for function in model.functions.values():
        yield from ((f"{function.domain}.{function.name}:", node) for node in function.all_nodes())


def _by_name(model: ir.Model) -> dict[str, ir.Node]:
    nodes = list(_nodes(model))
    names = Counter(f"{place}{node.name}" for place, node in nodes)
    found: dict[str, ir.Node] = {}
    for place, node in nodes:
        if query.is_standard(node, "Constant"):
            continue  # a tensor, compared as such
        name = f"{place}{node.name}"
        made = next((v.name for v in node.outputs if v.name), "")
        key = name if node.name and names[name] == 1 else f"{place}{operator(node)} of {made}"
        found[key if key not in found else f"{key} ({len(found)})"] = node
    return found


def _names(values: Any) -> list[str]:
    return [value.name or "" for value in values]


def _signature(node: ir.Node, same: Mapping[str, str]) -> tuple[str, ...]:
    names = (source_name(value) for value in node.inputs)
    return (operator(node), *(same.get(name, name) for name in names))


def _index(theirs: Mapping[str, ir.Node], named: set[str]) -> dict[tuple[str, ...], list[str]]:
    index: dict[tuple[str, ...], list[str]] = {}
    for key, node in theirs.items():
        if key not in named:
            index.setdefault(_signature(node, {}), []).append(key)
    return index


def _take(free: dict[tuple[str, ...], list[str]], signature: tuple[str, ...]) -> str | None:
    found = free.get(signature)
    return found.pop(0) if found else None


def _differences(node: ir.Node, other: ir.Node, same: Mapping[str, str]) -> list[str]:
    what = [] if operator(node) == operator(other) else [f"operator {operator(node)} and {operator(other)}"]
    for name in sorted({*node.attributes, *other.attributes}):
        a, b = node.attributes.get(name), other.attributes.get(name)
        if not _equal(a, b):
            what.append(f"attribute {name} {_shown(a)} and {_shown(b)}")
    inputs = [[source_name(value) for value in n.inputs] for n in (node, other)]
    mapped = [same.get(name, name) for name in inputs[0]]
    if mapped != inputs[1]:
        what += _inputs(mapped, inputs[1])
    if len(node.outputs) != len(other.outputs):
        what.append(f"{len(node.outputs)} and {len(other.outputs)} outputs")
    return what


def _inputs(mine: list[str], theirs: list[str]) -> list[str]:
    longest = max(len(mine), len(theirs))
    rows = zip(mine + [""] * (longest - len(mine)), theirs + [""] * (longest - len(theirs)), strict=True)
    return [f"input {i} {a or 'none'} and {b or 'none'}" for i, (a, b) in enumerate(rows) if a != b]


def _equal(a: ir.Attr | None, b: ir.Attr | None) -> bool:
    """Subgraphs count as equal here: their nodes and tensors are compared one by one."""
    if a is None or b is None or a.type != b.type:
        return False
    if a.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
        return True
    x, y = a.value, b.value
    if isinstance(x, ir.TensorProtocol) and isinstance(y, ir.TensorProtocol):
        x, y = x.numpy(), y.numpy()
        return x.dtype == y.dtype and x.shape == y.shape and (x.tolist() == y.tolist() or x.tobytes() == y.tobytes())
    if isinstance(x, float) and isinstance(y, float):
        return x == y or (np.isnan(x) and np.isnan(y))
    return bool(tuple(x) == tuple(y) if isinstance(x, list | tuple) and isinstance(y, list | tuple) else x == y)


def _shown(attribute: ir.Attr | None) -> str:
    if attribute is None:
        return "none"
    value = attribute.value
    text = f"tensor {list(value.shape)}" if isinstance(value, ir.TensorProtocol) else f"{list(value) if isinstance(value, tuple) else value}"
    return text if len(text) <= 40 else f"{text[:37]}..."
