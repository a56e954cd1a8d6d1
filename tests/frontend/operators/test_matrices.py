"""Determinants."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from tests.frontend.calling import agree, functions

K = keras.ops


def test_determinants() -> None:
    exported = functions({"sign and log": lambda x: tf.linalg.slogdet(x - 0.5 * tf.eye(3)), "log": lambda x: K.logdet(x @ K.transpose(x, (0, 2, 1)) + 2 * K.eye(3))},
                         ((3, 3), "float32"))
    agree(exported, np.array([[[1, 2, 3], [0, -2, 1], [4, 1, 1]]], np.float32), rtol=1e-5)
