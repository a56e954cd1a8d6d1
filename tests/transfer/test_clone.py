"""Fresh weights of a graph: the spread that the formulas say, seeds, what is left, other classes, other sizes, refusals by name."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from converter.errors import ConversionError, UsageError
from converter.graph import edit, io, query
from converter.graph.ledger import Ledger
from converter.spec.report import Report
from converter.spec.sizes import Size
from converter.transfer import liveliness
from converter.transfer.clone import clone
from converter.transfer.diff import diff
from converter.verify.session import Session
from tests.transfer.graphs import cnn, graph, numbers


def fresh(model: ir.Model, **options: Any) -> ir.Model:
    return clone(model, **options)[0]


def left(report: Report) -> dict[str, str]:
    return {row["name"]: row["why"] for row in report.numbers["left"]}


# --- the numbers


SPREADS = [
    ("y = Conv <group = 4, kernel_shape = [3, 3]> (x, w)  z = Relu (y)", (64, 16, 3, 3), 2 / (16 * 9)),
    ("y = Conv <kernel_shape = [3, 3]> (x, w)  z = Identity (y)", (48, 64, 3, 3), 2 / (64 * 9 + 48 * 9)),
    ("y = Conv <group = 4, kernel_shape = [3, 3]> (x, w)  z = Sigmoid (y)", (64, 16, 3, 3), 2 / (16 * 9 + 16 * 9)),
    ("y = ConvTranspose <kernel_shape = [4, 4], strides = [2, 2]> (x, w)  z = Relu (y)", (64, 32, 4, 4), 2 / (64 * 4)),
    ("y = ConvTranspose <kernel_shape = [4, 4], strides = [2, 2], group = 2> (x, w)  z = Relu (y)", (64, 32, 4, 4), 2 / (32 * 4)),
    ("f = Flatten (x) y = Gemm <transB = 1> (f, w)  z = Relu (y)", (128, 64 * 64), 2 / (64 * 64)),
    ("f = Flatten (x) y = Gemm (f, w)  z = Tanh (y)", (64 * 64, 32), 2 / (64 * 64 + 32)),
    ("y = MatMul (x, w)  s = Sigmoid (y)  z = Mul (y, s)", (8, 512), 2 / 8),
    ("t = Transpose <perm = [1, 0]> (w)  y = MatMul (x, t)  z = Identity (y)", (512, 8), 2 / 520),
    ("y = Einsum <equation = \"nchw,whk->nchk\"> (x, w)  z = Identity (y)", (8, 8, 256), 2 / (8 + 256)),
    ("i = Cast <to = 7> (x)  z = Gather (w, i)", (500, 32), 0.05 ** 2 / 3),
]


@pytest.mark.parametrize(("body", "shape", "variance"), SPREADS)
def test_the_spread_is_that_of_the_formula(body: str, shape: tuple[int, ...], variance: float) -> None:
    made, report = clone(graph(f"g (float[N, 64, 8, 8] x, float w) => (float z) {{ {body} }}", w=shape))
    drawn = numbers(made, "w").astype(np.float64)
    assert drawn.shape == shape and abs(drawn.mean()) < 5 * math.sqrt(variance / drawn.size)
    assert drawn.var() == pytest.approx(variance, rel=0.06)  # 8192 numbers and more: 5 standard errors of a normal variance
    row = report.numbers["tensors"][0]
    assert row["expected_std"] == pytest.approx(math.sqrt(variance)) and row["std"] == pytest.approx(drawn.std(), rel=1e-3)


def test_uniform_and_normal_kernels_have_their_tails() -> None:
    body = "g (float[N, 64] x, float w) => (float z) {{ y = MatMul (x, w)  z = {} (y) }}"
    bound = math.sqrt(6 / (64 + 512))
    assert np.abs(numbers(fresh(graph(body.format("Tanh"), w=(64, 512))), "w")).max() <= np.float32(bound)
    assert np.abs(numbers(fresh(graph(body.format("Relu"), w=(64, 512))), "w")).max() > 3 * math.sqrt(2 / 64)


def test_biases_and_normalizations_are_neutral() -> None:
    made = fresh(cnn())
    assert {name: float(np.unique(numbers(made, name)).item()) for name in ("b1", "b2", "bd", "g", "s", "m", "v")} == {
        "b1": 0, "b2": 0, "bd": 0, "g": 1, "s": 0, "m": 0, "v": 1}


RECURRENT = """g (float[S, N, 12] x, float w, float r, float b) => (float h) {{
    y, h = {} <hidden_size = 32, direction = "bidirectional"> (x, w, r, b) }}"""


@pytest.mark.parametrize(("kind", "gates"), [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent_layers_are_orthogonal_and_an_lstm_forgets_nothing(kind: str, gates: int) -> None:
    made = fresh(graph(RECURRENT.format(kind), w=(2, gates * 32, 12), r=(2, gates * 32, 32), b=(2, gates * 64)))
    kernel, recurrent, bias = (numbers(made, name) for name in "wrb")
    assert kernel.var() == pytest.approx(2 / (12 + gates * 32), rel=0.15)
    for direction in recurrent:
        np.testing.assert_allclose(direction.T @ direction, np.eye(32), atol=1e-5)
    assert not np.array_equal(recurrent[0], recurrent[1])
    expected = np.zeros_like(bias)
    expected[:, 64:96] = kind == "LSTM"  # input, output, forget, cell
    np.testing.assert_array_equal(bias, expected)


def test_a_hard_sigmoid_that_was_folded_into_the_bias_stays_open() -> None:
    """A gate that is shut for half of its inputs multiplies everything behind it by zero."""
    text = """g (float[N, 16] x, float w, float b, float zero, float six, float sixth, float w2, float b2) => (float z) {
        y = Gemm (x, w, b)  c = Clip (y, zero, six)  s = Mul (c, sixth)  h = Gemm (s, w2, b2)  z = Clip (h, zero, six) }"""
    model = graph(text, w=(16, 8), b=(8,), w2=(8, 4), b2=(4,), zero=(), six=(), sixth=())
    for name, number in (("zero", 0), ("six", 6), ("sixth", 1 / 6)):
        edit.set_numbers(model.graph.initializers[name], np.array(number, np.float32))
    made, report = clone(model)
    assert set(numbers(made, "b")) == {3.0} and set(numbers(made, "b2")) == {0.0}
    assert {row["name"]: row["rule"] for row in report.numbers["tensors"] if row["name"][0] == "w"} == {"w": "Glorot uniform", "w2": "He normal"}
    assert numbers(made, "six") == 6 and numbers(made, "sixth") == np.float32(1 / 6)


def test_float16_stays_float16_and_constant_nodes_are_drawn_too() -> None:
    text = """<ir_version: 8, opset_import: ["" : 17]> g (float16[N, 3] x) => (float16[N, 3] y) {
        w = Constant <value = float16[3, 3] {1, 2, 3, 4, 5, 6, 7, 8, 9}> ()  y = MatMul (x, w) }"""
    made, report = clone(io.from_text(text))
    (row,) = report.numbers["tensors"]
    drawn = numbers(made, row["name"])
    assert drawn.dtype == np.float16 and np.abs(drawn).max() <= 1.0 and "Constant" not in {node.op_type for node in made.graph}


# --- seeds and sharing


def test_one_seed_gives_one_graph_and_another_differs_in_every_random_tensor() -> None:
    one, report = clone(cnn(), seed=1)
    assert diff(one, fresh(cnn(), seed=1)).empty
    found = diff(one, fresh(cnn(), seed=2))
    assert {d.name for d in found.tensors} == {row["name"] for row in report.numbers["tensors"] if row["expected_std"]} == {"k1", "k2", "wd"}
    assert not (found.nodes or found.counts or found.ends or found.renamed or any(found.only))
    assert not diff(cnn(), one).nodes and not diff(cnn(), one).ends


def test_the_order_of_a_file_does_not_matter_and_the_source_stays() -> None:
    model = cnn()
    before = io.to_bytes(model)
    made = fresh(model, seed=5)
    assert io.to_bytes(model) == before
    turned = cnn()
    held = list(turned.graph.initializers.values())
    turned.graph.initializers.clear()
    for value in reversed(held):
        turned.graph.register_initializer(value)
    for name in made.graph.initializers:
        np.testing.assert_array_equal(numbers(made, name), numbers(fresh(turned, seed=5), name))


def test_tensors_of_one_shape_do_not_get_the_same_numbers() -> None:
    text = "g (float[N, 8] x, float a, float b) => (float[N, 8] z) { y = MatMul (x, a)  r = Tanh (y)  z = MatMul (r, b) }"
    made = fresh(graph(text, a=(8, 8), b=(8, 8)))
    assert not np.isin(numbers(made, "a"), numbers(made, "b")).any()


def test_a_shared_weight_stays_shared() -> None:
    text = "g (float[N, 8] x, float w) => (float[N, 8] z) { y = MatMul (x, w)  r = Relu (y)  z = MatMul (r, w) }"
    made, report = clone(graph(text, w=(8, 8)))
    assert len(report.numbers["tensors"]) == 1 and [n.inputs[1].name for n in made.graph if n.op_type == "MatMul" and n.inputs[1]] == ["w", "w"]


def test_a_seed_below_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="a seed is 0 or more; received -1"):
        clone(cnn(), seed=-1)


# --- what is left


def test_preprocessing_numbers_masks_and_integers_are_left_and_listed() -> None:
    text = """g (float[N, 4, 8] x, float mean, float w, float half, float mask, float pos, float gain, int64[2] shape) => (float z) {
        c = Sub (x, mean)  y = MatMul (c, w)  h = Mul (y, half)  k = Add (h, mask)  p = Add (k, pos)  q = Mul (p, gain)  z = Reshape (q, shape) }"""
    model = graph(text, {"shape": [-1, 64]}, mean=(8,), w=(8, 16), half=(), mask=(4, 16), pos=(4, 16), gain=(16,))
    edit.set_numbers(model.graph.initializers["mask"], np.where(np.tri(4, 16) > 0, 0, -1e9).astype(np.float32))
    made, report = clone(model)
    assert left(report) == {
        "mean": "it stands in front of every weight: preprocessing", "half": "nothing says that this number of Mul was trained",
        "mask": "it has two values or fewer: a mask", "shape": "it holds no floating-point numbers"}
    assert all(np.array_equal(numbers(made, name), numbers(model, name)) for name in left(report))
    assert set(numbers(made, "gain")) == {1.0} and numbers(made, "pos").std() == pytest.approx(0.02, rel=0.4)
    assert all(name in " ".join(report.done) for name in left(report))


def test_the_ledger_says_what_was_trained() -> None:
    """A transform is left, a table that only a Concat reads is drawn, and constants that were folded into a bias stay in it."""
    text = """g (float[N, 8] x, float dft, float w, float b, float token, float scale) => (float z) {
        d = MatMul (x, dft)  y = Gemm (d, w, b)  c = Concat <axis = 0> (token, y)  z = Mul (c, scale) }"""
    model = graph(text, dft=(8, 8), w=(8, 16), b=(16,), token=(1, 16), scale=())
    book = Ledger(variables={"w": "dense/kernel", "v": "dense/bias", "token": "token", "scale": "temperature"})
    book.constant("dft", numbers(model, "dft"))
    book.constant("three", np.array([3], np.float32))
    book.record("b", "Add", ("v", "three"), {})
    made, report = clone(model, book=book)
    assert left(report) == {"dft": "no trained variable goes into it"}
    assert set(numbers(made, "b")) == {3.0} and numbers(made, "token").std() == pytest.approx(0.02, rel=0.6) and numbers(made, "scale") == 1.0


def test_weights_that_branches_read_are_drawn() -> None:
    text = """g (float[N, 2] x, bool c, float w) => (float z) { y = MatMul (x, w)
        i = If (c) <then_branch = t () => (u) { u = MatMul (y, w2) }, else_branch = e () => (v) { v = Identity (y) }>  z = Add (y, i) }"""
    model = graph(text.replace("float w)", "float w, float w2)"), w=(2, 2), w2=(2, 2))
    made, report = clone(model)
    assert left(report) == {} and {told["name"] for told in report.numbers["tensors"]} == {"w", "w2"}
    assert not np.array_equal(numbers(made, "w2"), numbers(model, "w2"))



def test_integer_graphs_and_graphs_without_weights_are_refused() -> None:
    text = """g (float[N, 2] x, float s, uint8 z) => (float y) { q = QuantizeLinear (x, s, z)  y = DequantizeLinear (q, s, z) }"""
    with pytest.raises(ConversionError, match=r"this is an integer graph \(2 such operators, first q/QuantizeLinear\).*clone the float graph"):
        clone(graph(text, s=(), z=()))
    with pytest.raises(ConversionError, match="the graph has no weights to draw anew"):
        clone(graph("g (float[N, 2] x) => (float y) { y = Relu (x) }"))


# --- classes


def test_other_classes_reach_weight_bias_and_output() -> None:
    made, report = clone(cnn(), classes=3)
    assert numbers(made, "wd").shape == (3, 1024) and numbers(made, "bd").shape == (3,) and numbers(made, "wd").std() > 0
    assert query.shape_of(made.graph.outputs[0]) == (None, 3) and report.numbers["classes"] == {"before": 10, "after": 3, "layer": "y/Gemm"}
    assert Session(made).run({"x": np.ones((2, 8, 16, 16), np.float32)})["y"].shape == (2, 3)


HEADS = [
    ("y = MatMul (x, w)  a = Add (y, b)  z = Softmax (a)", (16, 5), (5,)),
    ("t = Transpose (w)  y = MatMul (x, t)  a = Add (y, b)  z = Sigmoid (a)", (5, 16), (1, 5)),
    ("y = Gemm (x, w, b)  z = LogSoftmax (y)", (16, 5), (5,)),
    ("i = Unsqueeze (x, axes)  y = Conv (i, w, b)  p = GlobalAveragePool (y)  f = Flatten (p)  z = Softmax (f)", (5, 16, 1), (5,)),
    ("i = Unsqueeze (x, axes)  y = Conv (i, w, b)  p = GlobalAveragePool (y)  z = Reshape (p, to)", (5, 16, 1), (5,)),
]


@pytest.mark.parametrize(("body", "kernel", "bias"), HEADS)
def test_other_classes_go_through_what_does_not_care(body: str, kernel: tuple[int, ...], bias: tuple[int, ...]) -> None:
    text = f"g (float[N, 16] x, float w, float b, int64[1] axes, int64[2] to) => (float[N, 5] z) {{ {body} }}"
    model = graph(text, {"axes": [2], "to": [-1, 5]}, w=kernel, b=bias)
    io.infer_shapes(model)
    made = fresh(model, classes=9)
    assert Session(made).run({"x": np.ones((3, 16), np.float32)})["z"].shape == (3, 9) and query.shape_of(made.graph.outputs[0]) == (None, 9)


REFUSED = [
    ("y = MatMul (x, w)  z = Concat <axis = 1> (y, x)", "between the last layer with weights and output 'z', z/Concat (Concat) fixes the width"),
    ("y = MatMul (x, w)  z = Mul (y, x)", "z/Mul (Mul) fixes the width"),
    ("y = MatMul (x, w)  r = Relu (y)  z = MatMul (r, w)", "w is shared with y/MatMul, which keeps its width"),
    ("z = Relu (x)", "no Gemm, MatMul, Conv makes output 'z'"),
]


@pytest.mark.parametrize(("body", "says"), REFUSED)
def test_what_fixes_the_classes_is_named(body: str, says: str) -> None:
    model = graph(f"g (float[N, 16] x, float w) => (float z) {{ {body} }}", w=(16, 16))
    with pytest.raises(ConversionError) as refused:
        clone(model, classes=3)
    assert says in str(refused.value)


def test_no_classes_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one class; received 0"):
        clone(cnn(), classes=0)


# --- sizes


def test_another_size_gives_the_dense_layer_another_fan_in() -> None:
    made, report = clone(cnn(), size=Size((8, 20)))
    assert query.shape_of(made.graph.inputs[0]) == (None, 8, 8, 20) and numbers(made, "wd").shape == (10, 4 * 160)
    assert numbers(made, "wd").var() == pytest.approx(2 / (4 * 160 + 10), rel=0.1)
    assert report.numbers["input_size"]["after"][1:] == [8, 8, 20]
    assert Session(made).run({"x": np.ones((2, 8, 8, 20), np.float32)})["y"].shape == (2, 10)


FLAT = "g (float[N, 8, 8, 3] x, float w, float w2, int64[K] to) => (float z) {{ {} }}"
LAST = "t = Transpose <perm = [0, 3, 1, 2]> (x)  c = Conv <kernel_shape = [1, 1]> (t, w)  l = Transpose <perm = [0, 2, 3, 1]> (c)  "


def test_a_flattening_that_was_written_as_a_reshape_follows_channels_last() -> None:
    model = graph(FLAT.format(LAST + "f = Reshape (l, to)  z = MatMul (f, w2)"), {"to": [-1, 384]}, w=(6, 3, 1, 1), w2=(384, 5))
    made = fresh(model, size=Size((4, 16)))
    assert query.shape_of(made.graph.inputs[0]) == (None, 4, 16, 3) and diff(fresh(model), made).ends
    made = fresh(model, size=Size((6,)))
    assert numbers(made, "w2").shape == (216, 5) and Session(made).run({"x": np.ones((2, 6, 6, 3), np.float32)})["z"].shape == (2, 5)


def test_a_reshape_that_would_move_numbers_into_the_batch_is_refused_by_name() -> None:
    model = graph(FLAT.format(LAST + "z = Reshape (l, to)"), {"to": [-1, 64, 6]}, w=(6, 3, 1, 1), w2=(1, 1))
    with pytest.raises(ConversionError, match=r"z/Reshape \(Reshape\) makes \[-1, 64, 6\] of anyx8x8x6, and would get anyx16x16x6"):
        clone(model, size=Size((16,)))


def test_a_free_size_and_a_dense_layer_behind_a_flattening_exclude_each_other() -> None:
    with pytest.raises(ConversionError, match=r"the input size cannot be changed: y/Gemm \(Gemm\) takes 1024 numbers and would get any number"):
        clone(cnn(), size=Size((None,)))


def test_a_vector_of_another_length_goes_into_the_first_dense_layer() -> None:
    text = "g (float[N, 16] x, float w, float v) => (float z) { y = MatMul (x, w)  r = Relu (y)  z = MatMul (r, v) }"
    made = fresh(graph(text, w=(16, 8), v=(8, 3)), size=Size((20,)))
    assert numbers(made, "w").shape == (20, 8) and numbers(made, "v").shape == (8, 3)


def test_a_dense_layer_over_a_spatial_axis_is_refused() -> None:
    model = graph("g (float[N, 4, 16, 3] x, float w) => (float z) { t = Transpose <perm = [0, 1, 3, 2]> (x)  z = MatMul (t, w) }", w=(16, 8))
    with pytest.raises(ConversionError, match=r"z/MatMul \(MatMul\) takes 16 numbers and would get 20"):
        clone(model, size=Size((4, 20)))


# --- whether it lives


def test_a_fresh_graph_runs_and_its_spread_is_reported() -> None:
    made, report = clone(cnn())
    liveliness.prove(made, report)
    layers = report.numbers["activations"]["layers"]
    assert set(layers) == {"c", "d", "y"} and all(0.2 < spread < 5 for spread in layers.values()) and not report.warnings


def test_what_vanishes_explodes_or_breaks_is_said() -> None:
    for factor, says in ((1e-9, "vanishes: standard deviation .* at [cdy]$"), (1e8, "explodes: standard deviation .* at [cdy]$")):
        made, report = clone(cnn())
        edit.set_numbers(made.graph.initializers["k1"], numbers(made, "k1") * np.float32(factor))
        liveliness.prove(made, report)
        assert any(re.search(says, warning) for warning in report.warnings)
    made, report = clone(cnn())
    edit.set_numbers(made.graph.initializers["bd"], np.full(10, np.nan, np.float32))
    with pytest.raises(ConversionError, match="NaN or infinite values at y"):
        liveliness.prove(made, report)
