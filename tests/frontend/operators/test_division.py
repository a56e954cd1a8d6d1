"""Division and its rest, of floats and of whole numbers of both signs, and shifts."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tests.frontend.calling import EDGES, agree, functions

RAW = tf.raw_ops


def test_floats() -> None:
    y = np.where(EDGES == 0, np.float32(2.5), EDGES)[::-1].copy()
    exported = functions({
        "floormod": lambda x, y: tf.math.floormod(x, y + 0.7), "floordiv": lambda x, y: tf.math.floordiv(x, y + 0.7),
        "truncatemod": lambda x, y: RAW.TruncateMod(x=x, y=y + 0.7),
    }, ((None,), "float32"), ((None,), "float32"))
    agree(exported, [EDGES], [y], rtol=1e-5)
    agree(exported, np.array([[1e9, -1e9, 5.5, -5.5]], np.float32), np.array([[3.0, 3.0, -2.0, 2.0]], np.float32), rtol=1e-5)


def test_whole_numbers() -> None:
    exported = functions({
        "floormod": lambda x, y: tf.math.floormod(x, 2 * y + 1), "floordiv": lambda x, y: tf.math.floordiv(x, 2 * y + 1),
        "right": lambda x, y: tf.bitwise.right_shift(x, tf.abs(y)), "left": lambda x, y: tf.bitwise.left_shift(x, tf.abs(y) % 8),
        "small": lambda x, y: tf.cast(tf.math.floordiv(tf.cast(x, tf.int8), 3), tf.int32),
        "unsigned": lambda x, y: tf.cast(tf.bitwise.right_shift(tf.cast(tf.abs(x), tf.uint32), 2), tf.int32),
    }, ((None,), "int32"), ((None,), "int32"))
    agree(exported, np.array([[7, -7, 0, 100, -1, -128]], np.int32), np.array([[1, 3, -2, 0, 40, 2]], np.int32))
