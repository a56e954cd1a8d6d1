"""Keras model to clean float graph, proved equal to Keras before anyone sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from converter.errors import ParityError
from converter.frontend import bind, keras_source, lower, samples, trace
from converter.frontend.reference import KerasRunner
from converter.graph import io, query
from converter.passes import base, pipelines
from converter.progress import Stages
from converter.spec.report import Report
from converter.verify import compare
from converter.verify.session import Session


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Args:
        graph: the clean float graph, with its ledger.
        runner: the Keras model it came from, ready to run; None for a graph that came from an ONNX file.
        report: what was done, and the parity that was measured.
        name: name of the Keras model.
    """

    graph: ir.Model
    runner: KerasRunner | None
    report: Report
    name: str


def export_graph(source: Any, stages: Stages, *, input_spec: Any = None, opset: int | None = None, unsafe: bool = False) -> Exported:
    """The clean float graph of a Keras model.

    Raises:
        InputError, UnsafeError: the source cannot be read.
        ConversionError: it cannot be converted; the layer and the operator are named.
        ParityError: the graph does not compute what Keras computes.
    """
    with stages.stage("load"):
        model = keras_source.open_model(source, unsafe=unsafe)
        spec = keras_source.call_spec(model, input_spec)
    with stages.stage("trace"):
        traced = trace.trace(model, spec)
    with stages.stage("lower"):
        graph = lower.lower(traced, lower.DEFAULT_OPSET if opset is None else opset)
        bind.bind(graph, traced)
    with stages.stage("clean"):
        changes = base.run(graph, pipelines.clean())
        graph.graph.name = model.name
        io.check(graph)
    report = Report("export")
    report.done.append(f"{graph.graph.num_nodes()} operators, {_parameters(graph):,} parameters, opset {query.opset(graph)}")
    report.numbers.update(operators=graph.graph.num_nodes(), parameters=_parameters(graph), opset=query.opset(graph), passes=changes)
    runner = KerasRunner(model, spec)
    with stages.stage("parity"):
        report.numbers["parity"] = prove(graph, runner, samples.vocabulary(model), model.name)
    report.done.append(f"equal to Keras: largest error {report.numbers['parity']['relative']:.1e} of the output range")
    return Exported(graph, runner, report, str(model.name))


def _parameters(graph: ir.Model) -> int:
    return sum(v.const_value.size for v in graph.graph.initializers.values() if v.const_value is not None and v.dtype == ir.DataType.FLOAT)


def prove(graph: ir.Model, runner: KerasRunner, vocabulary: int, name: str) -> dict[str, Any]:
    """Run both on random and edge inputs; the largest error found.

    Raises:
        ParityError: an output is wrong; the first layer whose variables lead there is named where it can be found.
    """
    session = Session(graph, optimise=False, lean=True)
    fed = {i.name for i in session.inputs}
    worst = {"relative": 0.0, "max_abs": 0.0, "samples": 0}
    for kind, feeds in samples.parity_inputs(runner.inputs, vocabulary):
        expected = runner.run(feeds)
        got = session.run({n: x for n, x in feeds.items() if n in fed})
        failures = compare.parity(expected, got)
        if failures:
            raise ParityError(f"the ONNX graph of {name!r} does not compute what Keras computes ({kind}): "
                              + "; ".join(map(str, failures[:3])) + f". {_suspects(graph)}")
        worst["samples"] += len(next(iter(feeds.values()))) if feeds else 1
        _keep_worst(worst, expected, got)
    return worst


def _keep_worst(worst: dict[str, Any], expected: dict[str, Any], got: dict[str, Any]) -> None:
    for output, reference in expected.items():
        if compare.is_number(reference.dtype) and reference.size:
            seen = compare.Fidelity()
            seen.update(reference, got[output])
            result = seen.result()
            worst["relative"], worst["max_abs"] = max(worst["relative"], result.relative), max(worst["max_abs"], result.max_abs)


def _suspects(graph: ir.Model) -> str:
    """Layers whose operators are not the common ones: where a wrong lowering most likely sits."""
    common = {"Conv", "Gemm", "MatMul", "Relu", "Clip", "Add", "Mul", "Transpose", "GlobalAveragePool", "Flatten", "Reshape", "Softmax", "Concat"}
    found = list(dict.fromkeys(f"{query.layer_path(n)} ({n.op_type})" for n in graph.graph if n.op_type not in common))
    return f"Layers with uncommon operators: {', '.join(found[:8])}" if found else "All operators are common ones; please report this model"
