"""What differs between two graphs: nothing planted is missed, and nothing is found where nothing is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.graph import edit, io
from converter.ship import bundle
from converter.transfer.diff import Diff, diff, report
from tests.transfer.graphs import cnn, graph, numbers


def change(model: ir.Model, name: str, array: np.ndarray) -> ir.Model:
    edit.resize(model.graph.initializers[name], array)
    return model


def only(found: Diff) -> dict[str, object]:
    """Fields of the one tensor that differs."""
    (tensor,) = found.tensors
    assert not found.nodes and not any(found.only) and not found.counts
    return tensor.to_json()


def test_a_graph_does_not_differ_from_itself() -> None:
    assert diff(cnn(), cnn()).empty
    assert report(diff(cnn(), cnn()), "a", "b").done == ["no difference: 10 tensors and 6 nodes are the same"]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(["k1", "b1", "wd", "bd"]), st.integers(0, 39), st.floats(allow_nan=True, width=32))
def test_one_changed_number_is_found_and_counted(name: str, place: int, number: float) -> None:
    one, two = cnn(), cnn()
    array = numbers(two, name).copy()
    array.flat[place % array.size] = number
    found = diff(one, change(two, name, array))
    changed = numbers(one, name).tobytes() != array.tobytes()
    assert found.empty == (not changed)
    if changed:
        assert only(found)["name"] == name and only(found)["differ"] in (0, 1)


def test_closeness_is_that_of_the_formula() -> None:
    one, two = cnn(), cnn()
    signal = numbers(one, "wd").astype(np.float64)
    found = only(diff(one, change(two, "wd", (signal * 1.1).astype(np.float32))))
    assert found["snr_db"] == pytest.approx(20, abs=1e-4) and found["differ"] == signal.size
    assert found["largest"] == pytest.approx(np.abs(signal).max() * 0.1, rel=1e-4)


def test_nan_equals_nan_and_is_not_silent_where_only_one_has_it() -> None:
    one, two = cnn(), cnn()
    array = numbers(one, "bd").copy()
    array[3] = np.nan
    change(one, "bd", array)
    assert diff(one, change(cnn(), "bd", array.copy())).empty
    found = only(diff(one, two))
    assert found["differ"] == 1 and found["snr_db"] == np.inf  # nothing else differs
    both = array.copy()
    both[4] += 1
    found = only(diff(one, change(two, "bd", both)))
    assert found["differ"] == 1 and found["largest"] == pytest.approx(1)


def test_another_shape_and_type_are_told() -> None:
    one, two = cnn(), change(cnn(), "bd", np.zeros((1, 10), np.float16))
    found = only(diff(one, two))
    assert found["what"] == ("dtype float and float16", "shape [10] and [1, 10]") and found["differ"] is None


def test_a_tensor_under_another_name_is_renamed_and_its_reader_is_the_same() -> None:
    two = cnn()
    edit.rename(two, two.graph.initializers["k2"], "other")
    found = diff(cnn(), two)
    assert found.renamed == {"k2": "other"} and not found.tensors and not found.nodes and not any(found.only) and not found.empty


def test_equal_tensors_are_paired_in_order() -> None:
    text = "g (float[N, 4] x, float a, float b) => (float[N, 4] z) { y = Mul(x, a)  z = Add(y, b) }"
    one, two = graph(text, a=(4,), b=(4,)), graph(text, a=(4,), b=(4,))
    for model in (one, two):
        for name in "ab":
            change(model, name, np.ones(4, np.float32))
    for name in "ab":
        edit.rename(two, two.graph.initializers[name], f"{name}2")
    assert diff(one, two).renamed == {"a": "a2", "b": "b2"} and not diff(one, two).nodes


def test_attributes_operators_inputs_and_ends() -> None:
    two = cnn()
    nodes = {node.name: node for node in two.graph}
    edit.set_attributes(nodes["c/Conv"], pads=[0, 2, 2, 0])
    edit.change_operator(nodes["r/Relu"], "Sigmoid", list(nodes["r/Relu"].inputs))
    edit.set_inputs(nodes["y/Gemm"], [nodes["y/Gemm"].inputs[0], nodes["y/Gemm"].inputs[1]])
    two.graph.opset_imports[""] = 18
    two.graph.inputs[0].name = "image"
    found = diff(cnn(), two)
    assert {d.name: d.what for d in found.nodes} == {
        "c/Conv": ("attribute pads [1, 1, 1, 1] and [0, 2, 2, 0]",), "r/Relu": ("operator Relu and Sigmoid",), "y/Gemm": ("input 2 bd and none",)}
    assert found.counts == {"Relu": (1, 0), "Sigmoid": (0, 1)}
    assert found.ends == ("opset: 17 and 18", "input 0: x float32 [?, 8, 16, 16] and image float32 [?, 8, 16, 16]")


def test_nodes_without_names_and_with_others_are_paired_by_what_they_read() -> None:
    one, two = cnn(), cnn()
    for index, node in enumerate(two.graph):
        node.name = f"n{index}"
        if not node.outputs[0].is_graph_output():
            node.outputs[0].name = f"v{index}"
    assert not diff(one, two).nodes
    for node in two.graph:
        node.name = ""
    assert not diff(one, two).nodes
    edit.bypass(list(two.graph)[2], list(two.graph)[2].inputs[0])
    found = diff(one, two)
    assert [d.name for d in found.nodes if not d.other] and found.counts == {"Relu": (1, 0)}


def test_weights_in_constant_nodes_text_and_branches_are_compared() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float[N] x, bool c) => (float[N] z, string[2] t) {
        t = Constant <value = string[2] {"a", "%s"}> ()
        k = Constant <value = float[1] {%s}> ()
        z = If (c) <then_branch = t () => (u) { u = Mul (x, k) }, else_branch = e () => (u) { w = Constant <value_float = %s> ()  u = Add (x, w) }>
    }"""
    base = io.from_text(text % ("b", 1.0, 2.0))
    assert diff(base, io.from_text(text % ("b", 1.0, 2.0))).empty
    for changed, name in ((("q", 1.0, 2.0), "t"), (("b", 1.5, 2.0), "k"), (("b", 1.0, 2.5), "w")):
        assert only(diff(base, io.from_text(text % changed)))["name"] == name


def test_float_and_integer_twins_are_compared_by_what_they_compute_with(shipped: Path) -> None:
    made = bundle.read(shipped)
    one, two = io.load(made.float_model), io.load(made.model)
    found = diff(one, two)
    assert {d.name for d in found.tensors} == {"w1", "b1", "w2", "b2"}
    assert all(d.what[-1] == "float and codes" and 25 < (d.snr_db or 0) < 60 for d in found.tensors)
    assert not [d for d in found.nodes if d.name] and {d.op_types[1] for d in found.nodes} == {"QuantizeLinear", "DequantizeLinear"}
    assert not found.only[0] and {name.split()[0] for name in found.only[1]} == {"x/scale", "x/zero_point", "r/scale", "r/zero_point"}
    back = diff(two, one)
    assert {d.name: d.what[-1] for d in back.tensors} == dict.fromkeys(("w1", "b1", "w2", "b2"), "codes and float")


def test_codes_scales_and_zero_points_of_integer_graphs(shipped: Path) -> None:
    file = bundle.read(shipped).model
    two = io.load(file)
    codes, scale = numbers(two, "w1/quantized").copy(), numbers(two, "w2/scale")
    codes[5, 7] ^= 3
    by = int(codes[5, 7]) - int(numbers(io.load(file), "w1/quantized")[5, 7])
    factors = np.linspace(0.5, 2, scale.size, dtype=np.float32)
    change(two, "w1/quantized", codes)
    change(two, "w2/scale", scale * factors)
    change(two, "x/scale", numbers(two, "x/scale") * np.float32(2))
    change(two, "x/zero_point", numbers(two, "x/zero_point") - np.uint8(5))
    found = {d.name: d for d in diff(io.load(file), two).tensors}
    assert set(found) == {"w1", "w2", "x/scale", "x/zero_point"}
    assert found["w1"].differ == 1 and found["w1"].step == abs(by) and found["w1"].scale is None and found["w1"].snr_db is not None
    assert found["w2"].what == ("scale",) and found["w2"].scale == pytest.approx((0.5, 2)) and found["w2"].differ is None
    assert found["x/scale"].scale == pytest.approx((2, 2)) and found["x/zero_point"].zero == 5


def test_codes_under_names_of_another_quantizer_meet_the_float_weight_at_the_same_node(shipped: Path) -> None:
    made = bundle.read(shipped)
    two = io.load(made.model)
    edit.rename(two, two.graph.initializers["w1/quantized"], "MatMul_17_q")
    found = diff(io.load(made.float_model), two)
    assert found.renamed == {"w1": "MatMul_17_q"} and {d.other for d in found.tensors} == {"MatMul_17_q", "w2", "b1", "b2"}


def test_the_report_is_json_and_has_every_row(shipped: Path) -> None:
    made = bundle.read(shipped)
    told = report(diff(io.load(made.float_model), io.load(made.model)), "float", "model").to_dict()["numbers"]
    assert len(told["tensors"]) == 4 and len(told["nodes"]) == 8 and told["operators"]["QuantizeLinear"] == [0, 2] and told["empty"] is False
