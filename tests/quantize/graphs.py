"""Small float graphs as ONNX text, quantized the way the product does it: what the tests of quantize and targets share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx.parser
import onnx_ir as ir
from onnx import numpy_helper

from converter.calibrate.collect import collect
from converter.data import Batch
from converter.graph import edit, io, query
from converter.quantize.insert import insert
from converter.quantize.plan import make_plan
from converter.quantize.road import probes_of
from converter.quantize.solve import Solution, solve
from converter.spec.plan import Layer, QuantPlan
from converter.spec.quant import Array
from converter.spec.recipe import Recipe
from converter.spec.report import Report
from converter.targets import TARGETS
from converter.verify import kernels
from converter.verify.kernel_order import Layer as KernelLayer
from converter.verify.session import Session

TARGET = TARGETS.get("ort-cpu")


@dataclass(frozen=True)
class Arrays:
    """Arrays by input name as a data source that is cut into batches of any size, samples in ``order``."""

    arrays: Mapping[str, Array]
    order: Array | None = None
    cut: int | None = None
    name: str = "arrays"

    @property
    def count(self) -> int:
        return len(next(iter(self.arrays.values())))

    def batches(self, size: int) -> Iterator[Batch]:
        order = np.arange(self.count) if self.order is None else self.order
        step = min(size, self.cut or size)
        for start in range(0, len(order), step):
            yield Batch({n: a[order[start:start + step]] for n, a in self.arrays.items()}, None)


def graph(ends: str, body: str, opset: int = 18, **initializers: Array) -> ir.Model:
    """``ends`` are the graph's inputs and outputs, ``body`` its nodes; ``[a__b] y = Conv(x, w)`` names a node a/b."""
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\ng {ends} {{\n{body}\n}}')
    read = {name for node in proto.graph.node for name in node.input} - {name for node in proto.graph.node for name in node.output}
    proto.graph.initializer.extend(numpy_helper.from_array(np.asarray(a), n) for n, a in initializers.items() if n in read)
    for index, node in enumerate(proto.graph.node):
        node.name = node.name.replace("__", "/") or f"{node.op_type}_{index}"
    model = ir.from_proto(proto)
    io.infer_shapes(model)
    io.check(model)
    return model


def weights(*shape: int, seed: int = 1, spread: float = 0.4, shift: float = 0.0) -> Array:
    return np.random.default_rng(seed).normal(shift, spread, shape).astype(np.float32)


def data(model: ir.Model, count: int = 8, free: int = 8, seed: int = 2) -> dict[str, Array]:
    """Random samples for every input; free axes but the first get the length ``free``."""
    rng = np.random.default_rng(seed)
    return {query.name_of(v): rng.normal(0.1, 1, (count, *(d or free for d in (query.shape_of(v) or ())[1:]))).astype(np.float32)
            for v in query.true_inputs(model)}


def plan_of(model: ir.Model, recipe: Recipe | None = None) -> tuple[QuantPlan, Report]:
    return make_plan(model, TARGET, recipe or Recipe())


@dataclass(frozen=True)
class Made:
    """A float graph, its data, and what became of it."""

    model: ir.Model
    feeds: dict[str, Array]
    plan: QuantPlan
    solution: Solution
    integer: ir.Model

    def codes_of(self, name: str) -> KernelLayer:
        """A layer as its kernel sees it, from the codes that ship."""
        layer: Layer = next(x for x in self.plan.layers if x.name == name)
        node = next(n for n in self.model.graph if n.name == name)
        return KernelLayer(node.op_type, self.solution.layers[layer.name].weight.codes, query.integer(node, "group", 1),
                           bool(query.integer(node, "transB", 0)))


def quantized(model: ir.Model, recipe: Recipe | None = None, *, count: int = 8, feeds: dict[str, Array] | None = None) -> Made:
    """Plan, calibrate on random data, solve, insert; the result is valid ONNX and every layer proved to be safe from saturation."""
    recipe = recipe or Recipe()
    feeds = feeds or data(model, count)
    plan, _ = make_plan(model, TARGET, recipe)
    seen = collect(model, probes_of(plan), Arrays(feeds))
    solution = solve(plan, model, seen, TARGET, correct_bias=recipe.bias_correction)
    integer = insert(model, plan, solution)
    io.check(integer)
    made = Made(model, feeds, plan, solution, integer)
    assert all(kernels.proof(made.codes_of(layer.name)).safe for layer in plan.layers)
    return made


def outputs(model: ir.Model, feeds: Mapping[str, Array], *, optimise: bool = True) -> dict[str, Array]:
    return Session(model, optimise=optimise).run(feeds)


def node_named(model: ir.Model, name: str) -> ir.Node:
    return next(n for n in model.graph if n.name == name)


def initializer(model: ir.Model, name: str) -> Array:
    array = query.constant(model.graph.initializers[name])
    assert array is not None
    return array


__all__ = ["TARGET", "Arrays", "Made", "data", "edit", "graph", "initializer", "node_named", "outputs", "plan_of", "quantized", "weights"]
