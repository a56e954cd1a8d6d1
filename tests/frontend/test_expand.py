"""Expansions are found by name, and an operator without one is left for the check that names it."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from converter.errors import ConversionError
from converter.frontend import expand
from converter.frontend.expansions import EXPANSIONS
from converter.verify.session import Session
from tests.coverage.ops import Call
from tests.frontend.building import branches, export, operators


def test_what_is_passed_on_has_an_expansion() -> None:
    assert set(expand.OURS) <= set(EXPANSIONS.names())


def test_a_resize_of_whole_numbers_gives_floats() -> None:
    assert export(branches((6, 5, 3), {"y": Call(lambda x: tf.image.resize(x, (7, 9)))}, dtype="uint8"))


@pytest.mark.parametrize(("rank", "length"), [(1, (9,)), (2, (9, 8)), (3, (6, 5, 4))])
def test_channels_first_have_their_bias_on_the_second_axis(rank: int, length: tuple[int, ...]) -> None:
    """TensorFlow has these for GPUs only, so what they are compared with is compiled by XLA."""
    layer = getattr(keras.layers, f"Conv{rank}D")(5, 3, data_format="channels_first", bias_initializer="random_normal")
    found = operators(export(branches((4, *length), {"y": layer})))
    assert found["Conv"] == 1 and "Transpose" not in found and ("Add" in found) == (rank == 1)


def test_whole_numbers_below_zero_are_divided_as_in_python() -> None:
    divide, rest = keras.ops.floor_divide, keras.ops.mod
    steps = {"a": lambda x: divide(x, 3), "b": lambda x: divide(x, -3), "c": lambda x: rest(x, 3), "d": lambda x: rest(x, -3)}
    exported = export(branches((7,), {name: Call(step) for name, step in steps.items()}, dtype="int32"))
    x = np.array([[-7, -6, -1, 0, 1, 6, 7]], np.int32)
    made = Session(exported.graph).run({"x": x})
    for name, expected in {"a": x // 3, "b": x // -3, "c": x % 3, "d": x % -3}.items():
        assert made[name].tolist() == expected.tolist()


def test_floats_are_divided_as_ever() -> None:
    steps = {"a": Call(lambda x: keras.ops.floor_divide(x, 0.7)), "b": Call(lambda x: keras.ops.mod(x, 0.7))}
    assert operators(export(branches((7,), steps)))["Floor"] >= 1


def test_every_expansion_is_of_an_operator_that_tensorflow_has() -> None:
    assert [name for name in EXPANSIONS.names() if not hasattr(tf.raw_ops, name)] == []


def test_an_operator_without_an_expansion_is_named() -> None:
    with pytest.raises(ConversionError, match="odd: Lgamma"):
        export(branches((6,), {"y": Call(lambda x: tf.math.lgamma(x * x + 1), name="odd")}))
