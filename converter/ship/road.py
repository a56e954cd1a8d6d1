"""The main job, end to end: export, quantize, verify, judge, ship."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx_ir as ir

from converter.data import Source, open_source
from converter.errors import InputError, UsageError, VerdictError, known
from converter.frontend import keras_source
from converter.frontend.export import Exported, export_graph
from converter.graph import query
from converter.progress import Stages
from converter.quantize.road import Quantized, layer_rows, quantize_graph, tensor_rows
from converter.ship import bundle, gates
from converter.ship.atomic import check_free
from converter.ship.bundle import Bundle
from converter.ship.gates import Gates
from converter.spec.bundle import Manifest
from converter.spec.quant import Array
from converter.spec.recipe import Recipe
from converter.spec.report import Report
from converter.spec.target import Target
from converter.verify import evidence as ev
from converter.verify.coverage import Coverage, coverage
from converter.verify.layers import layer_errors
from converter.verify.machine import machine, versions
from converter.verify.metrics import METRICS
from converter.verify.session import Session

GOLDEN = 4  # samples kept in the bundle
LAYER_SAMPLES = 8


@dataclass(frozen=True)
class Order:
    """What the user ordered.

    Args:
        model: live Keras model, path or ``module:factory``; or a float ONNX file.
        out: where the bundle goes.
        target, recipe: resolved.
        calib, eval: data; without ``eval`` the calibration data judge how close the outputs are.
        metric: name of the task metric, computed on ``eval``.
        gates: what must hold.
        force: replace an existing bundle.
        unsafe: load Keras files that hold Python code.
        statistics: file with calibration statistics to go on from.
        command: how to run this again, for the report.
        on_report: called with the report before the verdict is acted on, so that a no is explained too.
        input_spec, opset: for the export.
    """

    model: Any
    out: Path
    target: Target
    recipe: Recipe
    calib: Any
    eval: Any = None
    metric: str | None = None
    gates: Gates = field(default_factory=Gates)
    force: bool = False
    unsafe: bool = False
    statistics: Path | None = None
    command: str = ""
    on_report: Callable[[Report], None] = lambda report: None
    input_spec: Any = None
    opset: int | None = None


def ship(order: Order, stages: Stages) -> Bundle:
    """Fill the order.

    Raises:
        VerdictError: the verdict is no; nothing is at ``order.out``.
        ConverterError: see its children.
    """
    check(order)
    exported = open_float(order.model, stages, order)
    inputs, _ = query.signature(exported.graph)
    calib = open_source(order.calib, inputs)
    judged_on = open_source(order.eval, inputs, labels=order.metric is not None) if order.eval is not None else calib
    quantized = quantize_graph(exported.graph, calib, order.target, order.recipe, stages, statistics=order.statistics)
    report = Report("ship", done=[*exported.report.done, *quantized.report.done], skipped=quantized.report.skipped,
                    numbers={"parity": exported.report.numbers.get("parity"), "quantize": quantized.report.numbers})
    golden = _verify(order, exported, quantized, judged_on, report, stages)
    report.numbers["seconds"] = stages.seconds
    order.on_report(report)
    verdict = report.verdict.value if report.verdict else "no"
    if verdict == "no" or (verdict == "undecided" and order.gates.strict):
        raise VerdictError(f"verdict {verdict}, nothing was shipped: " + "; ".join(report.reasons))
    with stages.stage("write"):
        manifest = _manifest(order, exported, quantized, report)
        return bundle.write(order.out, integer=quantized.graph, float_graph=_bare(exported.graph), manifest=manifest, golden=golden,
                            report=report, force=order.force)


def check(order: Order) -> None:
    """Refuse what cannot work before any work is done.

    Raises:
        UsageError, InputError: with what was received and what exists.
    """
    check_free(order.out, force=order.force, folder=True)
    if order.gates.want not in gates.WANTS:
        raise UsageError(f"unknown want {order.gates.want!r}; known: {known(gates.WANTS)}")
    if order.metric is not None:
        METRICS.get(order.metric)
    gates.check_limit(order.gates.max_drop)
    check_there(order.model, order.calib, order.eval)
    if order.gates.max_drop is not None and (order.metric is None or order.eval is None):
        missing = "a metric" if order.metric is None else "evaluation data with labels"
        raise UsageError(f"a largest drop of {order.gates.max_drop} was given, but no {missing.removeprefix('a ')}; it needs metric and eval")
    if order.metric is not None and order.eval is None:
        raise UsageError(f"the metric {order.metric} needs evaluation data with labels; none was given")


def check_there(*sources: Any) -> None:
    """Refuse paths of files that do not exist, before the seconds that loading Keras takes.

    Raises:
        InputError: nothing is there; what is beside it is named.
    """
    for source in sources:
        if isinstance(source, str | Path) and ":" not in str(source) and not Path(source).exists():
            home = Path(source).absolute().parent
            there = known((p.name for p in home.iterdir()), 8) if home.is_dir() else f"there is no folder {home}"
            raise InputError(f"no such file or folder: {source}; beside it: {there}")


def open_float(model: Any, stages: Stages, order: Order) -> Exported:
    """The clean float graph of a Keras model or of a float ONNX file.

    Raises:
        UsageError: ``model`` is neither.
    """
    if keras_source.is_keras(model):
        return export_graph(model, stages, input_spec=order.input_spec, opset=order.opset or order.target.opset, unsafe=order.unsafe)
    if not isinstance(model, str | Path) or Path(model).is_dir():
        what = f"the folder {model}" if isinstance(model, str | Path) else f"a {type(model).__name__}"
        raise UsageError(f"cannot take {what} as a model; known: keras.Model, .keras, .h5, float .onnx, module:factory")
    from converter.frontend.onnx_source import open_onnx

    return open_onnx(model, stages)


def _verify(order: Order, exported: Exported, quantized: Quantized, source: Source, report: Report, stages: Stages) -> dict[str, Array]:
    entries = dict(order.target.session_options)
    reference = Session(exported.graph)
    with stages.stage("verify", source.count) as progress:
        evidence = ev.gather(reference, quantized.graph, source, metric=order.metric, entries=entries, progress=progress)
        few = ev.head(source, LAYER_SAMPLES)
        errors = layer_errors(exported.graph, quantized.graph, quantized.plan.layers, few)
        found = coverage(quantized.graph, quantized.plan.layers, tuple(quantized.report.skipped), entries)
    with stages.stage("time"):
        latency = ev.latency_json(ev.time_pair(exported.graph, quantized.graph, source, entries=entries))
    size = ev.sizes(exported.graph, quantized.graph)
    report.numbers.update(
        model=_model_numbers(order, exported), fidelity=evidence.to_json(), coverage=found.to_json(), latency=latency, size=size,
        layers=layer_rows(exported.graph, quantized, errors), tensors=tensor_rows(exported.graph, quantized), machine=machine(),
        versions=versions(), command=order.command)
    report.done.append(_coverage_line(found))
    gates.judge(order.gates, evidence, size, latency, report)
    return _golden(exported, reference, Session(quantized.graph, entries=entries), source)


def _coverage_line(found: Coverage) -> str:
    return f"{found.integer} of {found.compute} computing operators run on integer kernels"


def _model_numbers(order: Order, exported: Exported) -> dict[str, Any]:
    inputs, outputs = query.signature(exported.graph)
    name = str(order.model) if isinstance(order.model, str | Path) else f"live keras.Model {exported.name!r}"
    return {"name": exported.name, "source": name, "target": order.target.name, "recipe": order.recipe.name,
            "parameters": exported.report.numbers.get("parameters"),
            "inputs": [i.to_json() for i in inputs], "outputs": [o.to_json() for o in outputs]}


def _golden(exported: Exported, reference: Session, integer: Session, source: Source) -> dict[str, Array]:
    """A few inputs with what all three models make of them."""
    feeds = ev.head(source, GOLDEN).inputs
    out = {f"input/{n}": x for n, x in feeds.items()}
    for name, runner in (("keras", exported.runner), ("float", reference), ("integer", integer)):
        if runner is not None:
            out |= {f"{name}/{n}": y for n, y in runner.run(feeds).items()}
    return out


def _bare(graph: ir.Model) -> ir.Model:
    """The graph without what only the manifest should hold."""
    copy = graph.clone()
    copy.meta.clear()
    return copy


def _manifest(order: Order, exported: Exported, quantized: Quantized, report: Report) -> Manifest:
    inputs, outputs = bundle.ends(exported.graph)
    numbers = {k: v for k, v in report.numbers.items() if k in ("parity", "fidelity", "accuracy", "latency", "size", "seconds")}
    return Manifest(
        name=exported.name, files={}, target=order.target.to_json(), inputs=inputs, outputs=outputs,
        preprocessing="none beside what the model itself contains: feed what the Keras model takes",
        recipe=order.recipe.to_json(), tensors=bundle.tensors(quantized), weights=bundle.weights(quantized), folds=bundle.folds(exported.graph),
        places=dict(exported.places()), statistics=bundle.statistics(quantized),
        verdict=report.verdict.value if report.verdict else "", reasons=tuple(report.reasons),
        gates={**order.gates.to_json(), "metric": order.metric}, metrics=numbers, versions=versions(), machine=machine(),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"))


