"""Functions without an ONNX operator, as their series."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from converter.frontend.operators.special import BOUND
from tests.frontend.calling import EDGES, LINE, TINY, agree, functions

RAW = tf.raw_ops


def test_special_functions() -> None:
    exported = functions({
        "erfinv": lambda x: tf.math.erfinv(tf.clip_by_value(0.9 * x, -1, 1)), "ndtri": lambda x: tf.math.ndtri(tf.clip_by_value(tf.abs(x) / 8, 1e-6, 0.99999)),
        "i0e": lambda x: RAW.BesselI0e(x=x), "i1e": lambda x: RAW.BesselI1e(x=x),
        "i0": lambda x: RAW.BesselI0(x=tf.clip_by_value(x, -9, 9)), "i1": lambda x: RAW.BesselI1(x=tf.clip_by_value(x, -9, 9)),
    }, ((None,), "float32"))
    agree(exported, [EDGES], atol=2e-6)
    agree(exported, LINE, rtol=2e-6, atol=2e-6)
    agree(exported, TINY)
    ends = np.array([[BOUND, -BOUND, np.nextafter(np.float32(BOUND), np.float32(9)), np.nextafter(np.float32(BOUND), np.float32(0))]], np.float32)
    agree(exported, ends, rtol=2e-6, atol=2e-6)  # where one series ends and the next begins
