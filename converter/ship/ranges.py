"""Activation ranges under new weights: checked on calibration data, or taken anew from them."""

from __future__ import annotations

from typing import Any

from converter.calibrate.collect import collect
from converter.data import open_source
from converter.graph import query
from converter.progress import Stages
from converter.quantize.road import probes_of, quantize_graph
from converter.quantize.solve import grids_of
from converter.spec.bundle import Manifest
from converter.spec.target import Target
from converter.transfer.drift import drifts, told
from converter.transfer.refit import Refitted, shipped_grids, with_ledger


def check(made: Refitted, manifest: Manifest, calib: Any, stages: Stages) -> None:
    """Say in the report how far the ranges on ``calib`` are from the grids that the bundle has."""
    source = open_source(calib, query.signature(made.float_graph)[0])
    with stages.stage("calibrate", source.count) as progress:
        seen = collect(made.float_graph, probes_of(made.plan), source, progress=progress)
    found = drifts(made.plan, grids_of(made.plan, shipped_grids(made.plan, manifest)), seen)
    told(found, max((s.samples for s in seen.values()), default=0), made.report)


def renewed(made: Refitted, manifest: Manifest, target: Target, calib: Any, stages: Stages) -> Refitted:
    """The integer graph on activation grids of its own, as a fresh ship would calibrate it."""
    source = open_source(calib, query.signature(made.float_graph)[0])
    old = grids_of(made.plan, shipped_grids(made.plan, manifest))
    with with_ledger(made.float_graph, manifest) as recipe:
        quantized = quantize_graph(made.float_graph, source, target, recipe, stages)
    report, samples = made.report, int(quantized.report.numbers["samples"])
    told(drifts(quantized.plan, old, quantized.seen), samples, report)
    report.warnings = [w for w in report.warnings if "--recalibrate" not in w]  # it was done
    report.done = [line for line in report.done if "activation grids kept" not in line]
    report.done.append(f"{len(quantized.plan.layers)} layers encoded anew, and every activation grid, from {samples} samples")
    return Refitted(made.float_graph, quantized.graph, quantized.plan, quantized.solution, report, quantized)
