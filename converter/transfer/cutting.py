"""Cut a graph in two at a seam; each part is a model of its own, so that the two can be run in sequence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from converter.errors import InputError, UsageError, known
from converter.graph import io, query
from converter.transfer import seams
from converter.transfer.flow import Flow, keep_only
from converter.verify.session import Session, exposed

DONOR, RECIPIENT = "donor", "recipient"


@dataclass(frozen=True)
class Part:
    """A part of a graph.

    Args:
        model: its inputs are those of the whole graph that it needs, the first one of a head being the seam; its outputs are those of the
            whole graph that it makes, and of a backbone the seam as well, at the end.
        whose: donor or recipient.
        root: name that the root of the seam has in the whole graph.
        seam: name of the seam in the part.
        kept: names of the outputs that the part has in common with the whole graph.
        lost: names of those that it has not.
        order: names of all inputs and of all outputs of the whole graph, in its order.
        lost_inputs: names of inputs that it does not need.
        whole: nothing was cut off.
    """

    model: ir.Model
    whose: str
    root: str
    seam: str
    kept: tuple[str, ...]
    lost: tuple[str, ...]
    order: tuple[tuple[str, ...], tuple[str, ...]]
    lost_inputs: tuple[str, ...] = ()
    whole: bool = False


def copied(model: ir.Model, whose: str) -> ir.Model:
    """A copy that shares the weights, with all shapes that can be told; the nodes are put in order, in ``model`` too.

    Raises:
        InputError: the graph has a cycle.
    """
    try:
        model.graph.sort()
    except ValueError as error:
        raise InputError(f"the graph of the {whose} runs in a circle: {error}") from error
    copy = model.clone()
    for meta in (copy.meta, copy.graph.meta):
        meta.clear()
    imports = copy.graph.opset_imports
    if "ai.onnx" in imports:
        imports[""] = imports.pop("ai.onnx")
    io.infer_shapes(copy)
    return copy


def backbone(model: ir.Model, at: str | None, whose: str) -> Part:
    """Everything up to the seam, which defaults to the only output, and every output that does not depend on it.

    Where the seam itself is an output of the recipient and the graph goes on behind it, it stays one.

    Raises:
        UsageError: the name means no tensor, or one that nothing stands before.
    """
    flow, order = Flow(model.graph), _order(model.graph)
    root = seams.find(flow, _only(at, model.graph.outputs, "output", whose), whose)
    if root.is_graph_input():
        raise UsageError(f"{at or root.name!r} is the input {root.name!r} of the {whose}: nothing of it would be left as a backbone")
    _learn(model, root)
    related, behind = seams.family(root), flow.behind([root])
    goes_on = any(o in behind and o not in related for o in model.graph.outputs)
    kept = [o for o in model.graph.outputs if (whose == RECIPIENT and goes_on if o in related else o not in behind)]
    lost = [query.name_of(o) for o in model.graph.outputs if o not in kept]
    given = _given(model, root)
    _learn(model, given)
    model.graph.outputs[:] = kept if given in kept else [*kept, given]
    inputs = _reduce(model, Flow(model.graph))
    return Part(model, whose, query.name_of(root), query.name_of(given), tuple(map(query.name_of, kept)), tuple(lost), order, inputs,
                whole=not lost and not behind)


def _given(model: ir.Model, root: ir.Value) -> ir.Value:
    """What a backbone hands over: the real numbers behind its pair, where all that is read of the root is read through one."""
    if seams.is_integer(root):
        use = next((use for use in root.uses() if seams.reads_codes(*use)), None)
        codes = root
    else:
        use = None if seams.readers_grid(root) is None else next(iter(root.uses()))
        codes = root if use is None else use.node.outputs[0]
    if use is None:
        return root
    reader = next((u.node for u in codes.uses() if seams.codes_node(u.node, "DequantizeLinear") and u.idx == 0), None)
    if reader is not None:
        return reader.outputs[0]
    made = seams.coder_like(model, "DequantizeLinear", codes, use, query.name_of(root))
    scale = use.node.inputs[use.idx + 1]
    made.outputs[0].type, made.outputs[0].shape = None if scale is None else scale.type, root.shape
    model.graph.append(made)
    return made.outputs[0]


def _learn(model: ir.Model, value: ir.Value) -> None:
    """Type and shape of a value that ONNX cannot tell, because operators of other domains make it: from onnxruntime, which may know those."""
    if value.dtype is not None and value.shape is not None:
        return
    (found,) = Session(exposed(model, [query.name_of(value)]), optimise=False, lean=True).outputs
    if value.type is None:
        value.type = ir.TensorType(ir.DataType.from_numpy(np.dtype(found.dtype)))
    value.shape = value.shape if value.shape is not None or not found.shape else ir.Shape(found.shape)


def head(model: ir.Model, at: str | None, whose: str) -> Part:
    """Everything behind the seam, which defaults to the only input.

    Inputs that the part before the seam does not use stay inputs.

    Raises:
        UsageError: the name means no tensor, nothing stands behind it, or something behind it depends on the inputs by another way too.
    """
    flow, order = Flow(model.graph), _order(model.graph)
    root = seams.find(flow, _only(at, flow.inputs(), "input", whose), whose)
    _learn(model, root)
    related, behind = seams.family(root), flow.behind([root])
    outputs = [o for o in model.graph.outputs if o in behind or o is root]
    if all(o in related for o in outputs):
        raise UsageError(f"nothing of the {whose} stands behind {at or root.name!r}: none of its outputs ({known(_names(model.graph.outputs))}) "
                         "is computed from it, so there is no head to take")
    outputs = [o for o in outputs if whose == RECIPIENT or o not in related]
    nodes, values = flow.before(outputs, [root])
    extra = _check_cut(flow, root, behind, nodes, whose)
    lost = [query.name_of(o) for o in model.graph.outputs if o not in outputs]
    whole = root.is_graph_input() and not lost
    names, name = tuple(_names(outputs)), query.name_of(root)
    gone = [query.name_of(v) for v in flow.inputs() if v is not root and v not in extra]
    optional = [v for v in model.graph.inputs if v.is_initializer() and v in values]
    _open(model, root, outputs, nodes)
    model.graph.inputs.extend([*extra, *optional])
    return Part(model, whose, name, query.name_of(model.graph.inputs[0]), names, tuple(lost), order, tuple(gone), whole=whole)


def _open(model: ir.Model, root: ir.Value, outputs: list[ir.Value], nodes: set[ir.Node]) -> None:
    """Make ``root`` the only input, and of the nodes keep ``nodes``."""
    graph = model.graph
    seam = ir.Value(name=root.name, type=root.type, shape=root.shape)
    graph.outputs.clear()
    if root in outputs:  # an input cannot be an output under the same name
        seam.name = f"{root.name}/seam"
        tap = ir.node("Identity", inputs=[seam], outputs=[ir.Value(name=root.name, type=root.type, shape=root.shape)], name=f"{root.name}/Identity")
        graph.append(tap)
        nodes.add(tap)
        outputs[outputs.index(root)] = tap.outputs[0]
    root.replace_all_uses_with(seam)
    graph.inputs.clear()
    graph.outputs.extend(outputs)
    keep_only(graph, nodes)
    graph.inputs.append(seam)


def _check_cut(flow: Flow, root: ir.Value, behind: set[ir.Value], nodes: set[ir.Node], whose: str) -> list[ir.Value]:
    """Inputs beside the seam that the head needs and the backbone does not; UsageError where a tensor goes around the seam."""
    _, used = flow.before([root])
    beside = dict.fromkeys(value for node in flow.graph if node in nodes and any(out in behind for out in node.outputs)
                           for value in flow.reads[node] if value is not root and value not in behind and value in flow.live())
    extra: dict[ir.Value, None] = {}
    around: dict[str, None] = {}
    for value in beside:
        feeding = [v for v in flow.inputs() if v in flow.before([value])[1]]
        if any(v in used for v in feeding):
            around[query.name_of(value)] = None
        extra.update(dict.fromkeys(feeding))
    if around:
        raise UsageError(f"{query.name_of(root)!r} does not cut the {whose} in two: {known(around)} go{'es' if len(around) == 1 else ''} around it, "
                         "from the inputs to what stands behind it; cut where a single tensor connects the two sides")
    return list(extra)


def _reduce(model: ir.Model, flow: Flow) -> tuple[str, ...]:
    """Leave what the outputs need; returns the names of the inputs that they do not."""
    graph = model.graph
    nodes, values = flow.before(graph.outputs)
    gone = [v for v in flow.inputs() if v not in values]
    graph.inputs[:] = [v for v in graph.inputs if v in values]
    keep_only(graph, nodes)
    return tuple(map(query.name_of, gone))


def _order(graph: ir.Graph) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(_names(graph.inputs)), tuple(_names(graph.outputs))


def _only(at: str | None, there: Iterable[ir.Value], kind: str, whose: str) -> str:
    names = _names(there)
    if at is None and len(names) != 1:
        option = "--donor-at" if whose == DONOR else "--at"
        raise UsageError(f"the {whose} has {len(names)} {kind}s, so {option} must say which tensor is the seam; {kind}s: {known(names)}")
    return names[0] if at is None else at


def _names(values: Iterable[ir.Value]) -> list[str]:
    return [query.name_of(v) for v in values]
