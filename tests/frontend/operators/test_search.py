"""Search, counts, and boundaries: a value on one, and one that is no number."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from converter.verify.session import Session
from tests.coverage.ops import Call
from tests.frontend.building import branches, export
from tests.frontend.calling import agree, functions

K, RAW = keras.ops, tf.raw_ops
BOUNDARIES = [-1.0, 0.0, 0.5, 2.0]


def test_search_and_counts() -> None:
    edges = np.array([-1.0, 0.0, 0.0, 1.0], np.float32)
    exported = functions({
        "left": lambda x: tf.searchsorted(edges, tf.reshape(x, [-1])), "right": lambda x: tf.searchsorted(edges, tf.reshape(x, [-1]), "right"),
        "rows": lambda x: tf.searchsorted(tf.sort(x, -1), x[:, ::-1] + 0.25), "buckets": lambda x: RAW.Bucketize(input=x, boundaries=[-1, 0, 1]),
        "top": lambda x: tf.math.in_top_k(tf.constant([1, 0]), x, 2), "histogram": lambda x: K.histogram(K.ravel(x), 4, range=(-2, 2))[0],
        "fixed": lambda x: tf.histogram_fixed_width(x, [-2.0, 2.0], 5), "second": lambda x: RAW.NthElement(input=x, n=1),
        "last but one": lambda x: RAW.NthElement(input=x, n=1, reverse=True), "bins": lambda x: K.digitize(x, [-1.0, 0.0, 2.5]),
        "free histogram": lambda x: K.histogram(K.ravel(x), 3), "weighed": lambda x: tf.math.bincount(
            tf.cast(tf.abs(x) % 3, tf.int32), weights=tf.sin(x), minlength=3, maxlength=3, axis=-1),
    }, ((5,), "float32"), batch=2)
    agree(exported, np.array([[-1, 0, -0.0, 1, 5], [3, 3, 2, 3, -8]], np.float32))
    buckets = functions({"float": lambda x: RAW.Bucketize(input=x, boundaries=[-1, 0, 1]), "double": lambda x: RAW.Bucketize(
        input=tf.cast(x, tf.float64), boundaries=[-1, 0, 1])}, ((4,), "float32"))
    agree(buckets, np.array([[np.nan, np.inf, -np.inf, 1]], np.float32))
    ids = functions({
        "count": lambda x: tf.math.bincount(x, minlength=4, maxlength=4, axis=-1),
        "seen": lambda x: tf.math.bincount(x, minlength=4, maxlength=4, axis=-1, binary_output=True),
    }, ((5,), "int32"))
    agree(ids, np.array([[0, 3, 3, 9, 1], [2, 2, 2, 2, 2]], np.int32))


def test_a_value_on_a_boundary_and_one_that_is_no_number() -> None:
    exported = export(branches((6,), {"y": Call(lambda x: keras.ops.digitize(x, BOUNDARIES))}))
    x = np.array([[-1.0, 0.5, 2.0, np.nan, -np.inf, np.inf]], np.float32)
    assert Session(exported.graph).run({"x": x})["y"].tolist() == [[1, 3, 4, 4, 0, 4]]
    assert exported.runner is not None
    assert exported.runner.run({"x": x})["y"].tolist() == [[1, 3, 4, 4, 0, 4]]


def test_other_types() -> None:
    for dtype in ("int32", "int64", "float64"):
        assert export(branches((6,), {"y": Call(lambda x: keras.ops.digitize(x, [0.0, 0.5, 1.0]))}, dtype=dtype))
