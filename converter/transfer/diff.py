"""What differs between two graphs, by tensor and by operator: a pure comparison that takes time in proportion to their size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from converter.graph import query
from converter.spec.report import Report
from converter.transfer import diff_nodes, diff_tensors
from converter.transfer.diff_nodes import NodeDiff
from converter.transfer.diff_tensors import Held, TensorDiff


@dataclass(frozen=True)
class Diff:
    """What differs between two graphs.

    Args:
        tensors: pairs that are not the same.
        only: names, dtypes and shapes of tensors that only the first, or only the second, has.
        renamed: tensors of the first graph that have another name in the second.
        counts: operator to how often both have it, where that differs.
        nodes: nodes that differ, or that one of the two lacks.
        ends: what differs in inputs, outputs and versions, one phrase each.
        same: how many tensors are the same to the bit, and how many nodes were paired.
    """

    tensors: tuple[TensorDiff, ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]
    renamed: dict[str, str]
    counts: dict[str, tuple[int, int]]
    nodes: tuple[NodeDiff, ...]
    ends: tuple[str, ...]
    same: tuple[int, int]

    @property
    def empty(self) -> bool:
        """Whether both graphs are the same, to the bit of every tensor and the name of every node."""
        return not (self.tensors or any(self.only) or self.renamed or self.counts or self.nodes or self.ends)


def diff(first: ir.Model, second: ir.Model) -> Diff:
    """Compare two graphs, float or integer, from anywhere; neither is changed.

    Tensors are paired by name (the codes of a tensor count as that tensor), then float with codes where the same node reads them at the same input,
    then by equal content. Every tensor is read once or twice, so the time is linear.
    """
    paired = diff_tensors.pair(diff_tensors.held(first), diff_tensors.held(second))
    found = [diff_tensors.compare(mine, other) for mine, other in paired.pairs]
    nodes, compared = diff_nodes.compare(first, second, paired.renamed)
    tensors = tuple(d for d in found if d is not None)
    return Diff(tensors, (_described(paired.only[0]), _described(paired.only[1])), paired.renamed, diff_nodes.counts(first, second),
                tuple(nodes), tuple(_ends(first, second)), (len(found) - len(tensors), compared))


def _described(tensors: list[Held]) -> tuple[str, ...]:
    return tuple(f"{h.name} {h.tensor.dtype.name.lower()} {list(h.tensor.shape.numpy())}" for h in tensors)


def _ends(first: ir.Model, second: ir.Model) -> list[str]:
    """Versions, inputs and outputs."""
    found = []
    domains = sorted({*first.graph.opset_imports, *second.graph.opset_imports})
    pairs: list[tuple[str, Any, Any]] = [(f"opset {domain}".strip(), first.graph.opset_imports.get(domain), second.graph.opset_imports.get(domain))
                                         for domain in domains]
    pairs.append(("IR version", first.ir_version, second.ir_version))
    for kind, mine, theirs in zip(("input", "output"), query.signature(first), query.signature(second), strict=True):
        one, two = ([end.describe() for end in ends] for ends in (mine, theirs))
        longest = max(len(one), len(two))
        pairs += [(f"{kind} {i}", one[i] if i < len(one) else None, two[i] if i < len(two) else None) for i in range(longest)]
    found += [f"{what}: {'none' if a is None else a} and {'none' if b is None else b}" for what, a, b in pairs if a != b]
    functions = {str(key) for key in first.functions} ^ {str(key) for key in second.functions}
    return found + [f"function {key}: in one of the two only" for key in sorted(functions)]


def report(found: Diff, first: str, second: str) -> Report:
    """The comparison as a report; ``first`` and ``second`` are what the graphs are called."""
    made = Report("diff")
    made.numbers.update(
        first=first, second=second, empty=found.empty, tensors=[d.to_json() for d in found.tensors], only_first=list(found.only[0]),
        only_second=list(found.only[1]), renamed=found.renamed, operators={kind: list(pair) for kind, pair in found.counts.items()},
        nodes=[d.to_json() for d in found.nodes], ends=list(found.ends), same_tensors=found.same[0], paired_nodes=found.same[1])
    if found.empty:
        made.done.append(f"no difference: {found.same[0]} tensors and {found.same[1]} nodes are the same")
        return made
    made.done += list(found.ends)
    made.done.append(f"tensors: {found.same[0]} the same, {len(found.tensors)} differ, {len(found.only[0])} only in {first}, "
                     f"{len(found.only[1])} only in {second}, {len(found.renamed)} renamed")
    made.done.append(f"nodes: {found.same[1]} paired, {sum(bool(d.name and d.other) for d in found.nodes)} differ, "
                     f"{sum(not d.other for d in found.nodes)} only in {first}, {sum(not d.name for d in found.nodes)} only in {second}")
    return made
