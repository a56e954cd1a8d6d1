"""A float ONNX file from anywhere: cleaned, proved against itself, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from converter.errors import ConversionError, InputError, ParityError
from converter.frontend import onnx_source
from converter.frontend.onnx_source import open_onnx
from converter.graph import io
from converter.progress import SILENT, Stages
from tests.verify.models import cnn, quantized


def test_a_float_file_comes_out_clean_and_names_its_own_initializers(tmp_path: Path) -> None:
    io.save(cnn(), tmp_path / "m.onnx")
    exported = open_onnx(tmp_path / "m.onnx", Stages(SILENT))
    assert exported.runner is None
    assert {"kernel", "bias", "dense", "offset"} <= set(exported.graph.graph.initializers)
    assert exported.report.numbers["opset"] == 18


def test_an_integer_file_is_refused(tmp_path: Path) -> None:
    io.save(quantized(cnn()).graph, tmp_path / "m.onnx")
    with pytest.raises(ConversionError, match=r"quantized already .* a float model is needed"):
        open_onnx(tmp_path / "m.onnx", Stages(SILENT))


def test_an_old_opset_is_refused(tmp_path: Path) -> None:
    model = cnn()
    model.graph.opset_imports[""] = 12
    io.save(model, tmp_path / "m.onnx")
    with pytest.raises(ConversionError, match="opset 12; integer graphs need 13"):
        open_onnx(tmp_path / "m.onnx", Stages(SILENT))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.onnx"):
        open_onnx(tmp_path / "absent.onnx", Stages(SILENT))


def test_a_pass_that_changes_the_result_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    io.save(cnn(), tmp_path / "m.onnx")

    def wrong(graph, steps):  # type: ignore[no-untyped-def]
        node = next(n for n in graph.graph if n.op_type == "Relu")
        node.op_type = "Neg"
        return {}

    monkeypatch.setattr(onnx_source.base, "run", wrong)
    with pytest.raises(ParityError, match="would change what it computes"):
        open_onnx(tmp_path / "m.onnx", Stages(SILENT))
