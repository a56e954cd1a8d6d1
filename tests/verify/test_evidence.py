from __future__ import annotations

import json

import numpy as np
import onnx_ir as ir
import pytest

from converter.data import open_source
from converter.errors import InputError, UsageError
from converter.graph import io, query
from converter.spec.report import Skip, Why, plain
from converter.verify import evidence as ev
from converter.verify.coverage import coverage
from converter.verify.judging import judge
from converter.verify.latency import race
from converter.verify.layers import layer_errors
from converter.verify.machine import machine, saturates, versions
from converter.verify.session import Session
from tests.verify.models import cnn, images, quantized


def labels(model: ir.Model, x: np.ndarray) -> np.ndarray:
    return Session(model).run({"image": x})["scores"].argmax(-1)


def broken(model: ir.Model, factor: float) -> ir.Model:
    """A copy whose last weight is multiplied by ``factor``."""
    copy = io.from_bytes(io.to_bytes(model))
    value = copy.graph.initializers["dense"]
    value.const_value = ir.tensor(value.const_value.numpy() * np.float32(factor), name="dense")  # type: ignore[union-attr]
    return copy


def source(model: ir.Model, count: int = 40, with_labels: bool = False):  # type: ignore[no-untyped-def]
    x = images(count, seed=5)
    return open_source((x, labels(model, x)) if with_labels else x, query.signature(model)[0])


def test_a_right_integer_graph_is_close_and_has_no_problems() -> None:
    model = cnn()
    found = ev.gather(Session(model), quantized(model).graph, source(model, with_labels=True), metric="top1")
    assert found.problems == []
    assert found.findings == []
    assert found.fused.first.snr_db > 25
    assert abs(found.gap_db) < 0.5
    assert found.accuracy is not None
    assert found.accuracy.float_score == 100
    assert found.accuracy.samples == 40
    assert json.dumps(plain(found.to_json()))


@pytest.mark.parametrize("factor", [0.0, -1.0, np.nan])
def test_a_wrong_candidate_is_a_problem(factor: float) -> None:
    model = cnn()
    assert ev.gather(Session(model), broken(model, factor), source(model)).problems


def test_a_doubled_candidate_is_far_away() -> None:
    model = cnn()
    assert ev.gather(Session(model), broken(model, 2.0), source(model)).fused.first.snr_db < 10


def test_a_gap_between_fused_and_unfused_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    model = cnn()
    original = Session

    def swapped(candidate, *, optimise: bool = True, **more):  # type: ignore[no-untyped-def]
        return original(broken(model, 1.05) if optimise else candidate, optimise=optimise, **more)

    monkeypatch.setattr(ev, "Session", swapped)
    found = ev.gather(original(model), quantized(model).graph, source(model))
    assert found.gap_db > 0.5
    assert "dB from the unfused one" in found.findings[0]


def test_judge_counts_every_sample_once_and_reports_progress() -> None:
    model, steps = cnn(), list[int]()
    judged = judge(Session(model), {"same": Session(model)}, source(model, 70), progress=steps.append)["same"]
    assert judged.first.samples == sum(steps) == 70
    assert judged.first.snr_db == 200


def test_a_metric_without_labels_and_an_unknown_metric_are_refused() -> None:
    model = cnn()
    with pytest.raises(InputError, match="no labels"):
        judge(Session(model), {"c": Session(model)}, source(model), metric="top1")
    with pytest.raises(UsageError, match=r"unknown metric 'top7'; known: .*top1"):
        judge(Session(model), {"c": Session(model)}, source(model), metric="top7")


def test_inputs_and_outputs_are_matched_by_position_where_names_differ() -> None:
    model = cnn()
    other = io.from_bytes(io.to_bytes(model).replace(b"scores", b"logits").replace(b"image", b"photo"))
    judged = judge(Session(model), {"renamed": Session(other)}, source(model))["renamed"]
    assert judged.first.snr_db == 200


def test_race_pairs_the_two_and_gives_quartiles_in_order() -> None:
    model = cnn()
    found = race(Session(model, threads=1), Session(model, threads=1), {"image": images(1)}, threads=1, seconds=0.05)
    assert found.q1 <= found.ratio <= found.q3
    assert found.batch == 1
    assert found.pairs >= 5
    assert found.float_ms > 0 < found.integer_ms


def test_coverage_counts_integer_kernels_and_names_what_is_float() -> None:
    model = cnn()
    integer = quantized(model)
    found = coverage(integer.graph, integer.plan.layers)
    assert (found.integer, found.compute) == (2, 2)
    assert found.float_nodes == ()
    plain_float = coverage(model, integer.plan.layers, (Skip("net/x", Why.BY_RECIPE, "Conv"),))
    assert (plain_float.integer, plain_float.compute) == (0, 2)
    assert {(s.path, s.why) for s in plain_float.float_nodes} >= {("net/x", Why.BY_RECIPE), ("net/dense", Why.NOT_FUSED)}


def test_layer_errors_find_the_layer_that_is_wrong() -> None:
    model = cnn()
    integer = quantized(model)
    batch = ev.head(source(model), 8)
    right = layer_errors(model, integer.graph, integer.plan.layers, batch)
    assert set(right) == {"net/Conv", "net/Gemm"}
    assert min(right.values()) > 20
    codes = integer.graph.graph.initializers["dense/quantized"]
    codes.const_value = ir.tensor(-codes.const_value.numpy(), name="dense/quantized")  # type: ignore[union-attr]
    wrong = layer_errors(model, integer.graph, integer.plan.layers, batch)
    assert wrong["net/Conv"] == right["net/Conv"]
    assert wrong["net/Gemm"] < 0


def test_sizes_are_those_of_the_files(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model = cnn()
    io.save(model, tmp_path / "a.onnx")
    assert ev.sizes(tmp_path / "a.onnx", model) == {"float": (tmp_path / "a.onnx").stat().st_size, "integer": len(io.to_bytes(model)), "ratio": 1.0}


def test_machine_and_versions_say_what_decides_the_kernels() -> None:
    found = machine()
    assert found["cpus"] >= 1
    assert found["processor"]
    assert {"python", "onnxruntime", "numpy"} <= set(versions())
    assert saturates(["avx", "avx2"])
    assert not saturates(["avx2", "avx512_vnni"])
    assert not saturates(["asimd"])
