"""Diagonals set and taken."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tests.frontend.calling import agree, functions


def test_diagonals() -> None:
    exported = functions({
        "set": lambda x: tf.linalg.set_diag(x, x[:, 0] + 1), "wide": lambda x: tf.linalg.set_diag(x[:, :, :3], x[:, 3, :3]),
        "tall": lambda x: tf.linalg.set_diag(x[:, :2], x[:, 3, :2]), "square": lambda x: tf.linalg.tensor_diag(x[0, 0]),
        "four": lambda x: tf.linalg.tensor_diag(x[0, :2, :3]), "part": lambda x: tf.linalg.tensor_diag_part(x[0]),
        "four part": lambda x: tf.linalg.tensor_diag_part(tf.reshape(tf.tile(x[0, :2, :3], (3, 2)), (2, 3, 2, 3))),
    }, ((4, 4), "float32"))
    agree(exported, np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32))
