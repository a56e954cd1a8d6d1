"""Functions of one and two numbers, edges included."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from converter.errors import ConversionError
from tests.coverage.ops import call
from tests.frontend.building import export
from tests.frontend.calling import EDGES, LINE, TINY, agree, functions

K, RAW = keras.ops, tf.raw_ops


def test_functions_of_one_number() -> None:
    exported = functions({"erfc": tf.math.erfc, "expm1": tf.math.expm1, "log1p": lambda x: tf.math.log1p(tf.abs(x))}, ((None,), "float32"))
    agree(exported, [EDGES], atol=2e-6)
    agree(exported, LINE, rtol=2e-6, atol=2e-6)
    agree(exported, TINY)


def test_functions_of_two_numbers() -> None:
    y = np.where(EDGES == 0, np.float32(2.5), EDGES)[::-1].copy()
    exported = functions({
        "xlogy": lambda x, y: RAW.Xlogy(x=x, y=tf.abs(y)), "xlog1py": lambda x, y: RAW.Xlog1py(x=x, y=tf.abs(y)),
        "xdivy": lambda x, y: RAW.Xdivy(x=x, y=y + 0.7), "select": lambda x, y: tf.where(x < 3, x + y, tf.sqrt(x - 3)), "atan2": tf.math.atan2,
    }, ((None,), "float32"), ((None,), "float32"))
    agree(exported, [EDGES], [y], rtol=1e-5)
    agree(exported, np.array([[1e9, -1e9, 5.5, -5.5]], np.float32), np.array([[3.0, 3.0, -2.0, 2.0]], np.float32), rtol=1e-5)


def test_rows_are_chosen_by_a_vector() -> None:
    exported = functions({"rows": lambda x: RAW.Select(condition=x[:, 0] > 0, x=x, y=-2 * x)}, ((4,), "float32"))
    agree(exported, np.array([[1, 2, 3, 4], [-1, 2, 3, 4]], np.float32))


def test_choices_of_whole_numbers_and_truths() -> None:
    exported = functions({
        "chosen": lambda x, y: tf.where(x > 0, tf.cast(x, tf.int16), tf.cast(y, tf.int16)), "truth": lambda x, y: tf.where(x > 0, x > 5, y > 3),
    }, ((None,), "int32"), ((None,), "int32"))
    agree(exported, np.array([[7, -7, 0, 100, -1, -128]], np.int32), np.array([[1, 3, -2, 0, 40, 2]], np.int32))


def test_a_loss_and_nearness() -> None:
    exported = functions({"loss": tf.nn.l2_loss, "near": lambda x: RAW.ApproximateEqual(x=x, y=x * 1.00001)}, ((4, 4), "float32"))
    agree(exported, np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32))


def test_what_has_no_form_is_refused_with_layer_operator_and_advice() -> None:
    with pytest.raises(ConversionError, match=r"call.*: NextAfter \(ONNX has no neighbours"):
        export(call(K.nextafter, (3,), (3,)).build())
