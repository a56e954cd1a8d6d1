"""The architecture of a graph with fresh weights: every trained tensor is drawn anew by the operator that reads it; nothing else is touched."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError, InputError, UsageError, known
from converter.graph import edit, io, query
from converter.graph.ledger import Ledger
from converter.spec.report import Report
from converter.spec.sizes import Size
from converter.transfer import classes as widths
from converter.transfer import fresh, input_size, parameters
from converter.transfer.parameters import Parameter

INTEGER = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", *parameters.TAKES_CODES})
WEIGHTED = frozenset({"Conv", "ConvTranspose", "Dense", "Einsum", "LSTM", "GRU", "RNN", "Embedding", "BatchNormalization", "LayerNormalization"})


@dataclass
class _Account:
    """What was done with every tensor: drawn, and left with the reason."""

    drawn: list[dict[str, Any]] = field(default_factory=list)
    left: list[dict[str, Any]] = field(default_factory=list)


def clone(
    model: ir.Model, *, seed: int = 0, classes: int | None = None, size: Size | None = None, book: Ledger | None = None,
) -> tuple[ir.Model, Report]:
    """A copy of the float graph ``model`` with fresh weights, the same ones for the same seed; ``model`` stays as it is.

    Args:
        model: a float graph from anywhere.
        seed: 0 or more. The numbers of a tensor follow from it and from the tensor's name, so the order of anything in a file does not matter.
        classes: another width of the first output.
        size: other lengths of the spatial axes of an input.
        book: says which tensors come from trained variables; without it (a file from elsewhere) a tensor is judged by who reads it.

    Returns:
        The graph, and a report: ``numbers["tensors"]`` has every tensor that was drawn, ``numbers["left"]`` every one that was not, and why.

    Raises:
        UsageError: a seed below 0, or a size that does not fit.
        ConversionError: it is an integer graph, or something in it fixes the classes or the size; the node is named.
    """
    if seed < 0:
        raise UsageError(f"a seed is 0 or more; received {seed}")
    _check(model)
    copy = model.clone()
    copy.meta.clear()
    report = Report("clone")
    _lift_constants(copy)
    resized = widths.change(copy, classes, report) if classes is not None else set[str]()
    resized |= input_size.change(copy, size, report) if size is not None else set()
    account = _draw_all(copy, seed, book, resized)
    _describe(account, copy, seed, report)
    io.check(copy)
    return copy, report


def _check(model: ir.Model) -> None:
    coded = [node for node in model.graph.all_nodes() if node.op_type in INTEGER or node.op_type.startswith("QLinear")]
    if coded:
        raise ConversionError(f"this is an integer graph ({len(coded)} such operators, first {query.label(coded[0])}); fresh weights have no grids "
                              "yet: clone the float graph (float.onnx of a bundle), then quantize it")
    made = {id(v) for v in model.graph.inputs} | {id(v) for n in model.graph for v in n.outputs} | {id(v) for v in model.graph.initializers.values()}
    for node in model.graph:
        lost = [v.name for v in query.inputs_of(node) if id(v) not in made]
        if lost:
            raise ConversionError(f"{query.label(node)} reads {lost[0]!r}, which nothing makes that can be read here (a sparse initializer?)")


def _lift_constants(model: ir.Model) -> None:
    """Float tensors in Constant nodes become initializers: some exporters keep weights there."""
    for node in list(model.graph):
        attribute = node.attributes.get("value")
        tensor = attribute.value if attribute is not None and query.is_standard(node, "Constant") else None
        if isinstance(tensor, ir.TensorProtocol) and tensor.dtype.is_floating_point() and tensor.size > 1 and not node.outputs[0].is_graph_output():
            edit.bypass(node, edit.add_initializer(model, f"{node.outputs[0].name}/value", tensor.numpy()))


def _draw_all(model: ir.Model, seed: int, book: Ledger | None, resized: set[str]) -> _Account:
    account = _Account()
    behind = _behind_weights(model)
    found = parameters.of(model)
    for p in found:
        name = query.name_of(p.value)
        rule, why = _choose(p, book, behind)
        if rule is None:
            if name in resized:
                raise ConversionError(f"tensor {name} at {p.place} would need another width, but it is no weight: {why}")
            account.left.append({"name": name, "shape": list(query.sizes_of(p.value) or ()), "place": p.place, "why": why})
            continue
        numbers = p.layout.stored(rule.draw(p.shape, fresh.generator(seed, name)))
        dtype = p.value.dtype
        assert dtype is not None
        edit.set_numbers(p.value, numbers.astype(dtype.numpy()))
        account.drawn.append({"name": name, "shape": list(numbers.shape), "place": p.place, "role": f"{p.family} {p.role}", "rule": rule.name,
                              "std": float(numbers.std()), "expected_std": rule.std})
    seen = {query.name_of(p.value) for p in found}
    account.left += [{"name": name, "shape": list(query.sizes_of(value) or ()), "place": _reader(value), "why": _unseen(value)}
                     for name, value in model.graph.initializers.items() if name not in seen]
    account.left += [{"name": name, "shape": list(query.sizes_of(value) or ()), "place": graph.name or "subgraph", "why": "it is inside a subgraph"}
                     for graph in model.graph.subgraphs() for name, value in graph.initializers.items()]
    return account


def _choose(p: Parameter, book: Ledger | None, behind: set[int]) -> tuple[fresh.Rule | None, str]:
    """The rule for a parameter, or why it is left."""
    name = query.name_of(p.value)
    if book is not None and not book.sources(name):
        return None, "no trained variable goes into it"
    rule = fresh.rule_for(p)
    if rule is not None and book is not None and rule.name == "0" and name in book.steps:
        rule = _folded(name, book) or rule
    free = (p.role == "operand" and p.family != "PRelu") or p.role.startswith("input")
    if free and p.family in (*fresh.NEUTRAL, "Pow", "Min", "Max") and id(p.node) not in behind:
        return None, "it stands in front of every weight: preprocessing"
    if rule is None and book is not None:
        return fresh.normal(fresh.TABLE, "trained, but its operator gives no scale"), ""
    if rule is None or (book is None and p.is_number):
        return None, f"nothing says that this {'number' if p.is_number else 'constant'} of {p.family} was trained"
    if book is None and free and p.family in ("Add", "Sub") and _is_mask(p):
        return None, "it has two values or fewer: a mask"
    return rule, ""


def _folded(name: str, book: Ledger) -> fresh.Rule | None:
    """What a bias comes to where all that was folded into it is neutral, since a fold may have added a constant of the computation."""
    ones = ("gamma", "scale", "variance", "moving_variance")
    neutral = {path: np.full(1, float(path.rsplit("/", 1)[-1] in ones), np.float32) for path in book.sources(name)}
    try:
        number = np.unique(book.replay(name, neutral))
    except (ArithmeticError, AttributeError, InputError, LookupError, RuntimeError, TypeError, ValueError):  # it needs the shapes of the variables
        return None
    return fresh.constant(float(f"{float(number[0]):.6g}")) if number.size == 1 and np.isfinite(number[0]) else None


def _is_mask(p: Parameter) -> bool:
    """Whether a table that is added only lets through and blocks."""
    return len(p.shape) > 1 and len(np.unique(p.read())) <= 2


def _behind_weights(model: ir.Model) -> set[int]:
    """Nodes that read what some weighted operator made, or that are one."""
    weighted = {id(p.node) for p in parameters.of(model) if p.family in WEIGHTED}
    found = set[int]()
    for node in parameters.canonical_order(model):
        makers = [p for v in query.inputs_of(node) if (p := v.producer()) is not None]
        if id(node) in weighted or any(id(m) in found for m in makers):
            found.add(id(node))
    return found


def _reader(value: ir.Value) -> str:
    use = next(iter(value.uses()), None)
    return query.label(use.node) if use is not None else ""


def _unseen(value: ir.Value) -> str:
    if value.is_graph_input():
        return "it is an input with a default"
    if value.dtype is None or not value.dtype.is_floating_point():
        return "it holds no floating-point numbers"
    return "no output depends on it"


def _describe(account: _Account, model: ir.Model, seed: int, report: Report) -> None:
    random = [d for d in account.drawn if d["expected_std"]]
    if not random:
        raise ConversionError("the graph has no weights to draw anew: no constant kernel, table or recurrent weight; "
                              f"it has {len(model.graph.initializers)} initializers")
    size = sum(int(np.prod(d["shape"])) for d in account.drawn)
    report.done.append(f"{len(account.drawn)} tensors, {size:,} numbers, drawn anew with seed {seed}: {_counted([d['rule'] for d in account.drawn])}")
    if account.left:
        reasons = {why: [d["name"] for d in account.left if d["why"] == why] for why in dict.fromkeys(d["why"] for d in account.left)}
        report.done += [f"left as they are, since {why}: {known(names, 5)}" for why, names in reasons.items()]
    hidden = [d["name"] for d in account.left if d["why"] == "it is inside a subgraph"]
    if hidden:
        report.warnings.append(f"{len(hidden)} tensors in subgraphs keep their numbers, trained or not: {', '.join(hidden[:5])}")
    report.numbers.update(seed=seed, tensors=account.drawn, left=account.left)


def _counted(texts: list[str]) -> str:
    counts = {text: texts.count(text) for text in dict.fromkeys(texts)}
    return ", ".join(f"{count} x {text}" for text, count in counts.items())
