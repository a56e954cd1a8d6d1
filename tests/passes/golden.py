"""Small graphs as ONNX text, what a pass makes of them, and the same numbers under onnxruntime before and after."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from converter.graph import io, query
from converter.passes import base
from converter.passes.cleanup import SortAndShape
from converter.passes.instruments import Invariants, PromiseKeeping
from converter.verify.session import Session

Weight = tuple[int, ...] | list[int] | float | np.ndarray


def graph(body: str, *, opset: int = 18, seed: int = 0, **weights: Weight) -> ir.Model:
    """A model from ONNX text; a weight is given by its shape (random), as a list of int64, as a float scalar, or as an array."""
    domains = f'<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1, "other" : 1]>'
    proto = onnx.parser.parse_model(f"{domains} g {body}")
    rng = np.random.default_rng(seed)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(_array(weight, rng), name) for name, weight in weights.items())
    return io.from_bytes(proto.SerializeToString())


def _array(weight: Weight, rng: np.random.Generator) -> np.ndarray:
    if isinstance(weight, np.ndarray):
        return weight
    if isinstance(weight, tuple):
        return rng.uniform(0.5, 2, weight).astype(np.float32) * rng.choice(np.float32([-1, 1]), weight)
    return np.array(weight, np.int64 if isinstance(weight, list) else np.float32)


def feeds(model: ir.Model, batch: int = 2) -> dict[str, np.ndarray]:
    """Random numbers for every input; free axes have length ``batch``."""
    rng = np.random.default_rng(1)
    made = {}
    for value in query.true_inputs(model):
        shape = [batch if d is None else d for d in query.shape_of(value) or ()]
        numbers = np.asarray(rng.normal(0, 3, shape))
        made[query.name_of(value)] = np.asarray(numbers > 0 if value.dtype == ir.DataType.BOOL else numbers.astype(query.info(value).dtype))
    return made


def outputs(model: ir.Model, given: dict[str, np.ndarray] | None = None) -> list[np.ndarray]:
    """All outputs, every node run by itself."""
    return list(Session(model, optimise=False).run(given or feeds(model)).values())


def operators(model: ir.Model) -> str:
    """The operators in the order of the graph."""
    return " ".join(node.op_type for node in model.graph)


def run(model: ir.Model, *steps: base.GraphPass) -> dict[str, int]:
    """Shapes first; then the steps, each held to its promise and to the invariants."""
    SortAndShape().rewrite(model)
    return base.run(model, steps, [Invariants(), PromiseKeeping(outputs)])


def rewritten(step: base.GraphPass, body: str, *, opset: int = 18, **weights: Weight) -> ir.Model:
    """The graph after ``step``, which found something to do."""
    model = graph(body, opset=opset, **weights)
    assert run(model, step)[step.name] > 0, "the pass changed nothing"
    return model


def refuses(step: base.GraphPass, body: str, *, opset: int = 18, **weights: Weight) -> None:
    """``step`` leaves the graph as it is."""
    model = graph(body, opset=opset, **weights)
    before = operators(model)
    assert run(model, step)[step.name] == 0
    assert operators(model) == before


def node(model: ir.Model, op_type: str) -> ir.Node:
    """The one node of a kind."""
    (found,) = (n for n in model.graph if n.op_type == op_type)
    return found
