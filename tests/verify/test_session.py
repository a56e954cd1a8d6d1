from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from converter.errors import ConversionError, InputError
from converter.graph import io
from converter.verify import session
from converter.verify.session import Session, exposed, operators, optimised
from tests.verify.models import cnn, images, quantized


def test_runs_a_graph_a_file_and_an_unoptimised_graph_alike(tmp_path: Path) -> None:
    model, x = cnn(), images(3)
    io.save(model, tmp_path / "m.onnx")
    results = [s.run({"image": x})["scores"] for s in (Session(model), Session(tmp_path / "m.onnx"), Session(model, optimise=False, lean=True))]
    assert results[0].shape == (3, 5)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_allclose(results[0], results[2], atol=1e-5)


def test_a_model_over_the_file_bound_is_mapped_from_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = cnn(), images(2)
    expected = Session(model).run({"image": x})["scores"]
    monkeypatch.setattr(session, "FILE_ABOVE", 0)
    np.testing.assert_array_equal(Session(model).run({"image": x})["scores"], expected)


def test_says_what_it_takes() -> None:
    opened = Session(cnn())
    assert [(i.name, i.shape, i.dtype) for i in opened.inputs] == [("image", ("batch", 3, 8, 8), "float32")]
    assert [(o.name, o.dtype) for o in opened.outputs] == [("scores", "float32")]


@pytest.mark.parametrize("feed", [np.zeros((1, 4, 8, 8), np.float32), np.zeros((1, 3, 8, 8), np.float64), np.zeros((8,), np.float32)])
def test_a_feed_that_does_not_fit_names_both_sides(feed: np.ndarray) -> None:
    with pytest.raises(InputError, match=r"Received image .*; the model takes image float32 \[\?, 3, 8, 8\]"):
        Session(cnn()).run({"image": feed})


def test_a_graph_that_cannot_be_loaded_is_a_conversion_error_and_a_file_an_input_error(tmp_path: Path) -> None:
    model = cnn()
    next(iter(model.graph)).op_type = "Konv"
    with pytest.raises(ConversionError, match="cannot load the graph"):
        Session(model)
    (tmp_path / "m.onnx").write_bytes(io.to_bytes(model))
    with pytest.raises(InputError, match=r"cannot load .*m\.onnx"):
        Session(tmp_path / "m.onnx")


def test_exposed_gives_inner_values_and_shares_the_weights() -> None:
    model, x = cnn(), images(2)
    inner = exposed(model, ["active", "scores"])
    out = Session(inner).run({"image": x})
    assert out["active"].shape == (2, 8, 8, 8)
    assert out["active"].min() == 0
    assert [o.name for o in model.graph.outputs] == ["scores"]
    assert inner.graph.initializers["kernel"].const_value is model.graph.initializers["kernel"].const_value


def test_the_optimised_graph_shows_the_integer_kernels() -> None:
    counts = operators(optimised(quantized(cnn()).graph))
    assert counts["QLinearConv"] == 1
    assert counts["QGemm"] == 1
    assert counts["Conv"] == counts["Gemm"] == counts["Relu"] == 0


def test_operators_counts_inside_subgraphs() -> None:
    model = io.from_text("""
    <ir_version: 10, opset_import: ["" : 18]>
    g (bool c, float[2] x) => (float[2] y) {
        y = If (c) <then_branch = a () => (float[2] p) { p = Neg (x) }, else_branch = b () => (float[2] q) { q = Abs (x) }>
    }""")
    assert operators(model) == {"If": 1, "Neg": 1, "Abs": 1}
    assert isinstance(model, ir.Model)
