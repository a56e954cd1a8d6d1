"""Ranks and lengths, slices that are replaced, places in a tensor."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tests.frontend.calling import agree, functions

K, RAW = keras.ops, tf.raw_ops


def test_ranks_and_lengths() -> None:
    exported = functions({
        "rank": lambda x: x * tf.cast(RAW.Rank(input=x), tf.float32), "shapes": lambda x: tf.shape_n([x, x[0]])[0] + tf.cast(0 * x[0, 0, :3], tf.int32),
        "places": lambda x: tf.unravel_index(tf.argmax(x[0], 1), [2, 2]),
    }, ((4, 4), "float32"))
    agree(exported, np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32))


def test_slices_are_replaced_within_the_tensor() -> None:
    exported = functions({
        "there": lambda x: K.slice_update(x, (0, 1, 2), x[:, :2, :3] * 2), "beyond": lambda x: K.slice_update(x, (0, 3, 5), x[:, :2, :3] * 2),
        "truth": lambda x: K.slice_update(x > 0, (0, 1, 1), x[:, :2, :2] < 0), "cross": lambda x: K.cross(x[:, :, :3], x[:, :, 3:]),
        "cross of one": lambda x: K.cross(x[:, :, :3], np.array([1.0, 2, 3], np.float32)),
    }, ((4, 6), "float32"))
    agree(exported, np.arange(48, dtype=np.float32).reshape(2, 4, 6) - 20)
