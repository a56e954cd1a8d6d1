"""Every step backwards: the operator applied to what was found gives what was wanted; what nobody asked for stays open."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.graph import io
from converter.graph.ledger import Step
from converter.transfer import inverse

OPSET = 18
RNG = np.random.default_rng(0)


def numbers(*shape: int) -> Any:
    return RNG.normal(0, 1, shape).astype(np.float32) + 3


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


MOVED: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    "transpose": ("Transpose", [numbers(2, 3, 4)], {"perm": (2, 0, 1)}),
    "transpose, no perm": ("Transpose", [numbers(2, 3)], {}),
    "reshape": ("Reshape", [numbers(2, 6), ints(3, -1)], {}),
    "squeeze": ("Squeeze", [numbers(1, 3, 1), ints(0, 2)], {}),
    "unsqueeze": ("Unsqueeze", [numbers(3), ints(0, 2)], {}),
    "flatten": ("Flatten", [numbers(2, 3, 4)], {"axis": 1}),
    "gather": ("Gather", [numbers(4, 3), ints(2, 0, 3, 1)], {"axis": 0}),
    "expand": ("Expand", [numbers(3, 1), ints(2, 3, 4)], {}),
    "tile": ("Tile", [numbers(2, 3), ints(2, 2)], {}),
    "pad": ("Pad", [numbers(2, 3), ints(1, 0, 0, 2), np.float32(0)], {}),
    "pad by default": ("Pad", [numbers(2, 3), ints(1, 0, 0, 2)], {}),
    "depth to space": ("DepthToSpace", [numbers(1, 4, 2, 3)], {"blocksize": 2}),
}


def step(op_type: str, inputs: list[Any], attributes: dict[str, Any]) -> Step:
    return Step(op_type, tuple(f"i{k}" for k in range(len(inputs))), attributes)


def forwards(op_type: str, inputs: list[Any], attributes: dict[str, Any]) -> Any:
    return io.evaluate(op_type, inputs, attributes, OPSET)[0]


@pytest.mark.parametrize("name", MOVED)
def test_what_only_moves_numbers_moves_them_back(name: str) -> None:
    op_type, inputs, attributes = MOVED[name]
    wanted = forwards(op_type, inputs, attributes)
    found = inverse.invert(step(op_type, inputs, attributes), 0, wanted, [np.zeros_like(inputs[0]), *inputs[1:]], OPSET)
    np.testing.assert_array_equal(found, inputs[0])


def test_a_part_is_written_back_and_the_rest_stays_open() -> None:
    x = numbers(4, 3)
    for op_type, rest in (("Slice", [ints(1), ints(3), ints(0)]), ("Gather", [ints(2, 1)])):
        wanted = forwards(op_type, [x, *rest], {})
        found = inverse.invert(step(op_type, [x, *rest], {}), 0, wanted, [x, *rest], OPSET)
        np.testing.assert_array_equal(found[1:3], x[1:3])
        assert np.isnan(found[[0, 3]]).all()


def test_every_part_of_a_concat_gets_its_own() -> None:
    parts = [numbers(2, 3), numbers(2, 1), numbers(2, 4)]
    wanted = forwards("Concat", parts, {"axis": 1})
    for index, part in enumerate(parts):
        np.testing.assert_array_equal(inverse.invert(step("Concat", parts, {"axis": 1}), index, wanted, parts, OPSET), part)


PAIRS = st.sampled_from(["Add", "Sub", "Mul", "Div"])
SHAPES = st.sampled_from([((3, 4), (3, 4)), ((3, 4), (4,)), ((4,), (3, 4)), ((3, 1), (1, 4)), ((), (3, 4)), ((2, 3, 4), (3, 1))])


@settings(max_examples=60, deadline=None)
@given(PAIRS, SHAPES, st.sampled_from([0, 1]), st.integers(0, 2**16))
def test_the_other_side_known(op_type: str, shapes: tuple[tuple[int, ...], tuple[int, ...]], index: int, seed: int) -> None:
    """Broadcast or not, either side of each operator: exactly what was put in comes back."""
    rng = np.random.default_rng(seed)
    inputs = [(rng.uniform(0.5, 2, shape) * rng.choice([-1, 1], shape)).astype(np.float32) for shape in shapes]
    wanted = forwards(op_type, inputs, {})
    found = inverse.invert(step(op_type, inputs, {}), index, wanted, inputs, OPSET)
    assert found.shape == inputs[index].shape
    np.testing.assert_allclose(found, inputs[index], rtol=2e-5, atol=2e-6)


def test_broadcast_is_least_squares() -> None:
    """For x * [1, 2] = [1, 8]: x = (1 * 1 + 2 * 8) / (1 + 4)."""
    found = inverse.invert(step("Mul", [0, 0], {}), 0, np.float32([1, 8]), [np.zeros(1, np.float32), np.float32([1, 2])], OPSET)
    np.testing.assert_allclose(found, [17 / 5])


@pytest.mark.parametrize("op_type", inverse.SINGLE)
def test_one_input(op_type: str) -> None:
    x = numbers(5)
    wanted = forwards(op_type, [x], {})
    np.testing.assert_allclose(inverse.invert(step(op_type, [x], {}), 0, wanted, [x], OPSET), x, rtol=1e-5)


def test_times_zero_is_infinite_where_something_is_wanted_and_open_where_nothing_is() -> None:
    found = inverse.invert(step("Mul", [0, 0], {}), 0, np.float32([2, 0, 6]), [np.zeros(3, np.float32), np.float32([0, 0, 3])], OPSET)
    assert np.isinf(found[0]) and np.isnan(found[1]) and found[2] == 2


def test_what_cannot_be_gone_back_through() -> None:
    pair = [numbers(2, 2), numbers(2, 2)]
    assert not inverse.can_invert(step("MatMul", pair, {}), 0)
    assert not inverse.can_invert(step("ReduceSum", pair[:1], {}), 0)
    assert not inverse.can_invert(step("Gather", pair, {}), 1)
    assert inverse.can_invert(step("Mul", pair, {}), 1)
