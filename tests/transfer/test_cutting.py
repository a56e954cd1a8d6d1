"""A graph in two parts: what goes into each, what a seam must cut, which ends stay."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from converter.errors import InputError, UsageError
from converter.transfer import cutting
from tests.quantize.graphs import graph
from tests.transfer.grafting import names, numbers

ENDS = "(float[N, 4] x, float[N, 4] m, float[N, 4] u) => (float[N, 4] y, float[N, 4] tap, float[N, 4] side)"
BODY = """
    a = Relu(x)
    tap = Sigmoid(a)
    k = Exp(m)
    t = Neg(tap)
    y = Add(t, k)
    side = Exp(u)
"""
SKIP = graph("(float[N, 4] x) => (float[N, 4] y)", "a = Relu(x)\nb = Sigmoid(a)\ns = Neg(a)\nc = Exp(b)\ny = Add(c, s)")


def cut(whose: str, at: str | None = "tap") -> tuple[cutting.Part, cutting.Part]:
    model = graph(ENDS, BODY)
    return cutting.backbone(cutting.copied(model, whose), at, whose), cutting.head(cutting.copied(model, whose), at, whose)


def test_the_backbone_of_the_recipient_keeps_what_does_not_hang_on_the_rest() -> None:
    backbone, _ = cut("recipient")
    assert names(backbone.model) == (["x", "u"], ["tap", "side"])
    assert (backbone.kept, backbone.lost, backbone.lost_inputs, backbone.seam) == (("tap", "side"), ("y",), ("m",), "tap")


def test_the_seam_of_a_donor_is_no_output() -> None:
    backbone, head = cut("donor")
    assert names(backbone.model) == (["x", "u"], ["side", "tap"]) and backbone.kept == ("side",)
    assert names(head.model) == (["tap", "m"], ["y"]) and head.lost == ("tap", "side")


def test_the_head_of_the_recipient_gives_the_seam_where_that_was_an_output() -> None:
    _, head = cut("recipient")
    assert names(head.model) == (["tap/seam", "m"], ["y", "tap"]) and head.lost == ("side",) and head.lost_inputs == ("x", "u")
    x = np.ones((3, 4), np.float32)
    np.testing.assert_array_equal(numbers(head.model, **{"tap/seam": x})["tap"], x)


def test_both_parts_compute_what_the_whole_does() -> None:
    backbone, head = cut("donor")
    x = np.random.default_rng(3).normal(size=(3, 3, 4)).astype(np.float32)  # x, m, u in the order of the inputs
    first = numbers(backbone.model, x=x[0], u=x[2])
    whole = numbers(graph(ENDS, BODY), x=x[0], m=x[1], u=x[2])
    np.testing.assert_array_equal(numbers(head.model, tap=first["tap"], m=x[1])["y"], whole["y"])
    np.testing.assert_array_equal(first["side"], whole["side"])


def test_what_goes_around_the_seam_is_named() -> None:
    with pytest.raises(UsageError, match="'b' does not cut the donor in two: s goes around it"):
        cutting.head(cutting.copied(SKIP, "donor"), "b", "donor")
    assert names(cutting.head(cutting.copied(SKIP, "donor"), "a", "donor").model) == (["a"], ["y"])


def test_an_input_that_both_sides_read_goes_around_the_seam_too() -> None:
    model = graph("(float[N, 4] x) => (float[N, 4] y)", "a = Relu(x)\ny = Add(a, x)")
    with pytest.raises(UsageError, match="x goes around it"):
        cutting.head(cutting.copied(model, "donor"), "a", "donor")


@pytest.mark.parametrize(("at", "says"), [("x", "'x' is the input 'x' of the donor: nothing of it would be left as a backbone"),
                                          (None, r"the donor has 3 outputs, so --donor-at must say which tensor is the seam; outputs: side, tap, y")])
def test_a_backbone_needs_something_in_front_of_the_seam(at: str | None, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        cutting.backbone(cutting.copied(graph(ENDS, BODY), "donor"), at, "donor")


@pytest.mark.parametrize(("at", "says"), [("y", r"nothing of the recipient stands behind 'y': none of its outputs \(side, tap, y\)"),
                                          (None, "the recipient has 3 inputs, so --at must say which tensor is the seam; inputs: m, u, x")])
def test_a_head_needs_something_behind_the_seam(at: str | None, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        cutting.head(cutting.copied(graph(ENDS, BODY), "recipient"), at, "recipient")


def test_an_output_that_is_also_a_dead_end_is_the_seam_and_no_output_any_more() -> None:
    model = graph("(float[N, 4] x) => (float[N, 4] y)", "a = Relu(x)\ny = Exp(a)")
    part = cutting.backbone(cutting.copied(model, "recipient"), "y", "recipient")
    assert part.whole is False and part.kept == () and part.lost == ("y",) and names(part.model)[1] == ["y"]


def test_codes_that_leave_the_graph_are_read_back() -> None:
    model = graph("(float[N, 4] x) => (uint8[N, 4] c)", "r = Relu(x)\nc = QuantizeLinear(r, s, z)", s=np.float32(0.1), z=np.uint8(3))
    part = cutting.backbone(cutting.copied(model, "recipient"), None, "recipient")
    assert [n.op_type for n in part.model.graph] == ["Relu", "QuantizeLinear", "DequantizeLinear"]
    out = numbers(part.model)[part.seam]
    assert out.dtype == np.float32 and np.allclose(out / np.float32(0.1), np.round(out / np.float32(0.1)), atol=1e-4)


def test_a_graph_that_runs_in_a_circle_is_refused() -> None:
    model = graph("(float[N, 4] x) => (float[N, 4] y)", "a = Relu(x)\nb = Add(a, x)\ny = Exp(b)")
    add = list(model.graph)[1]
    next(iter(model.graph)).replace_input_with(0, add.outputs[0])
    with pytest.raises(InputError, match="the graph of the donor runs in a circle"):
        cutting.copied(model, "donor")


def test_a_constant_that_is_computed_stays_with_the_head_and_an_optional_input_stays_optional() -> None:
    model = graph("(float[N, 4] x) => (float[N, 4] y)", "a = Relu(x)\nk = Neg(w)\nj = Mul(k, o)\ny = Add(a, j)", w=np.ones(4, np.float32),
                  o=np.ones(4, np.float32))
    model.graph.inputs.append(model.graph.initializers["o"])
    part = cutting.head(cutting.copied(model, "donor"), "a", "donor")
    assert [n.op_type for n in part.model.graph] == ["Neg", "Mul", "Add"] and names(part.model)[0] == ["a", "o"]
    assert isinstance(part.model.graph.initializers["o"].const_value, ir.TensorProtocol)
