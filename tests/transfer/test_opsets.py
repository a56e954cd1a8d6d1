"""The older of two graphs is lifted, or refused with the operator that cannot be."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from converter.errors import ConversionError
from converter.graph import io, query
from converter.transfer import opsets
from converter.transfer.graft import graft
from tests.transfer.grafting import as_layer, backbone, head, numbers, sequence

OLD = """
<ir_version: 6, opset_import: ["" : 11]>
g (float[N, 6, 1] f) => (float[N, 6] y) {
    [a] s = Squeeze<axes = [2]>(f)
    [b] t = ReduceSum<axes = [1], keepdims = 1>(s)
    [c] y = Mul(s, t)
}
"""
SIX = """
<ir_version: 6, opset_import: ["" : 11]>
g (float[N, 6] f) => (float[N, 6] y) {
    [a] t = ReduceSum<axes = [1], keepdims = 1>(f)
    [b] y = Mul(f, t)
}
"""


def custom(version: int, domain: str = "com.example", op: str = "Odd") -> ir.Model:
    return io.from_text(f'<ir_version: 8, opset_import: ["" : 18, "{domain}" : {version}]>\n'
                        f"g (float[N, 4] x) => (float[N, 4] y) {{\n  a = {domain}.{op}(x)\n  y = Relu(a)\n}}")


def test_operators_that_changed_are_rewritten_and_keep_name_and_layer() -> None:
    model = as_layer(io.from_text(OLD), "part", "a", "b")
    model.graph.metadata_props["note"] = "kept"
    x = np.random.default_rng(0).normal(size=(2, 6, 1)).astype(np.float32)
    wanted = numbers(model, f=x)["y"]
    assert opsets.align(model, backbone(opset=21), ("donor", "recipient")) == ["the donor lifted from opset 11 to 21"]
    assert query.opset(model) == 21 and len(next(n for n in model.graph if n.op_type == "Squeeze").inputs) == 2
    assert [n.name for n in model.graph if n.name] == ["a", "b", "c"]
    assert [query.layer_path(n) for n in model.graph if n.name in ("a", "b")] == ["part", "part"] and model.graph.metadata_props["note"] == "kept"
    np.testing.assert_array_equal(numbers(model, f=x)["y"], wanted)


@pytest.mark.parametrize(("first", "second"), [(23, 13), (13, 23), (18, 21), (18, 18)])
def test_whichever_is_older_is_lifted(first: int, second: int) -> None:
    made = graft(head(opset=second), backbone(opset=first), "features")
    assert query.opset(made.model) == max(first, second) and made.lifted is (first != second)
    np.testing.assert_allclose(numbers(made.model)["y"], sequence(backbone(), head(), "features", "f")["y"], atol=1e-6)


def test_an_old_head_goes_on_a_new_backbone() -> None:
    recipient, donor = backbone(opset=23), io.from_text(SIX)
    made = graft(donor, recipient, "features")
    assert "the donor lifted from opset 11 to 23" in made.report.done and made.model.ir_version >= 8
    np.testing.assert_allclose(numbers(made.model)["y"], numbers(donor, f=numbers(recipient)["features"])["y"], rtol=1e-5)
    assert query.opset(donor) == 11, "the donor stays as it is"


def test_what_no_converter_knows_is_refused_with_its_name() -> None:
    text = SIX.replace(": 11", ": 9").replace("[a] t = ReduceSum<axes = [1], keepdims = 1>(f)", "[a] t = Scan<num_scan_inputs = 1, body = "
                                             "b (float[6] i) => (float[6] o) { o = Relu(i) }>(f)").replace(": 9", ": 8")
    with pytest.raises(ConversionError, match=r"the donor \(opset 8\) cannot be lifted to opset 23, .* has: operator Scan: .*Unsupported conversion"):
        opsets.align(io.from_text(text), backbone(opset=23), ("donor", "recipient"))


def test_domains_of_their_own_must_agree_where_both_use_them() -> None:
    opsets.align(custom(1), custom(1), ("donor", "recipient"))
    with pytest.raises(ConversionError, match=r"operators of 'com.example' have version 1 in the donor \(Odd\) and 2 in the recipient \(Odd\)"):
        opsets.align(custom(1), custom(2), ("donor", "recipient"))
    opsets.align(custom(1), custom(2, "com.other"), ("donor", "recipient"))


def test_a_graph_without_standard_operators_takes_the_version_of_the_other() -> None:
    alone = io.from_text('<ir_version: 8, opset_import: ["" : 9, "com.example" : 1]>\n'
                         "g (float[N, 4] x) => (float[N, 4] y) {\n  y = com.example.Odd(x)\n}")
    assert opsets.align(alone, backbone(opset=18), ("donor", "recipient")) == []
    assert query.opset(alone) == 18
