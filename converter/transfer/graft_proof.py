"""Hold a grafted graph to its two parts run in sequence, and a head that was cut off to the graph it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError, InputError, ParityError
from converter.frontend.samples import parity_inputs
from converter.graph import io, query
from converter.spec.quant import Array
from converter.transfer import cutting, seams
from converter.transfer.cutting import Part
from converter.transfer.graft import Grafted
from converter.verify import compare
from converter.verify.policy import DEFAULT
from converter.verify.session import Session

Feeds = Mapping[str, Array]
ONE_STEP = 1.001  # a step of the grid, and what float32 makes of it
INTEGER = ("QuantizeLinear", "QLinear", "ConvInteger", "MatMulInteger", "DynamicQuantize")


class Sequence:
    """Both parts, one after the other, under the names of the grafted graph."""

    def __init__(self, grafted: Grafted, optimise: bool, entries: Mapping[str, str]) -> None:
        self._grafted, first, second = grafted, grafted.backbone, grafted.head
        self._first, self._second = (Session(part.model, optimise=optimise, entries=entries, lean=not optimise) for part in (first, second))
        self._seam = second.seam

    def run(self, feeds: Feeds) -> dict[str, Array]:
        """Outputs by the names that the grafted graph has for them."""
        g = self._grafted
        first, second = (g.renamed.get(part.whose, {}) for part in (g.backbone, g.head))
        made = self._first.run({i.name: feeds[first.get(i.name, i.name)] for i in self._first.inputs})
        extra = {i.name: feeds[second.get(i.name, i.name)] for i in self._second.inputs if i.name != self._seam}
        got = self._second.run({self._seam: self._hand_over(made[g.backbone.seam]), **extra})
        return {**{first.get(name, name): made[name] for name in g.backbone.kept}, **{second.get(name, name): y for name, y in got.items()}}

    def _hand_over(self, x: Array) -> Array:
        """What a program that runs the one part and then the other does in between."""
        fit = self._grafted.fit
        x = np.ascontiguousarray(x.transpose(fit.perm)) if fit.perm else x
        if not fit.codes or fit.wanted is None or x.dtype.kind != "f":
            return x
        layout = dict(zip(("axis", "block_size"), fit.wanted.layout, strict=False))
        return io.evaluate("QuantizeLinear", [x, fit.wanted.scale, fit.wanted.zero_point], layout, max(query.opset(self._grafted.model), 21))[0]


@dataclass
class Seen:
    """How far one output of the graft is from the sequence.

    Args:
        fidelity: over all data.
        step: of the grid that the output lies on; None where it is on none.
    """

    fidelity: compare.Fidelity
    step: float | None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        seen = self.fidelity.result()
        return {"samples": seen.samples, "max_abs": seen.max_abs, "relative": seen.relative, "snr_db": seen.snr_db,
                "steps": None if self.step is None else seen.max_abs / self.step}


def random_feeds(model: ir.Model) -> list[tuple[str, Feeds]]:
    """Random inputs and edges for ``model``, each with its kind."""
    return list(parity_inputs(query.signature(model)[0]))


def prove(
    grafted: Grafted, cases: Iterable[tuple[str, Feeds]], entries: Mapping[str, str] | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> tuple[dict[str, Any], list[str]]:
    """Run the graft and the sequence, fused and unfused.

    Unfused, both do the same arithmetic and must be equal but for rounding. Fused, so must float graphs; of integer ones an output must lie
    within a step of its own grid, or the two be as close as graphs are that differ by single steps somewhere inside.

    Args:
        grafted: what was made.
        cases: kind of the inputs, and inputs by the names of the graft.
        entries: session options.
        progress: hears how many samples are done.

    Returns:
        Numbers by ``fused`` and ``unfused`` and by output; and findings, one sentence each.

    Raises:
        ParityError: they differ.
        ConversionError: they cannot be run on these inputs, so that nothing can be proved.
    """
    integer = any(node.op_type.startswith(INTEGER) for node in grafted.model.graph.all_nodes())
    steps = {query.name_of(out): _step(out) for out in grafted.model.graph.outputs}
    pairs = {mode: (Sequence(grafted, fused, entries or {}), Session(grafted.model, optimise=fused, entries=entries, lean=not fused))
             for mode, fused in (("unfused", False), ("fused", True))}  # lean or not, sums have another order
    seen: dict[str, dict[str, Seen]] = {mode: {} for mode in pairs}
    for kind, feeds in cases:
        for mode, (sequence, session) in pairs.items():
            try:
                expected, got = sequence.run(feeds), session.run(feeds)
            except InputError as error:
                raise ConversionError(f"nothing can be proved on inputs of the kind {kind!r}: {error}. Give --data to prove it on that") from error
            if mode == "unfused" or not integer:
                _check(expected, got, f"{kind}, {mode}")
            _update(seen[mode], expected, got, steps)
        progress(len(next(iter(feeds.values()))) if feeds else 1)
    return {mode: {name: s.to_json() for name, s in found.items()} for mode, found in seen.items()}, _judge(seen["fused"]) if integer else []


def _check(expected: Feeds, got: Feeds, kind: str) -> None:
    failures = compare.parity(expected, got)
    if failures:
        raise ParityError(f"the grafted graph does not compute what its parts compute in sequence ({kind}): {'; '.join(map(str, failures[:3]))}")


def _update(seen: dict[str, Seen], expected: Feeds, got: Feeds, steps: Mapping[str, float | None]) -> None:
    for name, y in expected.items():
        if compare.is_number(y.dtype) and y.size:
            seen.setdefault(name, Seen(compare.Fidelity(), steps.get(name))).fidelity.update(y, got[name])


def _judge(seen: Mapping[str, Seen]) -> list[str]:
    """Findings on outputs of an integer graph, fused; ParityError where rounding cannot be what they are."""
    findings = []
    for name, one in seen.items():
        result = one.fidelity.result()
        if not compare.departures(name, result) or (one.step is not None and result.max_abs <= ONE_STEP * one.step):
            continue
        text = f"output {name!r}, fused: {result.max_abs:.3g} from the parts in sequence ({result.snr_db:.1f} dB"
        text += ")" if one.step is None else f", {result.max_abs / one.step:.1f} steps of its grid)"
        if result.snr_db < DEFAULT.alike_snr_db or result.non_finite:
            raise ParityError(f"the grafted graph does not compute what its parts compute in sequence: {text}; unfused they are equal, so the "
                              "integer kernels of this machine overflow in one of them (converter doctor says which do)")
        findings.append(f"{text}: fused kernels round elsewhere when the two are one graph; unfused they are equal")
    return findings


def _step(output: ir.Value) -> float | None:
    maker = output.producer()
    grid = seams.grid_at(maker) if maker is not None and seams.codes_node(maker, "DequantizeLinear") else None
    return None if grid is None else float(np.max(grid.scale))


def prove_cut(original: ir.Model, part: Part) -> str | None:
    """Hold a head that was cut off to the graph it comes from, unfused: given what that has at the seam, it gives what that gives.

    Returns:
        Why it could not be run, or None.

    Raises:
        ParityError: it gives something else.
    """
    if part.whole:
        return None
    whole = cutting.copied(original, part.whose)
    values = {query.name_of(v): v for v in (*whole.graph.inputs, *(o for node in whole.graph for o in node.outputs)) if v.name}
    root = values[part.root]
    if root not in whole.graph.outputs and not root.is_graph_input():
        whole.graph.outputs.append(root)
    head, full = Session(part.model, optimise=False, lean=True), Session(whole, optimise=False, lean=True)
    seam = part.seam
    for kind, feeds in random_feeds(original):
        try:
            expected = full.run({i.name: feeds[i.name] for i in full.inputs})
        except InputError as error:
            return f"the cut of the {part.whose} was not proved by itself, because the {part.whose} does not run on random inputs: {error}"
        given = {**feeds, **expected}
        got = head.run({seam: given[part.root], **{i.name: given[i.name] for i in head.inputs if i.name != seam}})
        failures = compare.parity({name: expected[name] for name in got}, got)
        if failures:
            raise ParityError(f"the head that was cut off the {part.whose} does not compute what the {part.whose} computes behind {part.root!r} "
                              f"({kind}): {'; '.join(map(str, failures[:3]))}")
    return None
