"""Plan, calibrate, solve, insert: from a clean float graph and data to an integer graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from converter.calibrate import Statistics, store
from converter.calibrate.collect import collect
from converter.calibrate.probing import Probe
from converter.data import Source
from converter.graph import io, query
from converter.progress import Stages
from converter.quantize.insert import insert
from converter.quantize.plan import make_plan
from converter.quantize.solve import Solution, channel_axes, solve
from converter.spec.plan import QuantPlan
from converter.spec.recipe import Recipe
from converter.spec.report import Report
from converter.spec.target import Target


@dataclass(frozen=True)
class Quantized:
    """An integer graph and how it came about.

    Args:
        graph: with QuantizeLinear and DequantizeLinear pairs.
        plan, solution: what was decided, and the numbers.
        seen: statistics of the calibration sweep.
        report: what was done and what stayed float.
    """

    graph: ir.Model
    plan: QuantPlan
    solution: Solution
    seen: Mapping[str, Statistics]
    report: Report


def quantize_graph(
    model: ir.Model, source: Source, target: Target, recipe: Recipe, stages: Stages, *, statistics: str | Path | None = None
) -> Quantized:
    """The integer graph of a clean float graph.

    Args:
        model: float graph.
        source: calibration data.
        target, recipe: what the engine can do, and what the user wants.
        stages: told about the progress.
        statistics: file to go on from if it exists, and to write the statistics to.
    """
    with stages.stage("plan"):
        plan, report = make_plan(model, target, recipe)
    probes = probes_of(plan)
    before = store.load(statistics) if statistics is not None and Path(statistics).is_file() else None
    with stages.stage("calibrate", source.count) as progress:
        seen = collect(model, probes, source, seen=before, progress=progress) if probes else {}
    if statistics is not None:
        store.save(statistics, seen)
    with stages.stage("quantize"):
        solution = solve(plan, model, seen, target, correct_bias=recipe.bias_correction)
        graph = insert(model, plan, solution)
        io.check(graph)
    report.stage = "quantize"
    report.numbers.update(samples=max((s.samples for s in seen.values()), default=0), layers=len(plan.layers), **saturation_numbers(solution))
    report.done.append(f"calibrated on {report.numbers['samples']} samples; {report.numbers['pairs_moved']} weight pairs moved inside the "
                       f"bound of saturating kernels")
    return Quantized(graph, plan, solution, seen, report)


def probes_of(plan: QuantPlan) -> list[Probe]:
    """Every tensor that gets a grid of its own, and every layer's input with its channel axis."""
    axes = channel_axes(plan)
    return [Probe(name, axes.get(name)) for name in dict.fromkeys([*plan.observed(), *axes])]


def saturation_numbers(solution: Solution) -> dict[str, Any]:
    """What keeping the weights inside the bound cost: pairs moved, and bits of resolution lost per channel on average."""
    widened = [x.weight.widened for x in solution.layers.values()]
    lost = float(np.mean(np.log2(np.concatenate(widened)))) if widened else 0.0
    return {"pairs_moved": sum(x.weight.moved for x in solution.layers.values()), "weight_bits_lost": lost}


def layer_rows(model: ir.Model, quantized: Quantized, errors: Mapping[str, float]) -> list[dict[str, Any]]:
    """One row a layer for the report: path, operator, error, and what the bound cost it."""
    rows = []
    for layer in quantized.plan.layers:
        codes = quantized.solution.layers[layer.name].weight
        rows.append({"path": layer.path, "op_type": layer.op_type, "snr_db": errors.get(layer.name), "channels": len(codes.widened),
                     "saturation": "moved" if codes.moved else "coarser" if (codes.widened > 1).any() else "none",
                     "weight_bits_lost": float(np.mean(np.log2(codes.widened)))})
    return rows


def tensor_rows(model: ir.Model, quantized: Quantized) -> list[dict[str, Any]]:
    """One row for every tensor with a grid of its own: range, grid, how much of the data it clips, and a histogram."""
    makers = {query.name_of(v): query.layer_path(node) for node in model.graph for v in node.outputs}
    rows = []
    for name, (low, high) in quantized.solution.ranges.items():
        seen, params, entry = quantized.seen[name], quantized.solution.activations[name], quantized.plan.entries[name]
        values, counts = seen.histogram()
        outside = counts[(values < low) | (values > high)].sum()
        rows.append({"name": name, "path": makers.get(name, name), "low": low, "high": high, "seen_low": seen.low, "seen_high": seen.high,
                     "scale": float(params.scale), "zero_point": int(params.zero_point), "observer": getattr(entry, "observer", None),
                     "clipped": float(outside / max(counts.sum(), 1)), "histogram": _histogram(values, counts, seen)})
    return rows


def _histogram(values: Any, counts: Any, seen: Statistics, bins: int = 64) -> dict[str, Any]:
    edges = np.linspace(seen.low, max(seen.high, seen.low + 1e-12), bins + 1)
    binned, _ = np.histogram(values, bins=edges, weights=counts)
    return {"edges": [float(f"{e:.6g}") for e in edges], "counts": binned.astype(np.int64)}
