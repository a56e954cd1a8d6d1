"""Bucketize counts boundaries, and puts what is not a number behind the last one."""

from __future__ import annotations

import keras
import numpy as np

from converter.verify.session import Session
from tests.coverage.ops import Call
from tests.frontend.building import branches, export

BOUNDARIES = [-1.0, 0.0, 0.5, 2.0]


def test_a_value_on_a_boundary_and_one_that_is_no_number() -> None:
    exported = export(branches((6,), {"y": Call(lambda x: keras.ops.digitize(x, BOUNDARIES))}))
    x = np.array([[-1.0, 0.5, 2.0, np.nan, -np.inf, np.inf]], np.float32)
    assert Session(exported.graph).run({"x": x})["y"].tolist() == [[1, 3, 4, 4, 0, 4]]
    assert exported.runner is not None
    assert exported.runner.run({"x": x})["y"].tolist() == [[1, 3, 4, 4, 0, 4]]


def test_other_types() -> None:
    for dtype in ("int32", "int64", "float64"):
        assert export(branches((6,), {"y": Call(lambda x: keras.ops.digitize(x, [0.0, 0.5, 1.0]))}, dtype=dtype))
