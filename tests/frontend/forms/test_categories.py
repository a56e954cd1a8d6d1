"""Encodings of ids: every mode, rank, and ids that are out of range."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from converter.verify.session import Session
from tests.frontend.building import branches, export, layers, operators


def test_every_mode() -> None:
    steps = {mode: layers.CategoryEncoding(5, output_mode=mode) for mode in ("one_hot", "multi_hot", "count")}
    exported = export(branches((3,), steps, dtype="int32"))
    assert not {"Unique", "ScatterND", "Compress"} & set(operators(exported))
    ids = np.array([[4, 4, 0], [1, 2, 9]], np.int32)
    assert Session(exported.graph).run({"x": ids})["count"].tolist() == [[1, 0, 0, 0, 2], [0, 1, 1, 0, 0]]


def test_weights_and_more_axes() -> None:
    x, w = keras.Input((3,), dtype="int32", name="x"), keras.Input((3,), name="w")
    deep = keras.Input((3, 4), dtype="int64", name="deep")
    outputs: Any = {"weighed": layers.CategoryEncoding(5, output_mode="count")(x, count_weights=w),
                    "deep": layers.CategoryEncoding(5, output_mode="multi_hot")(deep)}
    assert export(keras.Model([x, w, deep], outputs)).report.numbers["parity"]["relative"] == 0


def test_bins() -> None:
    steps = {mode: layers.Discretization([0.0, 0.5, 1.0], output_mode=mode) for mode in ("int", "one_hot", "multi_hot", "count")}
    exported = export(branches((4,), steps))
    assert exported.report.numbers["parity"]["relative"] == 0
    assert [layer.output_mode for layer in steps.values()] == list(steps)
