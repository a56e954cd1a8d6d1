"""The four steps as one: with a statistics file, with rows for the report, and with a clear no."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from converter.calibrate import store
from converter.errors import ConversionError
from converter.graph import io
from converter.progress import SILENT, Stages
from converter.quantize.road import Quantized, layer_rows, quantize_graph, saturation_numbers, tensor_rows
from converter.spec.recipe import Recipe
from tests.arrays import load
from tests.quantize.graphs import TARGET, Arrays, data, graph, weights

BODY = "[a] c = Conv(x, w, b)\n [r] r = Relu(c)\n [d] y = Conv<group = 4>(r, v, b)"


@pytest.fixture(scope="module")
def model() -> ir.Model:
    w = np.abs(weights(4, 4, 3, 3))
    w[0] += 2  # every pair of this channel breaks the bound
    w[1] = 0.001
    return graph("(float[N,4,8,8] x) => (float[N,4,4,4] y)", BODY, w=w, v=weights(4, 1, 3, 3), b=weights(4))


def run(model: ir.Model, *, order: np.ndarray | None = None, statistics: Path | None = None, recipe: Recipe | None = None) -> Quantized:
    return quantize_graph(model, Arrays(data(model, 20), order), TARGET, recipe or Recipe(), Stages(SILENT), statistics=statistics)


def test_the_report_says_what_was_done(model: ir.Model) -> None:
    report = run(model).report
    assert report.stage == "quantize"
    assert (report.numbers["samples"], report.numbers["layers"]) == (20, 2)
    assert report.done[0] == "2 layers with weights and 0 other operators on integers"
    assert report.done[1].startswith("calibrated on 20 samples; ")


def test_a_sweep_that_goes_on_from_a_file_ends_where_one_sweep_would(model: ir.Model, tmp_path: Path) -> None:
    path = tmp_path / "seen.npz"
    run(model, order=np.arange(13), statistics=path)
    second = run(model, order=np.arange(13, 20), statistics=path)
    assert io.to_bytes(second.graph) == io.to_bytes(run(model).graph)
    assert {s.samples for s in store.load(path).values()} == {20}


def test_the_statistics_file_is_the_same_byte_for_byte(model: ir.Model, tmp_path: Path) -> None:
    paths = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for path in paths:
        run(model, statistics=path)
    assert list(store.load(paths[0])) == list(store.load(paths[1]))
    first, second = (load(path) for path in paths)
    assert all(np.array_equal(first[k], second[k]) for k in first)


def test_layers_say_what_the_bound_cost_them(model: ir.Model) -> None:
    made = run(model)
    rows = layer_rows(model, made, {"a": 40.5})
    assert [(r["path"], r["op_type"], r["snr_db"], r["channels"]) for r in rows] == [("a", "Conv", 40.5, 4), ("d", "Conv", None, 4)]
    assert rows[0]["saturation"] in ("moved", "coarser") and rows[1]["saturation"] == "none"
    assert rows[0]["weight_bits_lost"] > 0 and rows[1]["weight_bits_lost"] == pytest.approx(0, abs=1e-6)
    numbers = saturation_numbers(made.solution)
    assert 0 < numbers["weight_bits_lost"] < 1


def test_tensors_say_what_they_clip(model: ir.Model) -> None:
    made = run(model)
    rows = {row["name"]: row for row in tensor_rows(model, made)}
    assert list(rows) == ["x", "r", "y"] and rows["r"]["path"] == "r" and rows["x"]["path"] == "x"
    for row in rows.values():
        assert row["seen_low"] <= row["seen_high"] and row["low"] <= row["high"] and 0 <= row["clipped"] < 0.05
        assert sum(row["histogram"]["counts"]) == made.seen[row["name"]].counts.sum()
    assert all(row["clipped"] == 0 for row in tensor_rows(model, run(model, recipe=minmax())))


def minmax() -> Recipe:
    from converter.spec.recipe import PRESETS

    return PRESETS["int8-minmax"]


def test_a_model_with_nothing_for_integers_ends_before_any_data_is_read() -> None:
    nothing = graph("(float[N,4] x) => (float[N,4] y)", "y = Softmax(x)")
    with pytest.raises(ConversionError, match="the model has Softmax"):
        quantize_graph(nothing, Arrays({}), TARGET, Recipe(), Stages(SILENT))
