"""Keras model to clean float graph, proved equal to Keras before anyone sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import onnx_ir as ir

from converter.frontend import bind, keras_source, lower, parity, precision, trace, variables
from converter.frontend.keras_source import CallSpec
from converter.frontend.reference import KerasRunner
from converter.graph import io, query
from converter.passes import base, pipelines
from converter.progress import Stages
from converter.spec.report import Report


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Args:
        graph: the clean float graph, with its ledger.
        runner: the Keras model it came from, ready to run; None for a graph that came from an ONNX file.
        report: what was done, and the parity that was measured.
        name: name of the Keras model.
        places: asks the Keras model for the place of every variable in a weights file to its name (``frontend.variables``); Keras walks all that
            the model consists of for that, so it is asked only where the answer is kept.
    """

    graph: ir.Model
    runner: KerasRunner | None
    report: Report
    name: str
    places: Callable[[], Mapping[str, str]] = dict


@base.no_collector()
def export_graph(
    source: Any, stages: Stages, *, input_spec: Any = None, opset: int | None = None, unsafe: bool = False, axes: Mapping[str, str] | None = None,
) -> Exported:
    """The clean float graph of a Keras model.

    Raises:
        InputError, UnsafeError: the source cannot be read.
        ConversionError: it cannot be converted; the layer and the operator are named.
        UsageError: ``opset`` or ``axes`` does not fit.
        ParityError: the graph does not compute what Keras computes.
    """
    with stages.stage("load"):
        model = keras_source.open_model(source, unsafe=unsafe)
        spec = keras_source.call_spec(model, input_spec)
        warnings = precision.check(model)
    graph, traced, changes = to_graph(model, spec, stages, opset=opset, axes=axes)
    report = _described(graph)
    report.numbers["passes"] = changes
    report.warnings += warnings
    if traced.kept:
        report.done.append("the graph keeps nothing between calls, what the model keeps goes in and comes out: "
                           + ", ".join(f"{k.given} -> {k.left}" for k in traced.kept))
    runner = KerasRunner(model, spec)
    with stages.stage("parity"):
        report.numbers["parity"] = parity.prove(graph, runner, model)
    if not report.numbers["parity"]["varies"]:
        report.warnings.append("no output depends on the input, for the inputs that were tried: being equal to Keras proves little "
                               "(untrained weights?)")
    report.done.append(f"equal to Keras: largest error {report.numbers['parity']['relative']:.1e} of the output range")
    return Exported(graph, runner, report, str(model.name), partial(variables.places, model))


def to_graph(
    model: Any, spec: CallSpec, stages: Stages, *, opset: int | None = None, axes: Mapping[str, str] | None = None
) -> tuple[ir.Model, trace.Trace, dict[str, int]]:
    """The clean float graph of an open model, not yet proved; where it came from; and the number of changes by pass."""
    with stages.stage("trace"):
        traced = trace.trace(model, spec)
    with stages.stage("lower"):
        graph = lower.lower(traced, lower.DEFAULT_OPSET if opset is None else opset)
        bind.bind(graph, traced, axes)
    with stages.stage("clean"):
        changes = base.run(graph, pipelines.clean())
        graph.graph.name = model.name
        io.check(graph)
    return graph, traced, changes


def _described(graph: ir.Model) -> Report:
    """A report with the facts of the graph that was made."""
    report = Report("export")
    inputs, outputs = query.signature(graph)
    count, parameters = graph.graph.num_nodes(), _parameters(graph)
    report.done.append(f"{count} operators, {parameters:,} parameters, opset {query.opset(graph)}")
    report.numbers.update(
        operators=count, kinds=dict(sorted(Counter(n.op_type for n in graph.graph.all_nodes()).items())), parameters=parameters,
        opset=query.opset(graph), ir_version=graph.ir_version, inputs=[i.to_json() for i in inputs], outputs=[o.to_json() for o in outputs])
    return report


def _parameters(graph: ir.Model) -> int:
    """Numbers in floats of any width, and in 8 bits (weights that Keras quantized)."""
    weights = [v.const_value for v in graph.graph.initializers.values() if v.const_value is not None]
    return sum(t.size for t in weights if t.dtype.is_floating_point() or t.dtype in (ir.DataType.INT8, ir.DataType.UINT8))
