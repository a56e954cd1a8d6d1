"""Decide which values get which grid. Reads the graph, the target and the recipe; holds no numbers, changes nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError, UsageError, known
from converter.graph import ledger, ops, query
from converter.passes.activations import bounds
from converter.spec.plan import Derived, Entry, Layer, Own, QuantPlan, Shared
from converter.spec.recipe import FLOAT, Recipe, Rule
from converter.spec.report import Report, Skip, Why
from converter.spec.target import OpRule, Role, Target

Fusible = Mapping[ir.Node, ir.Node]
"""Activation to the node that it may be fused into."""


def make_plan(model: ir.Model, target: Target, recipe: Recipe) -> tuple[QuantPlan, Report]:
    """The plan for a clean float graph, and what is left in float and why.

    Raises:
        UsageError: a rule of the recipe matches no node of the graph.
        ConversionError: nothing of the graph would run on integers, or its nodes cannot be told apart by name.
    """
    check_rules(model, recipe)
    _check_names(model)
    report = Report("plan")
    fusible = _fusible(model, target, recipe)
    chosen = _integer_nodes(model, target, recipe, fusible, report)
    absorbed = {inner: last for last, inner in fusible.items() if inner in chosen}
    entries = _entries(model, target, recipe, chosen, absorbed)
    layers = tuple(_layer(node, absorbed) for node in model.graph if node in chosen and _weighted(node, target))
    if not layers:
        raise ConversionError(_nothing(model, target, report))
    for layer in layers:
        entries[layer.weight] = Own(target.weight, layer.channel)
        if layer.bias is not None:
            entries[layer.bias] = Derived(target.bias, layer.source, layer.weight)
    made = frozenset(query.name_of(_result(node, absorbed)) for node in chosen)
    report.done.append(f"{len(layers)} layers with weights and {len(chosen) - len(layers)} other operators on integers")
    return QuantPlan(entries, layers, frozenset(node.name or "" for node in chosen), made), report


def _nothing(model: ir.Model, target: Target, report: Report) -> str:
    refused = [f"{s.detail} {s.path}: {s.why.value}" for s in report.skipped if s.detail in {r.op_type for r in target.rules if r.weight}]
    gains = known(r.op_type for r in target.rules if r.weight)
    return (f"nothing of this model would run on integers on {target.name}, which needs one of {gains} with constant float32 weights; "
            + (f"refused: {known(refused, 5)}" if refused else f"the model has {known({n.op_type for n in model.graph})}"))


def _check_names(model: ir.Model) -> None:
    """A plan speaks of nodes by name."""
    seen: set[str] = set()
    for node in model.graph:
        if not node.name or node.name in seen:
            raise ConversionError(f"node names must be there and unique, received {node.name!r} for the {node.op_type} that makes "
                                  f"{', '.join(query.name_of(v) for v in node.outputs)}")
        seen.add(node.name)


def check_rules(model: ir.Model, recipe: Recipe) -> None:
    """Raise a UsageError for a rule that matches nothing: it is a typo, or meant for another model."""
    nodes = list(model.graph)
    for rule in recipe.rules:
        if rule.where != "*" and not any(_matches(rule, node) for node in nodes):
            kinds = known({n.op_type for n in nodes})
            places = known({query.layer_path(n) for n in nodes}, 12)
            raise UsageError(f"recipe {recipe.name}: rule {rule.where!r} matches no node; operators: {kinds}; layers: {places}")


def _matches(rule: Rule, node: ir.Node) -> bool:
    return any(fnmatchcase(name, rule.where) for name in (node.op_type, node.name or "", query.layer_path(node)))


def _setting(recipe: Recipe, field: str, *nodes: ir.Node | None) -> str | None:
    """What the last rule that matches one of ``nodes`` and speaks of ``field`` says."""
    said = [getattr(r, field) for r in recipe.rules
            if getattr(r, field) is not None and (r.where == "*" or any(node is not None and _matches(r, node) for node in nodes))]
    return said[-1] if said else None


def _weighted(node: ir.Node, target: Target) -> bool:
    rule = target.rule(node.op_type)
    return rule is not None and rule.weight


def _integer_nodes(model: ir.Model, target: Target, recipe: Recipe, fusible: Fusible, report: Report) -> set[ir.Node]:
    """Nodes that will run on integers: layers with weights, and what lies between and behind them."""
    chosen: set[ir.Node] = set()
    for node in model.graph:
        rule = target.rule(node.op_type) if node.domain in ("", "ai.onnx") else None
        if rule is None:
            continue
        why = _refusal(model, node, rule, recipe)
        if why is None and not rule.weight and not _fed_by_integers(node, fusible, chosen):
            why = Why.NO_GAIN if rule.role is Role.COMPUTE else None
            if why is None:
                continue
        if why is None:
            chosen.add(node)
        else:
            report.skipped.append(Skip(query.layer_path(node), why, node.op_type))
    _drop_loose_ends(model, target, fusible, chosen)
    report.skipped += [Skip(query.layer_path(n), Why.NO_INTEGER_KERNEL, n.op_type) for n in model.graph
                       if target.rule(n.op_type) is None and not _is_activation(n, target)]
    return chosen


def _is_activation(node: ir.Node, target: Target) -> bool:
    return any(node.op_type in rule.fuses for rule in target.rules)


def _refusal(model: ir.Model, node: ir.Node, rule: OpRule, recipe: Recipe) -> Why | None:
    if FLOAT in (_setting(recipe, "weight", node) if rule.weight else None, _setting(recipe, "activation", node)):
        return Why.BY_RECIPE
    source = node.inputs[0] if node.inputs else None
    if source is None or not query.is_float32(source):
        return Why.NOT_FLOAT
    if not rule.weight:
        constant = any(query.constant(v) is not None for v in _activations(node))
        return Why.NO_INTEGER_KERNEL if constant and rule.role is Role.COMPUTE else None
    value, bias = node.inputs[1], query.input_at(node, 2)
    weight = query.constant(value)
    if value is None or weight is None or (bias is not None and query.constant(bias) is None):
        return Why.NOT_CONSTANT
    if not ledger.of(model).sources(query.name_of(value)):
        return Why.NOT_TRAINED
    plain = node.op_type != "Gemm" or (query.number(node, "alpha", 1) == query.number(node, "beta", 1) == 1 and not query.integer(node, "transA", 0))
    ranks_fit = node.op_type != "MatMul" or weight.ndim == 2
    return None if plain and ranks_fit and weight.dtype == np.float32 and _vector_bias(node) else Why.NO_INTEGER_KERNEL


def _vector_bias(node: ir.Node) -> bool:
    bias = query.constant(query.input_at(node, 2))
    return bias is None or bias.ndim == 1


def _activations(node: ir.Node) -> Iterable[ir.Value]:
    """Float inputs that carry data (not weights, not shapes)."""
    limit = None if node.op_type in ("Add", "Mul", "Concat") else 1
    return [v for v in list(query.inputs_of(node))[:limit] if query.is_float32(v)]


def _fusible(model: ir.Model, target: Target, recipe: Recipe) -> Fusible:
    """Activations that the engine folds into the node in front: they start at 0, which the unsigned grid cuts off by itself."""
    out = {}
    for node in model.graph:
        found = bounds(node)
        inner = found[0].producer() if found is not None else None
        rule = target.rule(inner.op_type) if inner is not None else None
        if found is None or inner is None or rule is None or node.op_type not in rule.fuses or _setting(recipe, "activation", node) == FLOAT:
            continue
        if found[1][0] == 0.0 < found[1][1] and query.sole_consumer(found[0]) is node:
            out[node] = inner
    return out


def _maker(value: ir.Value, fusible: Fusible) -> ir.Node | None:
    """The node that makes ``value``, looking through a fused activation; None for an input of the graph."""
    node = value.producer()
    return fusible.get(node, node) if node is not None else None


def _fed_by_integers(node: ir.Node, fusible: Fusible, chosen: set[ir.Node]) -> bool:
    """Whether every data input comes from a node on integers or straight from the caller, and at least one from the former."""
    makers = [_maker(v, fusible) for v in _activations(node)]
    if node.op_type == "Transpose" and makers == [None]:
        return True  # the layout change at the input: four times less to move as codes
    return all(m is None or m in chosen for m in makers) and any(m in chosen for m in makers)


def _drop_loose_ends(model: ir.Model, target: Target, fusible: Fusible, chosen: set[ir.Node]) -> None:
    """Take back operators that no integer node reads where codes would be made and undone for nothing.

    That is what only moves data, and a function of one tensor behind a dense layer: that layer writes float by itself, so a
    final Sigmoid need not round the scores before and behind it.
    """
    for node in reversed(model.graph):
        rule = target.rule(node.op_type)
        if node not in chosen or rule is None or rule.weight or any(use.node in chosen for out in node.outputs for use in out.uses()):
            continue
        makers = [_maker(v, fusible) for v in _activations(node)]
        if rule.role is Role.PASS or [m.op_type if m is not None else "" for m in makers] in (["Gemm"], ["MatMul"]):
            chosen.discard(node)


def _result(node: ir.Node, absorbed: Mapping[ir.Node, ir.Node]) -> ir.Value:
    return absorbed.get(node, node).outputs[0]


def _entries(model: ir.Model, target: Target, recipe: Recipe, chosen: set[ir.Node], absorbed: Mapping[ir.Node, ir.Node]) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    for node in model.graph:
        rule = target.rule(node.op_type)
        if node not in chosen or rule is None:
            continue
        for value in _activations(node):
            name = query.name_of(value)
            if name not in entries:
                entries[name] = _own(target, recipe, value, value.producer() or node)
        result = _result(node, absorbed)
        if rule.weight and node.op_type in ("Gemm", "MatMul") and not _read_by_integers(result, chosen):
            continue  # the kernel writes float by itself; codes would only cost accuracy
        if rule.role is Role.PASS:
            entries[query.name_of(result)] = Shared(query.name_of(next(iter(_activations(node)))))
        else:
            entries[query.name_of(result)] = _own(target, recipe, result, node, absorbed.get(node))
    return entries


def _own(target: Target, recipe: Recipe, value: ir.Value, *makers: ir.Node | None) -> Own:
    """A grid for ``value``; rules of the recipe that match one of ``makers`` are about it."""
    last = value.producer()
    clamp = bounds(last) if last is not None else None
    low, high = clamp[1] if clamp is not None else (-math.inf, math.inf)
    unsigned = low >= 0 or (last is not None and last.op_type == "Sigmoid")
    return Own(target.activation, None, _setting(recipe, "observer", *makers) or "mse", unsigned, high if 0 < high < math.inf else None)


def _read_by_integers(value: ir.Value, chosen: set[ir.Node]) -> bool:
    return any(use.node in chosen for use in value.uses())


def _layer(node: ir.Node, absorbed: Mapping[ir.Node, ir.Node]) -> Layer:
    source, weight, bias = node.inputs[0], node.inputs[1], query.input_at(node, 2)
    axis = ops.weight_axis(node)
    assert source is not None and weight is not None and axis is not None
    return Layer(node.name or "", node.op_type, query.layer_path(node), query.name_of(source), query.name_of(weight),
                 None if bias is None else query.name_of(bias), query.name_of(_result(node, absorbed)), axis)
