"""Instruments around a pipeline: what every pass must leave behind, and whether it keeps its promise on data."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from converter.errors import ConversionError, known
from converter.graph import io, query
from converter.passes.base import GraphPass, Promise
from converter.spec.quant import Array


class Timing:
    """Seconds by pass name, in ``seconds``."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = 0.0

    def before(self, step: GraphPass, model: ir.Model) -> None:
        """Start the clock."""
        self._start = time.perf_counter()

    def after(self, step: GraphPass, model: ir.Model, changes: int) -> None:
        """Add what the pass took."""
        self.seconds[step.name] = self.seconds.get(step.name, 0.0) + time.perf_counter() - self._start


class Invariants:
    """After every pass: valid ONNX, unique names, no new orphan, topological order, the same inputs and outputs."""

    def __init__(self) -> None:
        self._ends: tuple[list[str], list[str]] | None = None
        self._orphans: set[str] = set()

    def before(self, step: GraphPass, model: ir.Model) -> None:
        """Remember the inputs and outputs, and what nobody reads already."""
        self._ends, self._orphans = _ends(model), _orphans(model)

    def after(self, step: GraphPass, model: ir.Model, changes: int) -> None:
        """Raise a ConversionError that names the pass if the graph is not whole."""
        if _ends(model) != self._ends:
            raise ConversionError(f"pass {step.name} changed inputs or outputs: {self._ends} became {_ends(model)}")
        left = _orphans(model) - self._orphans
        if left:
            raise ConversionError(f"pass {step.name} left values that nobody reads: {known(left)}")
        seen = {query.name_of(v) for v in model.graph.inputs} | set(model.graph.initializers)
        for node in model.graph:
            for value in query.inputs_of(node):
                if query.name_of(value) not in seen:
                    raise ConversionError(f"after pass {step.name}, node {node.name} reads {value.name} before it is made")
            for out in node.outputs:
                if query.name_of(out) in seen and out.name:
                    raise ConversionError(f"after pass {step.name}, two values are called {out.name}")
                seen.add(query.name_of(out))
        io.check(model)


def _ends(model: ir.Model) -> tuple[list[str], list[str]]:
    return [query.name_of(v) for v in query.true_inputs(model)], [query.name_of(v) for v in model.graph.outputs]


def _orphans(model: ir.Model) -> set[str]:
    made = [node.outputs for node in model.graph] + [(value,) for value in model.graph.initializers.values() if not value.is_graph_input()]
    return {str(outs[0].name) for outs in made if not any(v.uses() or v.is_graph_output() for v in outs)}


class PromiseKeeping:
    """Run the model on data before and after every pass and compare by what the pass promises.

    Args:
        run: gives all outputs of a model on fixed inputs (the caller brings the runtime).
        rounding: allowed error of a ROUNDING pass, as a share of the output's range.
    """

    def __init__(self, run: Callable[[ir.Model], list[Array]], rounding: float = 1e-5) -> None:
        self._run, self._rounding = run, rounding
        self._reference: list[Array] = []
        self._last: ir.Model | None = None

    def before(self, step: GraphPass, model: ir.Model) -> None:
        """Run the model that the pass will change, unless it was run behind the pass before."""
        if self._last is not model:
            self._reference = self._run(model)

    def after(self, step: GraphPass, model: ir.Model, changes: int) -> None:
        """Run the changed model and compare."""
        references, self._reference, self._last = self._reference, self._run(model), model
        if step.promise is Promise.QUANTIZED:
            return
        allowed = 0.0 if step.promise is Promise.EXACT else self._rounding
        for reference, got in zip(references, self._reference, strict=True):
            if (reference.shape, reference.dtype) != (got.shape, got.dtype):
                raise ConversionError(f"pass {step.name} turned an output of {_kind(reference)} into {_kind(got)}")
            error, scale = _distance(reference, got), _reach(reference)
            if not error <= allowed * scale:
                raise ConversionError(f"pass {step.name} promises {step.promise.value}, but moved an output by {error:g} of a range of {scale:g}")


def _kind(array: Array) -> str:
    return f"{array.dtype} {list(array.shape)}"


def _distance(reference: Array, got: Array) -> float:
    """Largest difference; equal infinities, and NaN for NaN, are no difference, text is equal or infinitely far away."""
    if reference.dtype.kind not in "fiub":
        return 0.0 if np.array_equal(reference, got) else np.inf
    differ = (reference != got) & ~((reference != reference) & (got != got))
    with np.errstate(invalid="ignore"):
        return float(np.max(np.abs(reference[differ].astype(np.float64) - got[differ].astype(np.float64)), initial=0.0))


def _reach(reference: Array) -> float:
    """Largest magnitude: an output may be constant and still be rounded."""
    finite = reference[np.isfinite(reference)] if reference.dtype.kind in "fiub" else np.zeros(0)
    return float(np.max(np.abs(finite.astype(np.float64)), initial=1e-6))
