"""Sink transposes of activations until they cancel: a Keras graph is channels-last, ONNX convolutions are channels-first.

Write ``T_p(x)`` for ``y[i] = x[p[i]]`` on axes. The algebra, for a node f behind transposes of the same perm p:

    f elementwise           f(T_p(x))           = T_p(f(x))
    f(x, c), c constant     f(T_p(x), c)        = T_p(f(x, T_p^-1(c)))
    Concat on axis a        Concat_a(T_p(x)..)  = T_p(Concat_p[a](x..))
    reduction over axes A   R_A(T_p(x))         = T_p'(R_p[A](x)), p' = p without A
    T_q(T_p(x))             = T_(p o q)(x)
    products, LayerNormalization over the last axis         see layout_last_axis; only where the transpose is wanted gone (layout_wanted)

so every Transpose moves down past its readers until it meets its inverse, or an operator that needs its order. One walk
in topological order does it. Where a graph input reaches only transposes of one perm, the pair ``T_p^-1 T_p`` is put
behind it first; the second half then sinks, so that one Transpose is left at the input.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx_ir as ir

from converter.graph import edit, ops, query
from converter.passes import layout_last_axis, layout_rules, layout_wanted
from converter.passes.base import GraphPass, Promise

Perm = tuple[int, ...]


class SinkTransposes(GraphPass):
    """Move transposes of activations towards the outputs and cancel them."""

    promise = Promise.ROUNDING  # a reduction adds the same numbers in another order

    def rewrite(self, model: ir.Model) -> int:
        """One walk; new transposes are put behind the node they were moved past, so they are met again later."""
        wanted = layout_wanted.wanted(model) if any(node.op_type in COSTLY for node in model.graph) else {}
        seeds = [seed for value in query.true_inputs(model) if (seed := _seed(model, value)) is not None]
        count = len(seeds)
        for node in model.graph:
            if node not in seeds:  # it would cancel with the half in front of it, which is to stay
                count += _sink(model, node, wanted)
        for seed in seeds:
            if seed.outputs[0].uses():  # something could not be passed after all
                _compose(seed)
        edit.drop_unused(model)
        return count


def inverse(perm: Perm) -> Perm:
    """The perm that undoes ``perm``."""
    return tuple(perm.index(i) for i in range(len(perm)))


def transposed(value: ir.Value | None) -> tuple[ir.Value, Perm] | None:
    """``(x, p)`` where ``value`` is ``T_p(x)``, else None."""
    node = query.producer_of(value, "Transpose")
    if node is None or node.inputs[0] is None:
        return None
    perm = query.ints(node, "perm")
    return (node.inputs[0], perm) if perm else None


def _sink(model: ir.Model, node: ir.Node, wanted: Mapping[int, Perm]) -> bool:
    """Move ``node`` in front of the transposes that feed it, if its rule says how."""
    if not query.is_standard(node):
        return False
    if node.op_type == "Transpose":
        return _compose(node)
    rule = RULES.get(node.op_type)
    sources = [transposed(value) for value in node.inputs]
    perm = next((found[1] for found in sources if found), None)
    if rule is None or perm is None or (node.op_type in COSTLY and wanted[id(node.outputs[0])] not in (layout_wanted.ANY, inverse(perm))):
        return False
    result = rule(model, node, perm)
    if result is None:
        return False
    inputs, attributes, perms = result
    edit.set_inputs(node, inputs)
    edit.set_attributes(node, **attributes)
    for out in node.outputs:
        _retranspose(model, node, out, perms)
    return True


def _compose(node: ir.Node) -> bool:
    inner = transposed(node.inputs[0])
    outer = query.ints(node, "perm")
    if inner is None or not outer:
        return False
    source, perm = inner
    total = tuple(perm[i] for i in outer)
    if total == tuple(range(len(total))) and not (node.outputs[0].is_graph_output() and (source.producer() is None or source.is_graph_output())):
        edit.bypass(node, source)
        return True
    edit.set_inputs(node, [source])
    edit.set_attributes(node, perm=list(total))
    return True


def _retranspose(model: ir.Model, node: ir.Node, out: ir.Value, perm: Perm) -> None:
    """Let every reader of ``out`` read ``T_perm(out)`` instead."""
    shape = out.shape
    out_shape = None
    if shape is not None:
        back = inverse(perm)
        out_shape = ir.Shape([shape[i] for i in back])
    if perm == tuple(range(len(perm))):
        return
    uses, was_output = tuple(out.uses()), out.is_graph_output()
    turned = edit.insert_after(model, node, "Transpose", [out], f"{query.label(node)}/Transpose", {"perm": list(perm)})
    turned.shape, turned.type = shape, out.type
    for use in uses:
        use.node.replace_input_with(use.idx, turned)
    if was_output:
        edit.replace_output(out, turned)
    out.shape = out_shape


def _seed(model: ir.Model, value: ir.Value) -> ir.Node | None:
    """Put ``T_p T_p^-1`` behind a graph input that reaches only transposes of perm ``p``; gives the second."""
    perm = _reached(value)
    if perm is None or all(use.node.op_type == "Transpose" for use in value.uses()):
        return None
    uses = tuple(value.uses())
    first = edit.insert_first(model, "Transpose", [value], f"{value.name}/Transpose", {"perm": list(perm)})
    node = first.producer()
    assert node is not None
    second = edit.insert_after(model, node, "Transpose", [first], f"{value.name}/Transpose", {"perm": list(inverse(perm))})
    layer = uses[0].node.metadata_props
    node.metadata_props.update({key: layer[key] for key in (query.LAYER_KEY,) if key in layer})  # in the Keras layer that reads the input
    if value.shape is not None:
        first.shape, second.shape = ir.Shape([value.shape[i] for i in perm]), value.shape
    for use in uses:
        use.node.replace_input_with(use.idx, second)
    return second.producer()


def _reached(value: ir.Value) -> Perm | None:
    """The one perm of all transposes that ``value`` reaches through operators that a transpose can pass, or None."""
    found: set[Perm] = set()
    operands: list[ir.Value] = []
    stack, seen = [value], {id(value)}
    while stack:
        current = stack.pop()
        for use in current.uses():
            node = use.node
            if not query.is_standard(node) or node.graph is not value.graph:
                return None
            if node.op_type == "Transpose":
                found.add(query.ints(node, "perm"))
            elif node.op_type in ops.UNARY or node.op_type in ops.BINARY or node.op_type in ("Pad", "Concat"):
                operands += query.inputs_of(node)
                stack += [out for out in node.outputs if id(out) not in seen]
                seen.update(id(out) for out in node.outputs)
            else:
                return None
        if current.is_graph_output():
            return None
    alone = all(id(operand) in seen or query.is_constant(operand) for operand in operands)
    return next(iter(found)) if len(found) == 1 and () not in found and alone else None


Rule = Callable[[ir.Model, ir.Node, Perm], layout_rules.Moved | None]
RULES: Mapping[str, Rule] = {
    **dict.fromkeys(ops.UNARY, layout_rules.unary),
    **dict.fromkeys(ops.BINARY, layout_rules.binary),
    **dict.fromkeys(ops.REDUCE, layout_rules.reduction),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), layout_rules.along_axis),
    "Concat": layout_rules.concat,
    "Pad": layout_rules.pad,
    "Slice": layout_rules.cut,
    "MatMul": layout_last_axis.product,
    "LayerNormalization": layout_last_axis.normalization,
    "Squeeze": layout_rules.squeeze,
    "Unsqueeze": layout_rules.unsqueeze,
}
COSTLY = frozenset({"MatMul", "LayerNormalization"})
