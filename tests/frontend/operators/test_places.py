"""Operators on places: search, counts, scattering, slices, running products, decoding, determinants."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from converter.errors import ConversionError
from converter.frontend.operators import decoding, diagonals, indices, matrices, running, search, shapes
from tests.coverage.ops import call
from tests.frontend.building import export, operators
from tests.frontend.calling import agree, functions

K, RAW = keras.ops, tf.raw_ops
FAMILIES = (decoding, diagonals, indices, matrices, running, search, shapes)


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


def test_slices_are_replaced_within_the_tensor() -> None:
    exported = functions({
        "there": lambda x: K.slice_update(x, (0, 1, 2), x[:, :2, :3] * 2), "beyond": lambda x: K.slice_update(x, (0, 3, 5), x[:, :2, :3] * 2),
        "truth": lambda x: K.slice_update(x > 0, (0, 1, 1), x[:, :2, :2] < 0), "cross": lambda x: K.cross(x[:, :, :3], x[:, :, 3:]),
        "cross of one": lambda x: K.cross(x[:, :, :3], np.array([1.0, 2, 3], np.float32)),
    }, ((4, 6), "float32"))
    agree(exported, np.arange(48, dtype=np.float32).reshape(2, 4, 6) - 20)


@pytest.mark.parametrize("length", [5, None])
def test_running_products(length: int | None) -> None:
    kinds = [(e, r) for e in (False, True) for r in (False, True)] if length else [(True, True), (False, False)]
    cases: dict[str, Any] = {f"product {e} {r}": lambda x, e=e, r=r: tf.math.cumprod(x, 1, e, r) for e, r in kinds}
    cases |= {f"log {e} {r}": lambda x, e=e, r=r: tf.exp(tf.math.cumulative_logsumexp(x, 1, e, r)) for e, r in kinds[::3]}
    exported = functions(cases | {"whole": lambda x: tf.math.cumprod(tf.cast(x, tf.int32), 1)} if length else cases, ((length, 2), "float32"))
    assert "Loop" not in operators(exported)
    for count in (5,) if length else (1, 2, 5, 8):
        agree(exported, np.linspace(-2, 3, 2 * count, dtype=np.float32).reshape(1, count, 2), rtol=1e-5)


def test_the_likeliest_path() -> None:
    scores = np.random.default_rng(0).normal(size=(3, 9, 4)).astype(np.float32)
    exported = functions({
        f"{merge} {blank}": lambda x, n, m=merge, b=blank: K.ctc_decode(x, n, merge_repeated=m, mask_index=b) for merge in (True, False) for blank in (0, 3)
    }, ((9, 4), "float32"), ((), "int32"))
    agree(exported, scores, np.array([9, 5, 0], np.int32))
    agree(exported, np.repeat(scores[:, :3], 3, 1), np.array([9, 5, 1], np.int32))


def test_determinants() -> None:
    exported = functions({"sign and log": lambda x: tf.linalg.slogdet(x - 0.5 * tf.eye(3)), "log": lambda x: K.logdet(x @ K.transpose(x, (0, 2, 1)) + 2 * K.eye(3))},
                         ((3, 3), "float32"))
    agree(exported, np.array([[[1, 2, 3], [0, -2, 1], [4, 1, 1]]], np.float32), rtol=1e-5)


def test_diagonals_and_shapes() -> None:
    exported = functions({
        "set": lambda x: tf.linalg.set_diag(x, x[:, 0] + 1), "wide": lambda x: tf.linalg.set_diag(x[:, :, :3], x[:, 3, :3]),
        "tall": lambda x: tf.linalg.set_diag(x[:, :2], x[:, 3, :2]), "square": lambda x: tf.linalg.tensor_diag(x[0, 0]),
        "four": lambda x: tf.linalg.tensor_diag(x[0, :2, :3]), "part": lambda x: tf.linalg.tensor_diag_part(x[0]),
        "four part": lambda x: tf.linalg.tensor_diag_part(tf.reshape(tf.tile(x[0, :2, :3], (3, 2)), (2, 3, 2, 3))),
        "rank": lambda x: x * tf.cast(RAW.Rank(input=x), tf.float32), "shapes": lambda x: tf.shape_n([x, x[0]])[0] + tf.cast(0 * x[0, 0, :3], tf.int32),
        "places": lambda x: tf.unravel_index(tf.argmax(x[0], 1), [2, 2]), "loss": tf.nn.l2_loss, "near": lambda x: RAW.ApproximateEqual(x=x, y=x * 1.00001),
    }, ((4, 4), "float32"))
    agree(exported, np.random.default_rng(0).normal(size=(2, 4, 4)).astype(np.float32))
