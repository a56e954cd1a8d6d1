"""Scattering, one-hot and multi-hot, with places that come twice and ids out of range."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from converter.errors import ConversionError
from tests.coverage.ops import call
from tests.frontend.building import export
from tests.frontend.calling import agree, functions

K = keras.ops


def test_places_that_come_twice_and_ids_below_zero() -> None:
    exported = functions({
        "added": lambda i: tf.scatter_nd(i[:, None], tf.cast(i, tf.float32) + 1, (6,)), "hot": lambda i: tf.one_hot(i, 4),
        "whole": lambda i: tf.scatter_nd(i[:, None], i + 1, (6,)), "ints": lambda i: tf.one_hot(i, 4, 5, 2, 0, tf.int32),
        "bools": lambda i: tf.one_hot(i, 4, True, False), "doubles": lambda i: tf.one_hot(i, 3, dtype=tf.float64, axis=0),
    }, ((), "int32"))
    agree(exported, np.array([1, 1, 0, 5, 1], np.int32))
    hot = functions({"hot": lambda i: tf.one_hot(i, 4), "many": lambda i: K.multi_hot(i, 4)}, ((3,), "int32"))
    agree(hot, np.array([[-1, 3, 4], [0, -4, 2]], np.int32))
    with pytest.raises(ConversionError, match=r"ScatterNd \(places that may come twice need opset 16"):
        export(call(lambda i: tf.scatter_nd(i[:, None], i + 1, (6,)), (), dtype="int32").build(), opset=15)
