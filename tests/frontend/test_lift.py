"""Opsets beyond what tf2onnx writes: the same numbers, and the IR version that came with them."""

from __future__ import annotations

import pytest
from onnxscript import version_converter

from converter.errors import UsageError
from converter.frontend.lift import ADAPTED, lift
from converter.frontend.lower import OPSETS
from converter.graph import query
from tests.frontend.building import IMAGE, branches, export, layers
from tests.quantize.graphs import graph


@pytest.mark.parametrize(("opset", "ir_version"), [(13, 8), (16, 8), (18, 8), (19, 9), (20, 9), (21, 10), (22, 10), (23, 11)])
def test_every_opset_is_proved_equal(opset: int, ir_version: int) -> None:
    cases = {"conv": [layers.Conv2D(4, 3, padding="same"), layers.BatchNormalization(), layers.ReLU(6.0), layers.GlobalAveragePooling2D(), layers.Dense(3)],
             "pools": [layers.MaxPooling2D(2), layers.AveragePooling2D(2, padding="same")], "up": layers.UpSampling2D(2), "pad": layers.ZeroPadding2D(1),
             "bilinear": layers.Resizing(7, 9), "softmax": layers.Softmax()}
    exported = export(branches(IMAGE, cases), opset=opset)
    assert (query.opset(exported.graph), exported.graph.ir_version) == (opset, ir_version)
    assert exported.report.numbers["parity"]["relative"] < 2e-5


@pytest.mark.parametrize("opset", [12, 24, 0])
def test_an_opset_out_of_range_is_refused(opset: int) -> None:
    with pytest.raises(UsageError, match=f"opset {opset} is not supported for export; supported: 13 to 23"):
        export(branches(IMAGE, {"y": layers.ReLU()}), opset=opset)


def test_a_graph_that_is_there_stays_as_it_is() -> None:
    model = graph("(float[N,4] x) => (float[N,4] y)", "y = Relu(x)")
    lift(model, 18)
    assert (query.opset(model), model.ir_version) == (18, 8)


def test_onnxscript_rewrites_no_operator_that_we_do_not_know_of() -> None:
    from onnxscript.version_converter import _version_converter as theirs

    upwards = {name for domain, name, version, up in theirs.registry.op_adapters if domain == "" and up and 18 <= version < max(OPSETS)}
    assert upwards == ADAPTED


def test_without_such_an_operator_only_the_opset_changes() -> None:
    text = "(float[N,4] x) => (float[N,4] y)", "y = Relu(x) z = Neg(y)"
    ours, theirs = graph(*text), graph(*text)
    lift(ours, 23)
    version_converter.convert_version(theirs, 23)
    assert [n.op_type for n in ours.graph] == [n.op_type for n in theirs.graph] == ["Relu"]
    assert ours.opset_imports == theirs.opset_imports and (query.opset(ours), ours.ir_version) == (23, 11)


def test_an_operator_with_other_settings_later_is_rewritten() -> None:
    model = graph("(float[1,1,4,4] x, float[1,2,2,2] g) => (float[1,1,2,2] y)", 'y = GridSample <mode = "bilinear"> (x, g)')
    lift(model, 23)
    assert query.attributes(model.graph[0])["mode"] == "linear"
