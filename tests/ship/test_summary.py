"""Reports in the few rows that fit on a terminal."""

from __future__ import annotations

from typing import Any

import pytest

from converter.ship.summary import NOTE, tables
from converter.spec.report import Report

LATENCY = {"threads": 1, "float_ms": 1.0, "integer_ms": 0.65, "ratio": 0.65, "q1": 0.6, "q3": 0.7}
ACCURACY = {"metric": "top1", "unit": "points", "float_score": 91.7, "integer_score": 91.6, "drop": 0.1, "low": -0.22, "high": 0.45, "samples": 2000}


def rows(stage: str = "ship", **numbers: Any) -> list[tuple[str, ...]]:
    return [row for table in tables(Report(stage, numbers=numbers)) for row in table.rows]


def test_no_numbers_no_table() -> None:
    assert tables(Report("export", numbers={"seconds": {"load": 1}})) == []


def test_an_export_lists_operators_ends_and_parity() -> None:
    found = rows("export", kinds={"Relu": 2, "Conv": 5}, parameters=1234, opset=23, ir_version=11, bytes=5000,
                 inputs=[{"name": "x", "dtype": "float32", "shape": ["batch", 4]}],
                 outputs=[{"name": "y", "dtype": "float32", "shape": ["batch", 2]}],
                 parity={"relative": 1.5e-7, "samples": 7})
    assert found == [("Conv", "5"), ("Relu", "2"), ("input", "x", "float32", "batch x 4"), ("output", "y", "float32", "batch x 2"),
                     ("parameters", "1,234", "", ""), ("opset", "23", "", ""), ("IR version", "11", "", ""), ("bytes", "5,000", "", ""),
                     ("parity", "1.5e-07", "of the range", "7 samples")]


def test_accuracy() -> None:
    assert rows(accuracy=ACCURACY) == [("top1", "91.70 %", "91.60 %", "drop 0.10 [-0.22, 0.45] of 2,000")]
    assert rows(accuracy={**ACCURACY, "metric": "mae", "unit": "metres"})[0][1] == "91.70 metres"


def test_closeness_with_and_without_classes() -> None:
    scores = {"snr_db": 30.0, "kl": 0.001, "agreement": 0.99, "samples": 5000}
    assert rows(fidelity={"fused": scores, "gap_db": 0.1}) == [("SNR, fused", "", "30.0 dB", "KL 0.00100, 99.00 % agree of 5,000")]
    assert rows(fidelity={"fused": {"snr_db": 30.0, "kl": None, "agreement": None, "samples": 5}})[0][3] == "on 5"


def test_size_and_latency() -> None:
    assert rows(size={"float": 2_000_000, "integer": 500_000, "ratio": 0.25}) == [("size", "2.00 MB", "0.50 MB", "0.250 of float")]
    assert rows(size={"ratio": 0.0}) == [], "a Keras reference has no file"
    assert rows(latency=LATENCY) == [("latency", "1.000 ms", "0.650 ms", "0.65 [0.60, 0.70] of float, 1 thread")]
    assert rows(latency={**LATENCY, "threads": 4})[0][3].endswith("4 threads")


@pytest.mark.parametrize(("kernels", "note"), [
    ({}, ""), ({"QGemm": 2}, "QGemm 2"), ({"QGemm": 2, "QLinearConv": 90}, "QLinearConv 90, QGemm 2"),
    ({"QLinearConv": 9, "QLinearGlobalAveragePool": 1, "QGemm": 1, "QLinearAdd": 1}, "QLinearConv 9, QGemm 1, 2 more kinds"),
    ({"A" * 40: 1, "B" * 40: 2}, "2 kinds"),
])
def test_kernels_the_most_frequent_first_as_many_as_fit(kernels: dict[str, int], note: str) -> None:
    found = rows(coverage={"integer": 3, "compute": 4, "kernels": kernels})
    assert found == [("integer kernels", "", "3 of 4", note)] and len(note) <= NOTE


def test_nothing_computes() -> None:
    assert rows(coverage={"integer": 0, "compute": 0, "kernels": {}}) == []


def test_bench() -> None:
    assert rows("bench", rows=[{"model": "b/model.onnx", **LATENCY}]) == [("b/model.onnx", "0.650", "1.000", "0.650", "0.600 to 0.700")]


def test_inspect() -> None:
    found = tables(Report("inspect", numbers={
        "inputs": [{"name": "x", "dtype": "float32", "shape": [None, "n", 3]}], "outputs": [{"name": "y", "dtype": "int64", "shape": []}],
        "operators": {"Add": 1, "Conv": 1000}, "unit": "layer", "weight_bytes": {"int8": 5}}))
    assert [t.heads for t in found] == [("", "name", "type", "shape"), ("layer", "count>"), ("weights", "bytes>")]
    assert found[0].rows == [("input", "x", "float32", "any x n x 3"), ("output", "y", "int64", "")]
    assert found[1].rows == [("Conv", "1,000"), ("Add", "1")] and found[2].rows == [("int8", "5")]
