"""Put new weights of the same Keras model into a float graph and its integer twin, without tracing, exporting or calibrating.

The ledger of the shipped graph says how each of its initializers is computed from the Keras variables (every fold is a step); replayed on new
variables it gives what a fresh export would give, bit for bit. Weights are encoded anew on scales of their own; grids of activations, and
the channel means that bias correction uses, stay those of the calibration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError, InputError, known
from converter.graph import edit, io, ledger
from converter.quantize.insert import insert
from converter.quantize.plan import make_plan
from converter.quantize.road import Quantized
from converter.quantize.solve import Solution, encode_layers, grids_of
from converter.spec import recipe as recipes
from converter.spec.bundle import Manifest
from converter.spec.plan import Own, QuantPlan
from converter.spec.quant import Array, QParams
from converter.spec.recipe import Recipe
from converter.spec.report import Report, Skip
from converter.spec.target import Target


@dataclass(frozen=True)
class Refitted:
    """Both graphs with new weights.

    Args:
        float_graph, graph: the float graph and its integer twin.
        plan, solution: of the integer graph; ``solution.ranges`` is empty where nothing was calibrated.
        report: what changed.
        calibrated: what was calibrated again, or None.
    """

    float_graph: ir.Model
    graph: ir.Model
    plan: QuantPlan
    solution: Solution
    report: Report
    calibrated: Quantized | None = None


def refit(float_graph: ir.Model, manifest: Manifest, variables: Mapping[str, Array], target: Target) -> Refitted:
    """Replay the folds of ``manifest`` on new variables, in place, and make the integer graph of it.

    Args:
        float_graph: of the bundle; its weights are replaced.
        manifest: of the bundle.
        variables: Keras variable name to its new value.
        target: that the bundle was shipped for.

    Raises:
        InputError: a variable is missing, has another shape, or holds NaN or infinite values.
        ConversionError: the plan of this version is not the one that was shipped.
    """
    book = ledger.from_json(manifest.folds)
    changed = _replay(float_graph, book, variables)
    made = encode_again(float_graph, manifest, target, Report("refit"))
    made.report.numbers["changed"] = changed
    made.report.done.insert(0, f"{changed} of {len(float_graph.graph.initializers)} tensors have new values")
    return made


def encode_again(float_graph: ir.Model, manifest: Manifest, target: Target, report: Report) -> Refitted:
    """The integer twin of a shipped float graph that has new weights: these are encoded on scales of their own, activation grids stay.

    Args:
        float_graph: of the bundle, with new weights.
        manifest: of the bundle.
        target: that the bundle was shipped for.
        report: what is done is added to it.

    Raises:
        ConversionError: the plan of this version is not the one that was shipped.
    """
    plan, skipped = plan_again(float_graph, manifest, target)
    shipped = shipped_grids(plan, manifest)
    grids = grids_of(plan, shipped)
    means = {name: np.asarray(told["means"], np.float64) for name, told in manifest.statistics.items()} if manifest.recipe["bias_correction"] else {}
    solution = Solution(grids, encode_layers(plan, float_graph, grids, means, target))
    graph = insert(float_graph, plan, solution)
    io.check(graph)
    report.skipped += skipped
    report.numbers.update(tensors=len(float_graph.graph.initializers), layers=len(plan.layers))
    report.done.append(f"{len(plan.layers)} layers encoded anew on scales of their own, {len(shipped)} activation grids kept")
    return Refitted(float_graph, graph, plan, solution, report)


@contextmanager
def with_ledger(float_graph: ir.Model, manifest: Manifest) -> Iterator[Recipe]:
    """Within, the float graph of a bundle has its ledger again, which a plan looks at; gives the recipe of the bundle."""
    float_graph.meta[ledger.META] = ledger.from_json(manifest.folds)
    try:
        yield recipes.from_json(dict(manifest.recipe), "the recipe of the bundle")
    finally:
        del float_graph.meta[ledger.META]


def plan_again(float_graph: ir.Model, manifest: Manifest, target: Target) -> tuple[QuantPlan, list[Skip]]:
    """The plan that the bundle was made by, and what it leaves in float."""
    with with_ledger(float_graph, manifest) as recipe:
        plan, planned = make_plan(float_graph, target, recipe)
    return plan, planned.skipped


def _replay(graph: ir.Model, book: ledger.Ledger, variables: Mapping[str, Array]) -> int:
    done: dict[str, Array] = {}
    changed = 0
    for name, value in graph.graph.initializers.items():
        assert value.const_value is not None
        old = value.const_value.numpy()
        try:
            new = book.replay(name, variables, done)
        except ValueError as error:
            raise InputError(f"tensor {name} {list(old.shape)} cannot be computed from these weights ({error}); "
                             f"it comes from {known(book.sources(name))}") from error
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise InputError(f"tensor {name} would become {new.dtype} {list(new.shape)}, it is {old.dtype} {list(old.shape)}; "
                             f"it comes from {known(book.sources(name))}")
        if new.dtype.kind == "f" and not np.isfinite(new).all() and np.isfinite(old).all():
            raise InputError(f"tensor {name} would hold NaN or infinite values; it comes from {known(book.sources(name))}")
        if not np.array_equal(old, new):
            edit.set_numbers(value, new)
            changed += 1
    return changed


def shipped_grids(plan: QuantPlan, manifest: Manifest) -> dict[str, QParams]:
    """The grids of activations that the bundle has."""
    wanted = {name: entry for name, entry in plan.entries.items() if isinstance(entry, Own) and entry.observer}
    lost = [name for name in wanted if "scale" not in manifest.tensors.get(name, {})]
    if lost:
        raise ConversionError(f"the bundle has no grid for {known(lost)}: it was shipped by a version that plans otherwise; ship it again")
    told = {name: manifest.tensors[name] for name in wanted}
    return {name: QParams(entry.spec, np.array(told[name]["scale"], np.float32), np.array(told[name]["zero_point"], entry.spec.dtype))
            for name, entry in wanted.items()}
