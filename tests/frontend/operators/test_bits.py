"""Floats as the integers that their bits are, and back."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from converter.errors import ConversionError
from tests.coverage.ops import call
from tests.frontend.building import export
from tests.frontend.calling import EDGES, INFINITE, LINE, NAN, TINY, agree, functions

BITS = np.array([0, 1, -1, 2**23, 2**31 - 1, -(2**31), 0x7F800000, 0x7FC00000, 0x3F800001, 0x00000007, -8388608], np.int32)


def test_bits_of_numbers() -> None:
    exported = functions({"bits": lambda x: tf.bitcast(x, tf.int32), "unsigned": lambda x: tf.bitcast(x, tf.uint32)}, ((None,), "float32"))
    for x in ([EDGES], LINE, TINY):
        agree(exported, np.asarray(x), rtol=0, atol=0)


def test_bits_of_what_is_no_number() -> None:
    exported = functions({"bits": lambda x: tf.bitcast(x, tf.int32), "back": lambda x: tf.bitcast(tf.bitcast(x, tf.int32), tf.float32)}, ((3,), "float32"))
    agree(exported, np.array([[INFINITE, -INFINITE, NAN]], np.float32))


def test_integers_as_bits_of_floats() -> None:
    exported = functions({"float": lambda x: tf.bitcast(x, tf.float32), "unsigned": lambda x: tf.bitcast(x, tf.uint32)}, ((None,), "int32"))
    agree(exported, BITS[None], rtol=0, atol=0)


def test_bits_of_half_a_float_are_refused() -> None:
    with pytest.raises(ConversionError, match="bits of FLOAT16 cannot be read"):
        export(call(lambda x: tf.bitcast(tf.cast(x, tf.float16), tf.int16), (3,)).build())
