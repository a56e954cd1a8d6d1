"""Whether a graph with fresh weights is alive: it runs, its numbers are finite, and what flows through it neither vanishes nor explodes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError, InputError
from converter.frontend.samples import parity_inputs
from converter.graph import query
from converter.spec.quant import Array
from converter.spec.report import Report
from converter.transfer import parameters
from converter.verify.session import Session, exposed

LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN", "Einsum")
QUIET, LOUD = 1e-6, 1e6  # standard deviations of a layer's output for input of 1, beyond which training hardly starts


def prove(graph: ir.Model, report: Report) -> None:
    """Run ``graph`` on random input and report the spread behind every layer with weights.

    Raises:
        ConversionError: onnxruntime cannot run it, or outputs are not finite; what it says names the node.
    """
    sessions = Session(graph), Session(exposed(graph, _layers(graph)), optimise=False)
    if any(i.dtype in ("string", "object") for i in sessions[0].inputs):
        report.warnings.append("the graph takes text, for which there are no random inputs: it was loaded, but not run")
        return
    feeds = [f for kind, f in parity_inputs(sessions[0].inputs, _vocabulary(graph)) if kind.startswith("random")]
    try:
        outputs, inner = sessions[0].run(feeds[-1]), sessions[1].run(feeds[-1])
        sessions[0].run(feeds[0])
    except InputError as error:
        raise ConversionError(f"the graph with fresh weights does not run: {error}") from error
    _check_batch(outputs, feeds[-1], graph)
    broken = [name for name, y in outputs.items() if y.dtype.kind == "f" and not np.isfinite(y).all()]
    if broken:
        raise ConversionError(f"the graph with fresh weights gives NaN or infinite values at {', '.join(broken)} for random input")
    _spread(inner, outputs, report)


def _layers(graph: ir.Model) -> list[str]:
    return [query.name_of(n.outputs[0]) for n in graph.graph if query.is_standard(n, *LAYERS) and n.outputs and n.outputs[0].name]


def _vocabulary(graph: ir.Model) -> int:
    """Ids that every table has."""
    return min((p.shape[0] for p in parameters.of(graph) if p.role == "table"), default=2)


def _check_batch(outputs: Mapping[str, Array], feeds: Mapping[str, Array], graph: ir.Model) -> None:
    """An output that has the batch axis of the inputs has as many samples: numbers of one sample may not become those of several."""
    free = {query.name_of(v): v.shape[0] for v in (*query.true_inputs(graph), *graph.graph.outputs) if v.shape}
    for name, y in outputs.items():
        for given, x in feeds.items():
            if free.get(name) == free.get(given) and not isinstance(free.get(name), int | type(None)) and y.shape[0] != x.shape[0]:
                raise ConversionError(f"output {name} has {y.shape[0]} samples for {x.shape[0]} at the input: the size contradicts the graph")


def _spread(inner: Mapping[str, Array], outputs: Mapping[str, Array], report: Report) -> None:
    spreads: dict[str, float] = {name: float(np.std(y.astype(np.float64))) for name, y in inner.items() if y.dtype.kind == "f" and y.size}
    final: dict[str, float] = {name: float(np.std(y.astype(np.float64))) for name, y in outputs.items() if y.dtype.kind == "f" and y.size}
    report.numbers["activations"] = {"layers": spreads, "outputs": final}
    if not spreads:
        report.done.append("runs on random input")
        return
    low, high = (choose(spreads.items(), key=lambda pair: pair[1]) for choose in (min, max))
    report.done.append(f"runs on random input; standard deviation behind {len(spreads)} layers from {low[1]:.3g} ({low[0]}) to {high[1]:.3g} "
                       f"({high[0]})")
    for word, (name, spread), wrong in (("vanishes", low, not low[1] > QUIET), ("explodes", high, not high[1] < LOUD)):
        if wrong:
            report.warnings.append(f"what flows through the graph {word}: standard deviation {spread:.3g} at {name}")
