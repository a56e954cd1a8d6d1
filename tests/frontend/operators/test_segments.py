"""Reductions of segments, at opsets with and without a reducing ScatterND."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.frontend.building import operators
from tests.frontend.calling import agree, functions

K = keras.ops
IDS = np.array([2, 0, 2, -2, 0, 4], np.int32)


@pytest.mark.parametrize("opset", [15, 18])
def test_segments(opset: int) -> None:
    cases = {f"{n} {kind}": lambda x, n=n, kind=kind: tf.cast(getattr(tf.math, f"unsorted_segment_{n}")(tf.cast(x[0], kind), IDS, 5) / 2, tf.float32)
             for n in ("sum", "prod", "max", "min") for kind in ("float32", "uint8")}
    cases |= {"matrix of ids": lambda x: tf.math.unsorted_segment_max(x[0], tf.tile(IDS[:, None], (1, 3)), 5),
              "keras": lambda x: K.segment_sum(x[0, :, 0], IDS % 3), "by input": lambda x: K.segment_max(x[0, :, 0], K.cast(K.abs(x[0, :, 1]) > 2, "int32"))}
    exported = functions(cases, ((6, 3), "float32"), opset=opset)
    assert "Loop" not in operators(exported)
    agree(exported, np.arange(18, dtype=np.float32).reshape(1, 6, 3) / 2, rtol=1e-5)
