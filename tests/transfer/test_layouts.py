"""Every step there and back; what the steps mean to an operator is held to onnxruntime in test_parameters.py."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.transfer.layouts import Halves, Layout, Reshaped, Scaled, Step, Turned, origin


@given(st.permutations(range(4)), st.permutations(range(4)))
def test_a_layout_there_and_back_is_the_identity(first: list[int], second: list[int]) -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype(np.float32)
    turned = x.transpose(first)
    layout = Layout((Turned(tuple(first)), Reshaped(turned.shape, (6, 20)), Reshaped((6, 20), x.shape), Turned(tuple(second)), Scaled(-0.5)))
    there = layout.canonical(x)
    np.testing.assert_array_equal(there, -0.5 * turned.reshape(x.shape).transpose(second))
    back = layout.stored(there)
    np.testing.assert_array_equal(back, x)
    assert back.flags.c_contiguous and back.dtype == np.float32


def test_one_number_stays_one_number() -> None:
    assert Layout((Reshaped((), (1,)),)).stored(np.ones(1, np.float32)).shape == ()


def test_the_halves_of_a_recurrent_bias_are_their_sum_but_where_a_gate_keeps_two() -> None:
    bias = np.arange(24, dtype=np.float32).reshape(2, 12)  # two directions, three gates of two units, two halves
    kept = bias.copy()
    np.testing.assert_array_equal(Halves(2).forward(bias), [[6, 8, 10, 12, 14, 16] + 6 * [0], [30, 32, 34, 36, 38, 40] + 6 * [0]])
    np.testing.assert_array_equal(Halves(2, 1).forward(bias), [
        [6, 8, 10, 12, 4, 5, 0, 0, 0, 0, 10, 11], [30, 32, 34, 36, 16, 17, 0, 0, 0, 0, 22, 23]])
    np.testing.assert_array_equal(bias, kept)
    np.testing.assert_array_equal(Halves(2).backward(bias), bias)


@pytest.mark.parametrize(("steps", "axis", "expected"), [
    ((), 2, 2),
    ((Turned((3, 2, 0, 1)),), 0, 3),
    ((Turned((3, 2, 0, 1)),), 2, 0),
    ((Reshaped((4, 18), (4, 3, 3, 2)),), 0, 0),
    ((Reshaped((4, 18), (4, 3, 3, 2)),), 1, None),
    ((Reshaped((4, 4), (4, 1, 4)),), 2, 1),
    ((Reshaped((2, 3, 4), (6, 4)), Turned((1, 0))), 0, 2),
    ((Reshaped((2, 3, 4), (6, 4)), Turned((1, 0))), 1, None),
    ((Turned((1, 0)), Reshaped((5, 4), (5, 2, 2))), 0, 1),
    ((Scaled(2.0),), 1, 1),
])
def test_the_axis_of_the_initializer_that_an_axis_behind_steps_is(steps: tuple[Step, ...], axis: int, expected: int | None) -> None:
    assert origin(steps, axis) == expected
