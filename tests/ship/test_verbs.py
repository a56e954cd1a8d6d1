"""The smaller verbs, below the command line: open anything, look inside, time, compare, write a report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from converter.errors import InputError, UsageError
from converter.graph import io
from converter.progress import SILENT, Stages
from converter.ship.benching import bench_models
from converter.ship.inspecting import inspect_model
from converter.ship.opening import open_any
from converter.ship.report_files import check, write
from converter.ship.verifying import verify_models
from converter.spec.report import Report, Verdict
from tests.ship import tiny


@pytest.fixture
def file(tmp_path: Path) -> Path:
    io.save(tiny.mlp(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def test_open_any_says_what_it_opened(file: Path) -> None:
    opened = open_any(file)
    assert (opened.kind, opened.name, opened.path, opened.entries) == ("onnx", "model.onnx", file, {})
    assert opened.runner.run({"x": tiny.samples(2)})["y"].shape == (2, tiny.CLASSES)


def test_open_any_refuses_what_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot open a dict as a model; known: .*\.onnx"):
        open_any({})
    with pytest.raises(InputError, match="not a bundle"):
        open_any(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        open_any(tmp_path / "absent.onnx")


def test_inspect_counts_operators_and_parameters(file: Path) -> None:
    numbers = inspect_model(file, unsafe=False).numbers
    assert numbers["operators"] == {"Gemm": 2, "Relu": 1}
    assert numbers["parameters"] == tiny.FEATURES * tiny.HIDDEN + tiny.HIDDEN + tiny.HIDDEN * tiny.CLASSES + tiny.CLASSES


def test_bench_gives_a_row_for_every_model_but_the_first(file: Path) -> None:
    report = bench_models([file, file, file], data=None, threads=1, seconds=0.05)
    assert len(report.numbers["rows"]) == 2
    assert all(row["q1"] <= row["ratio"] <= row["q3"] for row in report.numbers["rows"])


@pytest.mark.parametrize(("models", "threads", "seconds", "says"), [([], 1, 1.0, "no model"), (["m"], 0, 1.0, "received 0"), (["m"], 1, 0.0, "0.0")])
def test_bench_refuses_what_cannot_be_timed(file: Path, models: list[str], threads: int, seconds: float, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        bench_models([file for _ in models], data=None, threads=threads, seconds=seconds)


def test_verify_finds_the_same_model_equal_and_a_negated_one_wrong(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.cut_short(monkeypatch)
    same = verify_models(file, file, tiny.samples(40), metric=None, max_drop=None, unsafe=False, stages=Stages(SILENT))
    assert same.verdict is Verdict.YES
    assert same.numbers["fidelity"]["fused"]["snr_db"] > 100
    other = tiny.mlp()
    value = other.graph.initializers["w2"]
    value.const_value = type(value.const_value)(-value.const_value.numpy(), name="w2")  # type: ignore[union-attr, call-arg]
    io.save(other, tmp_path / "negated.onnx")
    wrong = verify_models(file, tmp_path / "negated.onnx", tiny.samples(40), metric=None, max_drop=None, unsafe=False, stages=Stages(SILENT))
    assert wrong.verdict is Verdict.NO
    assert "does not follow the reference" in wrong.reasons[0]


def test_a_report_becomes_two_files(tmp_path: Path) -> None:
    report = Report("ship", numbers={"x": np.float32(1.5)}, verdict=Verdict.NO, reasons=["too large a drop"])
    page = write(report, tmp_path / "out.report")
    assert sorted(p.name for p in page.parent.iterdir()) == ["report.html", "report.json"]
    assert json.loads((page.parent / "report.json").read_text())["numbers"] == {"x": 1.5}
    assert "too large a drop" in page.read_text()


def test_a_report_does_not_go_where_a_file_is(tmp_path: Path) -> None:
    check(None)
    check(tmp_path / "new")
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match="taken is a file"):
        check(tmp_path / "taken")
