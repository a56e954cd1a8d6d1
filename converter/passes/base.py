"""What a pass is, and how a list of them is run.

A pass changes the graph in place and says what it promises about the result. Timing, invariants and holding a pass to
its promise on data are instruments around the run, not part of any pass.
"""

from __future__ import annotations

import abc
import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Protocol

import onnx_ir as ir
import onnx_ir.passes


class Promise(Enum):
    """What a rewritten graph computes, compared with the graph before.

    EXACT: the same numbers. ROUNDING: the same in real arithmetic, other rounding in float32. QUANTIZED: numbers on a grid.
    """

    EXACT = "exact"
    ROUNDING = "rounding"
    QUANTIZED = "quantized"


class GraphPass(onnx_ir.passes.InPlacePass, abc.ABC):
    """A rewrite of the whole graph, in time linear in its nodes."""

    promise: Promise = Promise.EXACT

    @property
    def name(self) -> str:
        """Name for reports: the class's name."""
        return type(self).__name__

    def call(self, model: ir.Model) -> onnx_ir.passes.PassResult:
        """Run :meth:`rewrite` as an onnx_ir pass."""
        return onnx_ir.passes.PassResult(model, modified=self.rewrite(model) > 0)

    @abc.abstractmethod
    def rewrite(self, model: ir.Model) -> int:
        """Change ``model`` in place; returns how many places changed."""


class Instrument(Protocol):
    """Sees the model before and after every pass."""

    def before(self, step: GraphPass, model: ir.Model) -> None:
        """Called before ``step`` runs."""

    def after(self, step: GraphPass, model: ir.Model, changes: int) -> None:
        """Called after ``step`` ran and changed ``changes`` places."""


def run(model: ir.Model, steps: Sequence[GraphPass], instruments: Iterable[Instrument] = ()) -> dict[str, int]:
    """Run ``steps`` in order on ``model``, in place; returns the number of changes by pass name."""
    observers = list(instruments)
    changes: dict[str, int] = {}
    with no_collector():
        for step in steps:
            for observer in observers:
                observer.before(step, model)
            count = step.rewrite(model)
            changes[step.name] = changes.get(step.name, 0) + count
            for observer in observers:
                observer.after(step, model, count)
    return changes


@contextmanager
def no_collector() -> Iterator[None]:
    """Pause the search for cyclic garbage: it walks the whole graph again and again, 10 to 20 % of the time on 20,000 nodes.

    What was made meanwhile counts as old afterwards, or the next search would begin with all of it; it is freed like anything old.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            if not gc.get_freeze_count():  # nobody else has frozen anything that this would thaw
                gc.freeze()
                gc.unfreeze()
            gc.enable()
