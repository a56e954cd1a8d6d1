"""Facts about operators, asked of onnxruntime: a weight slice is zeroed, and exactly that output channel vanishes."""

from __future__ import annotations

import numpy as np
import pytest

from converter.graph import ops, query
from converter.passes.cleanup import SortAndShape
from tests.passes.golden import Weight, feeds, graph, node, outputs

CASES = {
    "Conv": ("(float[n,4,6,6] x) => (float[n,6,4,4] y) { y = Conv(x, w) }", (6, 4, 3, 3)),
    "Conv with as many in as out": ("(float[n,4,6,6] x) => (float[n,4,4,4] y) { y = Conv(x, w) }", (4, 4, 3, 3)),
    "Conv 1D": ("(float[n,4,6] x) => (float[n,4,4] y) { y = Conv(x, w) }", (4, 4, 3)),
    "Conv 3D": ("(float[n,2,4,4,4] x) => (float[n,2,3,3,3] y) { y = Conv(x, w) }", (2, 2, 2, 2, 2)),
    "Conv grouped": ("(float[n,4,6,6] x) => (float[n,6,4,4] y) { y = Conv<group=2>(x, w) }", (6, 2, 3, 3)),
    "Conv depthwise": ("(float[n,4,6,6] x) => (float[n,4,4,4] y) { y = Conv<group=4>(x, w) }", (4, 1, 3, 3)),
    "Conv depthwise with multiplier": ("(float[n,4,6,6] x) => (float[n,8,4,4] y) { y = Conv<group=4>(x, w) }", (8, 1, 3, 3)),
    "ConvTranspose": ("(float[n,4,6,6] x) => (float[n,4,8,8] y) { y = ConvTranspose(x, w) }", (4, 4, 3, 3)),
    "ConvTranspose wider": ("(float[n,4,6,6] x) => (float[n,6,8,8] y) { y = ConvTranspose(x, w) }", (4, 6, 3, 3)),
    "Gemm": ("(float[n,4] x) => (float[n,4] y) { y = Gemm(x, w) }", (4, 4)),
    "Gemm transB": ("(float[n,4] x) => (float[n,4] y) { y = Gemm<transB=1>(x, w) }", (4, 4)),
    "MatMul": ("(float[n,4] x) => (float[n,4] y) { y = MatMul(x, w) }", (4, 4)),
    "MatMul of rank three": ("(float[n,4,4] x) => (float[n,4,4] y) { y = MatMul(x, w) }", (4, 4)),
    "MatMul of matrices": ("(float[4,4,4] x) => (float[4,4,4] y) { y = MatMul(x, w) }", (4, 4, 4)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_slice_of_the_weight_is_a_channel_of_the_output(case: str) -> None:
    body, shape = CASES[case]
    model = graph(body, w=shape)
    SortAndShape().rewrite(model)
    linear, given, whole = model.graph[0], feeds(model), outputs(model)[0]
    axis, channel = ops.weight_axis(linear), ops.channel_axis(linear, whole.ndim)
    assert axis is not None and shape[axis] == whole.shape[channel]
    for index in range(shape[axis]):
        changed = _zeroed(query.constant(linear.inputs[1]), axis, index)
        got = np.moveaxis(outputs(graph(body, w=changed), given)[0], channel, 0)
        others = np.arange(len(got)) != index
        assert not got[index].any(), "the channel vanishes"
        np.testing.assert_array_equal(got[others], np.moveaxis(whole, channel, 0)[others])


def _zeroed(weight: np.ndarray, axis: int, index: int) -> np.ndarray:
    changed = weight.copy()
    np.moveaxis(changed, axis, 0)[index] = 0
    return changed


def test_a_grouped_transposed_convolution_shares_slices_between_groups() -> None:
    """Slice i of ``(in, out / group, ...)`` is channel i of every group; the code that scales such weights knows."""
    body = "(float[n,4,6,6] x) => (float[n,6,8,8] y) { y = ConvTranspose<group=2>(x, w) }"
    model = graph(body, w=(4, 3, 3, 3))
    axis = ops.weight_axis(model.graph[0])
    got = outputs(graph(body, w=_zeroed(query.constant(model.graph.initializers["w"]), axis, 1)), feeds(model))[0]
    assert [bool(got[:, c].any()) for c in range(6)] == [True, False, True, True, False, True]


@pytest.mark.parametrize(("body", "weights"), [
    ("(float[n,4] x) => (float[n] y) { y = MatMul(x, w) }", {"w": (4,)}), ("(float[n,4] x) => (float[n,4] y) { y = Add(x, w) }", {"w": (4,)}),
    ("(float[n,4] x, float[a,b] w) => (float[n,4] y) { w2 = Relu(w) y = Mul(x, w2) }", {}),
])
def test_no_axis_where_there_is_no_channel(body: str, weights: dict[str, Weight]) -> None:
    assert ops.weight_axis(graph(body, **weights).graph[-1]) is None


@pytest.mark.parametrize(("case", "expected"), [
    ("Conv depthwise", True), ("Conv depthwise with multiplier", True), ("Conv grouped", False), ("Conv", False),
])
def test_depthwise(case: str, expected: bool) -> None:
    assert ops.is_depthwise(node(graph(CASES[case][0], w=CASES[case][1]), "Conv")) is expected


def test_one_channel_is_not_depthwise() -> None:
    assert not ops.is_depthwise(graph("(float[n,1,6,6] x) => (float[n,4,4,4] y) { y = Conv(x, w) }", w=(4, 1, 3, 3)).graph[0])


ATTRIBUTES = {"Cast": "<to=1>", "HardSigmoid": "", "Mean": ""}
LOGICAL = {"Not", "And", "Or", "Xor"}


@pytest.mark.parametrize("op_type", sorted(ops.UNARY - {"IsNaN", "IsInf"}))
def test_a_transpose_passes_every_unary_operator(op_type: str) -> None:
    kind = "bool" if op_type in LOGICAL else "float"
    ends = f"({kind}[2,3,4] x) => ({kind}[4,2,3] y, {kind}[4,2,3] z)"
    body = f"{ends} {{ a = Transpose<perm=[2,0,1]>(x) y = {op_type}{ATTRIBUTES.get(op_type, '')}(a) " \
           f"b = {op_type}{ATTRIBUTES.get(op_type, '')}(x) z = Transpose<perm=[2,0,1]>(b) }}"
    y, z = outputs(graph(body, opset=20))
    np.testing.assert_array_equal(y, z)


@pytest.mark.parametrize("op_type", sorted(ops.BINARY - {"Where", "Mod"}))
def test_a_transpose_passes_every_binary_operator(op_type: str) -> None:
    kind = "bool" if op_type in LOGICAL else "float"
    made = "bool" if op_type in LOGICAL or op_type.startswith(("Eq", "Gr", "Le")) else "float"
    turn = "Transpose<perm=[2,0,1]>"
    body = f"""({kind}[2,3,4] x, {kind}[2,3,4] v) => ({made}[4,2,3] y, {made}[4,2,3] z) {{
        a = {turn}(x) c = {turn}(v) y = {op_type}(a, c) b = {op_type}(x, v) z = {turn}(b) }}"""
    y, z = outputs(graph(body))
    np.testing.assert_array_equal(y, z)


@pytest.mark.parametrize("op_type", sorted(ops.REDUCE))
def test_a_reduction_over_an_axis_is_the_same_behind_a_transpose(op_type: str) -> None:
    body = f"(float[2,3,4] x) => (float[4,1,3] y, float[4,1,3] z) {{ a = Transpose<perm=[2,0,1]>(x) y = {op_type}(a, o) b = {op_type}(x, i) " \
           "z = Transpose<perm=[2,0,1]>(b) }"
    y, z = outputs(graph(body, o=[1], i=[0]))
    np.testing.assert_allclose(y, z, rtol=1e-6)
