"""Expansions are found by name, and an operator without one is left for the check that names it."""

from __future__ import annotations

import pytest
import tensorflow as tf

from converter.errors import ConversionError
from converter.frontend import expand
from converter.frontend.expansions import EXPANSIONS
from tests.coverage.ops import Call
from tests.frontend.building import branches, export


def test_what_is_passed_on_has_an_expansion() -> None:
    assert set(expand.OURS) <= set(EXPANSIONS.names())


def test_a_resize_of_whole_numbers_gives_floats() -> None:
    assert export(branches((6, 5, 3), {"y": Call(lambda x: tf.image.resize(x, (7, 9)))}, dtype="uint8"))


def test_every_expansion_is_of_an_operator_that_tensorflow_has() -> None:
    assert [name for name in EXPANSIONS.names() if not hasattr(tf.raw_ops, name)] == []


def test_an_operator_without_an_expansion_is_named() -> None:
    with pytest.raises(ConversionError, match="odd: Lgamma"):
        export(branches((6,), {"y": Call(lambda x: tf.math.lgamma(x * x + 1), name="odd")}))
