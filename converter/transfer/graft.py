"""Join the backbone of one graph and the head of another at a seam.

A head is put on the recipient's backbone, or a backbone under the recipient's head; see :mod:`converter.transfer.cutting` for what the two
are, and :mod:`converter.transfer.fitting` for what must fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from converter.errors import UsageError
from converter.graph import edit, io, query
from converter.spec.report import Report
from converter.transfer import cutting, fitting, merging, opsets, seams
from converter.transfer.cutting import DONOR, RECIPIENT, Part
from converter.transfer.fitting import Fit
from converter.transfer.flow import Flow

TAKES = ("head", "backbone")


@dataclass(frozen=True)
class Grafted:
    """A graph made of two.

    Args:
        model: the graph.
        backbone, head: the parts as they were cut, of the same weights; neither is lifted or renamed.
        fit: how they meet.
        renamed: for each of donor and recipient, new names by old ones of inputs and outputs.
        lifted: one of the parts was lifted to another opset.
        report: what was done.
    """

    model: ir.Model
    backbone: Part
    head: Part
    fit: Fit
    renamed: dict[str, dict[str, str]] = field(default_factory=dict)
    lifted: bool = False
    report: Report = field(default_factory=lambda: Report("graft"))


def graft(
    donor: ir.Model, recipient: ir.Model, at: str, *, donor_at: str | None = None, take: str = "head", transpose: str | None = None,
    same: bool = False,
) -> Grafted:
    """Join a part of ``donor`` and a part of ``recipient``; both stay as they are and share their weights with the result.

    Args:
        donor: where the head or the backbone is taken from.
        recipient: what keeps the other part.
        at: seam of the recipient: name of a tensor, a node, or a Keras layer.
        donor_at: seam of the donor; its only input (``take="head"``) or its only output (``take="backbone"``) by default.
        take: ``head``: what stands up to ``at`` feeds what stands behind ``donor_at``. ``backbone``: what stands up to ``donor_at`` feeds what
            stands behind ``at``.
        transpose: ``channels-last`` or ``channels-first``, what the head wants, to put a transpose between them.
        same: donor and recipient are the same model.

    Raises:
        UsageError: a name means no tensor or several, the seam is no cut, or the two sides do not fit.
        ConversionError: their operator sets cannot be brought together.
    """
    if take not in TAKES:
        raise UsageError(f"take must be one of {', '.join(TAKES)}; received {take!r}")
    given = (recipient, at, RECIPIENT) if take == "head" else (donor, donor_at, DONOR)
    wanted = (donor, donor_at, DONOR) if take == "head" else (recipient, at, RECIPIENT)
    backbone, head = cutting.backbone(cutting.copied(given[0], given[2]), *given[1:]), cutting.head(cutting.copied(wanted[0], wanted[2]), *wanted[1:])
    if same or donor is recipient:
        _check_order(cutting.copied(recipient, RECIPIENT), backbone, head)
    return _join(backbone, head, transpose)


def _check_order(model: ir.Model, backbone: Part, head: Part) -> None:
    flow = Flow(model.graph)
    values = {query.name_of(v): v for v in flow.values()}
    if any(query.name_of(v) == backbone.root for v in flow.behind([values[head.root]])):
        raise UsageError(f"a cyclic graft: donor and recipient are the same model, and {head.root!r}, where the head begins, stands before "
                         f"{backbone.root!r}, where the backbone ends; what lies between them would feed itself")


def _join(backbone: Part, head: Part, transpose: str | None) -> Grafted:
    report = Report("graft")
    first, second = backbone.model.clone(), head.model.clone()
    where = f"{backbone.seam!r} of the {backbone.whose}, {head.root!r} of the {head.whose}"
    fit = fitting.fit(first.graph.outputs[_position(backbone)], second.graph.inputs[0], transpose, where)
    lifted = opsets.align(first, second, (backbone.whose, head.whose))
    renamed = _name(backbone, head, first.graph, second.graph, fit)
    given, wanted, outputs = first.graph.outputs[_position(backbone)], second.graph.inputs[0], list(second.graph.outputs)
    extra, begin = list(second.graph.inputs)[1:], next(iter(second.graph))
    merging.move(second, first)
    first.graph.inputs.extend(extra)
    first.graph.outputs[:] = [*list(first.graph.outputs)[:len(backbone.kept)], *outputs]
    _connect(first, given, wanted, fit, begin)
    keeper = backbone if backbone.whose == RECIPIENT else head
    _identify(first, keeper.model)
    for ends, order in zip((first.graph.inputs, first.graph.outputs), keeper.order, strict=True):
        ends[:] = sorted(ends, key=lambda v: order.index(query.name_of(v)) if v.name in order else len(order))
    edit.drop_unused(first)
    first.graph.meta.clear()
    io.check(first)
    _tell(report, first, (backbone, head), fit, lifted, renamed)
    return Grafted(first, backbone, head, fit, renamed.interface, bool(lifted), report)


def _position(backbone: Part) -> int:
    """Index of the seam among the outputs: the last, unless it is one of those that are kept."""
    return backbone.kept.index(backbone.seam) if backbone.seam in backbone.kept else len(backbone.kept)


def _name(backbone: Part, head: Part, first: ir.Graph, second: ir.Graph, fit: Fit) -> merging.Renamed:
    """Unique names, and free axes that are one at the seam are one everywhere, under the name that the recipient has for them."""
    ours, theirs = fit.axes
    if backbone.whose == DONOR:
        ours = {**{str(mine): name for name, mine in reversed(list(theirs.items())) if isinstance(mine, str)}, **ours}
        theirs = {name: ours.get(mine, mine) if isinstance(mine, str) else mine for name, mine in theirs.items()}
    ends = {backbone.whose: {query.name_of(v) for v in first.inputs} | set(backbone.kept),
            head.whose: {query.name_of(v) for v in second.inputs[1:]} | set(head.kept)}
    graphs = {backbone.whose: first, head.whose: second}
    merging.separate_axes(graphs[RECIPIENT], graphs[DONOR], set(ours if backbone.whose == DONOR else theirs))
    merging.set_axes(first, ours)
    merging.set_axes(second, theirs)
    return merging.make_unique(graphs[RECIPIENT], graphs[DONOR], ends)


def _connect(model: ir.Model, given: ir.Value, wanted: ir.Value, fit: Fit, begin: ir.Node) -> None:
    """Let the readers of ``wanted`` read ``given``, or its codes where both sides have the same grid."""
    maker = given.producer()
    coders = [use.node for use in wanted.uses()]
    tapped = any(out.is_graph_output() for node in coders for out in node.outputs) and not fit.codes
    if fit.same and fit.direct and maker is not None and not tapped:
        codes = maker.inputs[0]
        assert codes is not None
        source = _turned(model, codes, fit, begin)
        old = [wanted] if fit.codes else [node.outputs[0] for node in coders]
        for value in old:
            value.replace_all_uses_with(source)
        wanted.replace_all_uses_with(given)  # by what made codes of it, and is not needed any more
        return
    source = _turned(model, given, fit, begin)
    if fit.requantized and not fit.perm:
        source = _apart(model, source, begin)
    if fit.codes and fit.wanted is not None:
        source = _coded(model, source, wanted, fit, begin)
    wanted.replace_all_uses_with(source)


def _turned(model: ir.Model, source: ir.Value, fit: Fit, begin: ir.Node) -> ir.Value:
    if not fit.perm:
        return source
    node = edit.new_node(model, "Transpose", [source], f"{query.name_of(source)}/Transpose", {"perm": fit.perm}, None)
    begin.prepend(node)
    return node.outputs[0]


def _apart(model: ir.Model, source: ir.Value, begin: ir.Node) -> ir.Value:
    """A reshape to the same shape. Two pairs back to back are merged by onnxruntime into one on a third grid, which is neither of the two."""
    rank = query.rank_of(source)
    if rank is None:
        return source
    shape = edit.add_initializer(model, f"{query.name_of(source)}/shape", np.zeros(rank, np.int64))  # 0: as it is
    node = edit.new_node(model, "Reshape", [source, shape], f"{query.name_of(source)}/Reshape", {}, None)
    node.outputs[0].shape = source.shape
    begin.prepend(node)
    return node.outputs[0]


def _coded(model: ir.Model, source: ir.Value, wanted: ir.Value, fit: Fit, begin: ir.Node) -> ir.Value:
    """Codes on the grid of a head that reads codes: the scale and zero point of its own first reader that has them."""
    reader = next(use for use in wanted.uses() if seams.reads_codes(*use))
    node = seams.coder_like(model, "QuantizeLinear", source, reader, query.name_of(wanted))
    node.outputs[0].type, node.outputs[0].shape = wanted.type, wanted.shape
    begin.prepend(node)
    return node.outputs[0]


def _identify(model: ir.Model, keeper: ir.Model) -> None:
    """The result is called what the recipient is called."""
    model.producer_name, model.producer_version, model.domain = keeper.producer_name, keeper.producer_version, keeper.domain
    model.model_version, model.doc_string = keeper.model_version, keeper.doc_string
    model.graph.name, model.graph.doc_string = keeper.graph.name, keeper.graph.doc_string
    for mine, theirs in ((model.metadata_props, keeper.metadata_props), (model.graph.metadata_props, keeper.graph.metadata_props)):
        props = dict(theirs)
        mine.clear()
        mine.update(props)


def _tell(report: Report, model: ir.Model, parts: tuple[Part, Part], fit: Fit, lifted: list[str], renamed: merging.Renamed) -> None:
    backbone, head = parts
    report.done.append(f"the {backbone.whose} up to {backbone.seam!r} feeds the {head.whose} behind {head.root!r}")
    report.done.append(f"at the seam: {fit.describe()}")
    if fit.perm:
        report.done.append(f"transposed at the seam, axes {list(fit.perm)}")
    report.done += lifted
    if renamed.count:
        report.done.append(f"{renamed.count} names were in both and were changed")
    for whose, names in renamed.interface.items():
        report.warnings += [f"{old!r} of the {whose} is called {new!r}: the other graph has an input or output of that name"
                            for old, new in names.items()]
    report.warnings += _losses(model, backbone, head)
    report.warnings += [f"the axis {name!r} is {length} from now on, as the head wants it" for name, length in fit.axes[0].items()]
    report.numbers.update(
        take="head" if backbone.whose == RECIPIENT else "backbone", opset=query.opset(model), grids=_grids(fit),
        seam={backbone.whose: backbone.seam, head.whose: head.root}, outputs_lost={p.whose: list(p.lost) for p in (backbone, head)},
        inputs_lost={p.whose: list(p.lost_inputs) for p in (backbone, head)}, renamed=renamed.count, renamed_ends=renamed.interface)


def _losses(model: ir.Model, backbone: Part, head: Part) -> list[str]:
    """What the recipient had and the result has not, and what of the donor was not taken though nobody named it."""
    inputs, outputs = ({query.name_of(v) for v in ends} for ends in (model.graph.inputs, model.graph.outputs))
    found = []
    for part in (backbone, head):
        inside = [name for name in part.lost if name == part.seam and name not in outputs]
        gone = [name for name in part.lost if name not in outputs and name not in inside]
        if inside and part.whose == RECIPIENT:
            found.append(f"the output {inside[0]!r} of the recipient is the seam, and inside the result now")
        if gone:
            found.append(f"outputs of the {part.whose} that the result does not have: {', '.join(gone)}")
        unread = [name for name in part.lost_inputs if name not in inputs]
        if unread and part.whose == RECIPIENT:
            found.append(f"inputs of the recipient that the result does not have: {', '.join(unread)}")
    return found


def _grids(fit: Fit) -> dict[str, object]:
    grids = {"backbone": fit.given, "head": fit.wanted}
    return {side: None if grid is None else {"scale": np.asarray(grid.scale, float), "zero_point": np.asarray(grid.zero_point, int),
                                             "dtype": grid.dtype.name.lower()} for side, grid in grids.items()}
