"""The instruments notice a pass that breaks the graph, a promise, or a name; and let the others through."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from converter.errors import ConversionError
from converter.graph import edit
from converter.passes import base
from converter.passes.base import GraphPass, Promise
from converter.passes.instruments import Invariants, PromiseKeeping, Timing
from tests.passes.golden import graph, outputs

BODY = "(float[n,2] x) => (float[n,2] y) { a = Relu(x) m = Mul(a, w) y = Add(m, w) }"


def _pass(change: Callable[[ir.Model], object], promised: Promise = Promise.EXACT) -> GraphPass:
    class Offender(GraphPass):
        promise = promised

        def rewrite(self, model: ir.Model) -> int:
            change(model)
            return 1

    return Offender()


def _rename(node: int, name: str) -> Callable[[ir.Model], object]:
    return lambda m: setattr(m.graph[node].outputs[0], "name", name)


def _move_first_to_the_end(model: ir.Model) -> None:
    node = model.graph[0]
    model.graph.remove(node)
    model.graph.append(node)


BROKEN = {
    "another output name": (_rename(2, "z"), "inputs or outputs"),
    "two values of one name": (_rename(1, "a"), "two values"),
    "order": (_move_first_to_the_end, "before it is made"),
    "orphan weight": (lambda m: edit.add_initializer(m, "left", np.zeros(2, np.float32)), "nobody reads: left"),
    "orphan node": (lambda m: edit.insert_after(m, m.graph[0], "Neg", [m.graph[0].outputs[0]], "left"), "nobody reads: left"),
    "no such operator": (lambda m: setattr(m.graph[0], "op_type", "Rely"), "not valid ONNX"),
    "output gone": (lambda m: m.graph.outputs.clear(), "inputs or outputs"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_graph_is_noticed(case: str) -> None:
    change, message = BROKEN[case]
    with pytest.raises(ConversionError, match=message):
        base.run(graph(BODY, w=(2,)), [_pass(change)], [Invariants()])


def _scale(factor: float) -> Callable[[ir.Model], object]:
    def change(model: ir.Model) -> None:
        value = model.graph.initializers["w"]
        value.const_value = ir.tensor(value.const_value.numpy() * np.float32(factor), name="w")
    return change


@pytest.mark.parametrize(("change", "promise", "kept"), [
    (_scale(1), Promise.EXACT, True), (_scale(1 + 3e-7), Promise.EXACT, False), (_scale(1 + 3e-7), Promise.ROUNDING, True),
    (_scale(1.001), Promise.ROUNDING, False), (_scale(-1), Promise.ROUNDING, False), (_scale(np.nan), Promise.ROUNDING, False),
    (_scale(2), Promise.QUANTIZED, True),
    (lambda m: edit.set_inputs(m.graph[2], [m.graph[0].outputs[0], m.graph[2].inputs[1]]), Promise.ROUNDING, False),
])
def test_a_promise_is_held_to(change: Callable[[ir.Model], object], promise: Promise, kept: bool) -> None:
    run = lambda: base.run(graph(BODY, w=np.float32([1.5, 2])), [_pass(change, promise)], [PromiseKeeping(outputs)])  # noqa: E731
    if kept:
        assert run() == {"Offender": 1}
    else:
        with pytest.raises(ConversionError, match="promises"):
            run()


def _watch(before: list[np.ndarray], after: list[np.ndarray]) -> None:
    results = iter([before, after])
    base.run(graph(BODY, w=(2,)), [_pass(lambda m: None, Promise.ROUNDING)], [PromiseKeeping(lambda _: next(results))])


@pytest.mark.parametrize("array", [np.float32([np.nan, np.inf, -np.inf, 1]), np.array([True, False]), np.array(["a"], object), np.zeros(0)])
def test_equal_outputs_of_any_kind(array: np.ndarray) -> None:
    _watch([array], [array.copy()])


@pytest.mark.parametrize(("before", "after"), [
    (np.float32([1, 2]), np.float32([[1, 2]])), (np.float32([1, 1]), np.float32([1])), (np.float32([1]), np.float64([1])),
    (np.float32([np.inf]), np.float32([1])), (np.float32([1]), np.float32([np.nan])), (np.float32([np.inf]), np.float32([-np.inf])),
    (np.array([True]), np.array([False])), (np.array(["a"], object), np.array(["b"], object)), (np.float32([5, 5]), np.float32([5.1, 5.1])),
])
def test_unequal_outputs_of_any_kind(before: np.ndarray, after: np.ndarray) -> None:
    with pytest.raises(ConversionError, match="Offender"):
        _watch([before], [after])


def test_a_missing_output_is_noticed() -> None:
    with pytest.raises(ValueError, match="zip"):
        _watch([np.zeros(1), np.zeros(1)], [np.zeros(1)])


def test_timing_counts_by_pass() -> None:
    timing = Timing()
    base.run(graph(BODY, w=(2,)), [_pass(lambda m: None), _pass(lambda m: None)], [timing])
    assert list(timing.seconds) == ["Offender"] and timing.seconds["Offender"] >= 0


def test_a_pass_is_also_a_pass_of_onnx_ir() -> None:
    result = _pass(lambda m: None)(graph(BODY, w=(2,)))
    assert result.modified
