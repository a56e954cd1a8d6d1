"""Operators on numbers: elementwise, special functions, division, bits and complex pairs, edges included."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from converter.errors import ConversionError
from converter.frontend.operators import OPERATORS, bits, division, elementwise, special
from tests.coverage.ops import call
from tests.frontend.building import export
from tests.frontend.calling import EDGES, INFINITE, NAN, agree, functions

K, RAW = keras.ops, tf.raw_ops
BITS = np.array([0, 1, -1, 2**23, 2**31 - 1, -(2**31), 0x7F800000, 0x7FC00000, 0x3F800001, 0x00000007, -8388608], np.int32)


def test_functions_of_one_number() -> None:
    exported = functions({
        "erfc": tf.math.erfc, "expm1": tf.math.expm1, "log1p": lambda x: tf.math.log1p(tf.abs(x)),
        "erfinv": lambda x: tf.math.erfinv(tf.clip_by_value(0.9 * x, -1, 1)), "ndtri": lambda x: tf.math.ndtri(tf.clip_by_value(tf.abs(x) / 8, 1e-6, 0.99999)),
        "i0e": lambda x: RAW.BesselI0e(x=x), "i1e": lambda x: RAW.BesselI1e(x=x),
        "i0": lambda x: RAW.BesselI0(x=tf.clip_by_value(x, -9, 9)), "i1": lambda x: RAW.BesselI1(x=tf.clip_by_value(x, -9, 9)),
        "bits": lambda x: tf.bitcast(x, tf.int32), "unsigned": lambda x: tf.bitcast(x, tf.uint32),
    }, ((None,), "float32"))
    assert len(elementwise.__doc__ or "") and {"Erfinv", "BesselI1e"} <= set(OPERATORS.names())
    agree(exported, [EDGES], atol=2e-6)
    agree(exported, np.linspace(-9, 9, 200, dtype=np.float32)[None], rtol=2e-6, atol=2e-6)
    tiny = np.array([[1e-45, 3e-39, -2e-40, 1.1754944e-38, 3.4028235e38, INFINITE, -INFINITE, 1.9999999, 0.99999994]], np.float32)
    agree(exported, np.where(np.isinf(tiny), 1, tiny))


def test_bits_of_what_is_no_number() -> None:
    assert bits.SIGN == 2**31
    exported = functions({"bits": lambda x: tf.bitcast(x, tf.int32), "back": lambda x: tf.bitcast(tf.bitcast(x, tf.int32), tf.float32)}, ((3,), "float32"))
    agree(exported, np.array([[INFINITE, -INFINITE, NAN]], np.float32))


def test_integers_as_bits_of_floats() -> None:
    exported = functions({"float": lambda x: tf.bitcast(x, tf.float32), "unsigned": lambda x: tf.bitcast(x, tf.uint32)}, ((None,), "int32"))
    agree(exported, BITS[None], rtol=0, atol=0)


def test_functions_of_two_numbers() -> None:
    y = np.where(EDGES == 0, np.float32(2.5), EDGES)[::-1].copy()
    exported = functions({
        "floormod": lambda x, y: tf.math.floormod(x, y + 0.7), "floordiv": lambda x, y: tf.math.floordiv(x, y + 0.7),
        "truncatemod": lambda x, y: RAW.TruncateMod(x=x, y=y + 0.7), "xlogy": lambda x, y: RAW.Xlogy(x=x, y=tf.abs(y)),
        "xlog1py": lambda x, y: RAW.Xlog1py(x=x, y=tf.abs(y)), "xdivy": lambda x, y: RAW.Xdivy(x=x, y=y + 0.7),
        "select": lambda x, y: tf.where(x < 3, x + y, tf.sqrt(x - 3)), "atan2": tf.math.atan2,
    }, ((None,), "float32"), ((None,), "float32"))
    agree(exported, [EDGES], [y], rtol=1e-5)
    agree(exported, np.array([[1e9, -1e9, 5.5, -5.5]], np.float32), np.array([[3.0, 3.0, -2.0, 2.0]], np.float32), rtol=1e-5)


def test_rows_are_chosen_by_a_vector() -> None:
    exported = functions({"rows": lambda x: RAW.Select(condition=x[:, 0] > 0, x=x, y=-2 * x)}, ((4,), "float32"))
    agree(exported, np.array([[1, 2, 3, 4], [-1, 2, 3, 4]], np.float32))


def test_whole_numbers() -> None:
    exported = functions({
        "floormod": lambda x, y: tf.math.floormod(x, 2 * y + 1), "floordiv": lambda x, y: tf.math.floordiv(x, 2 * y + 1),
        "right": lambda x, y: tf.bitwise.right_shift(x, tf.abs(y)), "left": lambda x, y: tf.bitwise.left_shift(x, tf.abs(y) % 8),
        "small": lambda x, y: tf.cast(tf.math.floordiv(tf.cast(x, tf.int8), 3), tf.int32),
        "chosen": lambda x, y: tf.where(x > 0, tf.cast(x, tf.int16), tf.cast(y, tf.int16)), "truth": lambda x, y: tf.where(x > 0, x > 5, y > 3),
        "unsigned": lambda x, y: tf.cast(tf.bitwise.right_shift(tf.cast(tf.abs(x), tf.uint32), 2), tf.int32),
    }, ((None,), "int32"), ((None,), "int32"))
    assert division.INT64
    agree(exported, np.array([[7, -7, 0, 100, -1, -128]], np.int32), np.array([[1, 3, -2, 0, 40, 2]], np.int32))


def test_complex_numbers_are_followed_as_pairs() -> None:
    def product(x: tf.Tensor) -> tf.Tensor:
        z = tf.complex(x[:, :2], x[:, 2:]) * tf.complex(x[:, 2:], x[:, 1:3]) - 1j * tf.cast(x[:, :2], tf.complex64)
        return tf.stack([tf.math.real(tf.math.conj(z)), tf.math.imag(-tf.math.conj(z)), tf.math.imag(z + 2)])

    agree(functions({"product": product}, ((4,), "float32")), np.array([[1, 2, 3, 4]], np.float32), rtol=1e-5)


def test_what_has_no_form_is_refused_with_layer_operator_and_advice() -> None:
    assert special.BOUND == 3.75
    with pytest.raises(ConversionError, match=r"call.*: NextAfter \(ONNX has no neighbours"):
        export(call(K.nextafter, (3,), (3,)).build())
    with pytest.raises(ConversionError, match="bits of FLOAT16 cannot be read"):
        export(call(lambda x: tf.bitcast(tf.cast(x, tf.float16), tf.int16), (3,)).build())
