"""New weights of the same Keras model into a shipped bundle: folds replayed, weights encoded anew, verified, and a new bundle written."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.data import Source, open_source
from converter.errors import InputError, ParityError, UsageError, VerdictError
from converter.frontend import keras_source, variables
from converter.frontend.reference import KerasRunner
from converter.graph import io, query
from converter.progress import Stages
from converter.quantize.road import saturation_numbers
from converter.ship import bundle, gates, ranges, replay, session_check
from converter.ship.atomic import check_free
from converter.ship.bundle import Bundle
from converter.ship.gates import Gates
from converter.spec.bundle import Manifest
from converter.spec.quant import Array
from converter.spec.report import Report, Verdict
from converter.targets import TARGETS
from converter.transfer.refit import Refitted, refit
from converter.verify import compare
from converter.verify import evidence as ev
from converter.verify.coverage import coverage
from converter.verify.machine import machine, versions
from converter.verify.session import Session

FILES = (".keras", ".weights.h5")


@dataclass(frozen=True)
class Order:
    """What the user ordered.

    Args:
        weights: live Keras model, ``.keras`` or ``.weights.h5`` file, or ``module:factory``: of the structure that was shipped.
        bundle: folder of the shipped bundle; it stays as it is.
        out: where the new bundle goes.
        data: to judge on; without it the golden inputs of the bundle are used.
        calib: to check the activation ranges on, or None.
        recalibrate: take new ranges from ``calib``.
        session_check: prove that a session on the written file is the refitted model.
        force: replace an existing bundle.
        unsafe: load Keras files that hold Python code.
        command: how to run this again, for the report.
    """

    weights: Any
    bundle: Path
    out: Path
    data: Any = None
    calib: Any = None
    recalibrate: bool = False
    session_check: bool = False
    force: bool = False
    unsafe: bool = False
    command: str = ""


def run(order: Order, stages: Stages) -> Bundle:
    """Fill the order.

    Raises:
        InputError: the bundle is damaged, or the weights are of another model.
        VerdictError: the integer model with the new weights is wrong or misses the gate of the bundle; nothing is written.
    """
    check_free(order.out, force=order.force, folder=True)
    if order.recalibrate and order.calib is None:
        raise UsageError("to calibrate again, calibration data are needed; none were received (--calib)")
    if order.out.resolve() == order.bundle.resolve():
        raise UsageError(f"the new bundle cannot replace the one it is made from ({order.bundle}); give another folder")
    with stages.stage("load"):
        shipped = replay.whole(order.bundle)
        golden = replay.golden(shipped)
        float_graph = io.load(shipped.float_model)
        values, runner = _weights(order, shipped.manifest)
    with stages.stage("refit"):
        target = TARGETS.get(str(shipped.manifest.target["name"]))
        made = refit(float_graph, shipped.manifest, values, target)
    if runner is not None:
        with stages.stage("parity"):
            _prove(made.float_graph, runner, golden)
    if order.recalibrate:
        made = ranges.renewed(made, shipped.manifest, target, order.calib, stages)
    elif order.calib is not None:
        ranges.check(made, shipped.manifest, order.calib, stages)
    return write_again(order, shipped, golden, made, stages)


def write_again(order: Order, shipped: Bundle, golden: Mapping[str, Array], made: Refitted, stages: Stages) -> Bundle:
    """Verify both graphs with their new weights, and write them as a new bundle like the one they come from.

    Raises:
        VerdictError: the integer model is wrong, or misses the gate of the bundle; nothing is written.
    """
    report = made.report
    with stages.stage("verify"):
        outputs = _verify(order, shipped.manifest, made, golden, report)
    report.numbers["seconds"] = stages.seconds
    if report.verdict is Verdict.NO:
        refused = VerdictError("verdict no, nothing was written: " + "; ".join(report.reasons))
        refused.report = report
        raise refused

    def check(folder: Path) -> None:
        if order.session_check:
            session_check.check(folder, shipped.model, dict(shipped.manifest.target.get("session_options", {})), outputs, report)

    with stages.stage("write"):
        return bundle.write(order.out, integer=made.graph, float_graph=made.float_graph, manifest=_manifest(shipped.manifest, made, report),
                            golden=outputs, report=report, force=order.force, check=check)


def _weights(order: Order, manifest: Manifest) -> tuple[dict[str, Array], KerasRunner | None]:
    """Values by variable name; and, where Keras was loaded anyway, the model to hold the new graph to."""
    if not manifest.places:
        raise InputError(f"{order.bundle} was not made from a Keras model, so it has no Keras variables to refit; `converter transfer copy` moves "
                         "initializers by name")
    if isinstance(order.weights, str | Path) and str(order.weights).endswith(FILES):
        return variables.of_file(order.weights, manifest.places), None
    model = keras_source.open_model(order.weights, unsafe=order.unsafe)
    return variables.of_model(model, manifest.places), KerasRunner(model, keras_source.call_spec(model))


def _prove(graph: ir.Model, runner: KerasRunner, golden: Mapping[str, Array]) -> None:
    """The float graph with the new weights computes what the Keras model computes; inputs and outputs by their order, names may differ."""
    feeds = list(_inputs(golden).values())
    expected = list(runner.run({i.name: x for i, x in zip(runner.inputs, feeds, strict=True)}).values())
    got = Session(graph).run(_inputs(golden))
    failures = compare.parity(dict(zip(got, expected, strict=True)), got)
    if failures:
        raise ParityError(f"the refitted graph does not compute what the Keras model computes: {'; '.join(map(str, failures[:3]))}. "
                          "Is it of the same structure, also in what has no weights?")


def _inputs(golden: Mapping[str, Array]) -> dict[str, Array]:
    return {name.removeprefix("input/"): x for name, x in golden.items() if name.startswith("input/")}


def _verify(order: Order, manifest: Manifest, made: Refitted, golden: Mapping[str, Array], report: Report) -> dict[str, Array]:
    entries = dict(manifest.target.get("session_options", {}))
    told = dict(manifest.gates)
    source, metric = _source(order, made.float_graph, golden, told.get("metric"))
    reference = Session(made.float_graph)
    evidence = ev.gather(reference, made.graph, source, metric=metric, entries=entries)
    found = coverage(made.graph, made.plan.layers, tuple(report.skipped), entries)
    size = ev.sizes(made.float_graph, made.graph)
    report.numbers.update(
        model={"name": manifest.name, "source": str(order.weights), "target": manifest.target["name"], "recipe": manifest.recipe["name"]},
        fidelity=evidence.to_json(), before=dict(manifest.metrics).get("fidelity"), coverage=found.to_json(), size=size,
        quantize=saturation_numbers(made.solution), machine=machine(), versions=versions(), command=order.command)
    gates.judge(Gates(told.get("max_drop") if metric else None), evidence, size, None, report)
    if order.data is None:
        report.warnings.append(f"judged on the {len(next(iter(_inputs(golden).values())))} golden inputs of the bundle only; --data judges on more")
    feeds = _inputs(golden)
    both = (("float", reference), ("integer", Session(made.graph, entries=entries)))
    return {**{f"input/{n}": x for n, x in feeds.items()}, **{f"{kind}/{n}": y for kind, session in both for n, y in session.run(feeds).items()}}


def _source(order: Order, graph: ir.Model, golden: Mapping[str, Array], metric: str | None) -> tuple[Source, str | None]:
    """What to judge on, and by which metric: the one of the bundle, where there are data for it."""
    inputs = query.signature(graph)[0]
    if order.data is None:
        return open_source(_inputs(golden), inputs), None
    return open_source(order.data, inputs, labels=metric is not None), metric


def _manifest(old: Manifest, made: Refitted, report: Report) -> Manifest:
    again = made.calibrated
    if again is not None:
        old = replace(old, tensors=bundle.tensors(again), weights=bundle.weights(again), statistics=bundle.statistics(again))
    scales = {layer.weight: made.solution.layers[layer.name] for layer in made.plan.layers}
    weights = {name: {**told, **({"scale": scales[name].weight.params.scale, "pairs_moved": scales[name].weight.moved} if name in scales else {}),
                      **_corrected(name, made)} for name, told in old.weights.items()}
    metrics = {k: v for k, v in report.numbers.items() if k in ("fidelity", "accuracy", "size", "seconds")}
    return replace(old, weights=weights, verdict=report.verdict.value if report.verdict else "", reasons=tuple(report.reasons), metrics=metrics,
                   versions=versions(), machine=machine(), created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), seal="")


def _corrected(name: str, made: Refitted) -> dict[str, Any]:
    layer = next((x for x in made.plan.layers if name in (x.bias, f"{x.path}/bias") and name != x.weight), None)
    return {} if layer is None else {"corrected": bundle.short(np.asarray(made.solution.layers[layer.name].corrected))}
