"""Both kernel models against onnxruntime itself, and the pair rule against every pair there is."""

from __future__ import annotations

import numpy as np
import onnx.parser
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import ModelProto, numpy_helper

from converter.verify.kernel_order import Array, Layer, conv_rows, k_order
from converter.verify.kernels import (
    accumulate_exact,
    accumulate_pairs,
    accumulators,
    pair_limit,
    proof,
    requantize,
    saturates,
    worst_pair,
)

X_SCALE, Y_SCALE, Y_ZERO = np.float32(0.0131), np.float32(1.7), 117


def codes(shape: tuple[int, ...], seed: int = 0) -> Array:
    """Int8 codes of full range whose neighbours mostly have one sign, so that pairs clip often."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(-127, 128, shape)
    return np.where(rng.random(shape) < 0.8, np.abs(drawn), drawn).astype(np.int8)


def conv(shape: tuple[int, ...], **attributes: object) -> Layer:
    return Layer("Conv", codes(shape), **{"zero_point": 30, **attributes})  # type: ignore[arg-type]


# A layer, the shape of its input, and whether its kernel adds pairs.
CASES: dict[str, tuple[Layer, tuple[int, ...], bool]] = {
    "conv 1x1, ConvSym": (conv((16, 16, 1, 1)), (1, 16, 5, 5), True),
    "conv 1x1, input channels no multiple of 4": (conv((16, 6, 1, 1)), (1, 6, 5, 5), True),
    "conv 1x1, odd input channels": (conv((16, 7, 1, 1)), (1, 7, 5, 5), True),
    "conv 1x1, few output channels": (conv((10, 16, 1, 1)), (2, 16, 5, 5), True),
    "conv 1x1, stride": (conv((24, 16, 1, 1), strides=(2, 2)), (1, 16, 5, 5), True),
    "conv 3x3, ConvSym, padded": (conv((16, 16, 3, 3), zero_point=200, pads=(1, 1, 1, 1)), (1, 16, 5, 5), True),
    "conv 3x3, first layer, stride, one-sided padding": (conv((32, 3, 3, 3), zero_point=128, strides=(2, 2), pads=(0, 0, 1, 1)), (3, 3, 9, 9), True),
    "conv 3x3, first layer, padding 255": (conv((8, 3, 3, 3), zero_point=255, pads=(1, 1, 1, 1)), (1, 3, 9, 9), True),
    "conv 5x5, dilation": (conv((20, 5, 5, 5), dilations=(2, 2), pads=(4, 4, 4, 4)), (1, 5, 9, 9), True),
    "conv 5x5, ConvSym, dilation, stride": (conv((16, 12, 5, 5), dilations=(2, 2), strides=(2, 2), pads=(4, 4, 4, 4)), (1, 12, 9, 9), True),
    "conv 5x3, one input channel": (conv((16, 1, 5, 3)), (1, 1, 9, 9), True),
    "conv 3x3, K beyond a block": (conv((12, 50, 3, 3)), (1, 50, 6, 6), True),
    "conv 3x3, groups": (conv((16, 6, 3, 3), group=4, pads=(1, 1, 1, 1)), (2, 24, 6, 6), True),
    "conv 3x3, groups of odd width": (conv((32, 3, 3, 3), group=2, pads=(1, 1, 1, 1)), (2, 6, 6, 6), True),
    "conv 3x3, one output channel a group": (conv((8, 2, 3, 3), group=8, pads=(1, 1, 1, 1)), (1, 16, 6, 6), True),
    "conv, one channel to one channel": (conv((1, 1, 3, 3)), (1, 1, 9, 9), False),
    "depthwise, ConvSym": (conv((16, 1, 3, 3), group=16, pads=(1, 1, 1, 1)), (1, 16, 6, 6), False),
    "depthwise, channels no multiple of 16": (conv((10, 1, 3, 3), group=10, pads=(1, 1, 1, 1)), (1, 10, 6, 6), False),
    "depthwise 5x5, stride": (conv((32, 1, 5, 5), group=32, pads=(2, 2, 2, 2), strides=(2, 2)), (1, 32, 6, 6), False),
    "depthwise, multiplier 2": (conv((32, 1, 3, 3), group=16, pads=(1, 1, 1, 1)), (1, 16, 6, 6), True),
    "conv1d, stride": (conv((8, 3, 5), pads=(2, 2), strides=(2,)), (2, 3, 16), True),
    "conv1d, ConvSym, dilation": (conv((16, 16, 3), pads=(3, 3), dilations=(3,)), (2, 16, 16), True),
    "conv1d, depthwise": (conv((16, 1, 3), pads=(1, 1), group=16), (2, 16, 16), False),
    "conv3d, first layer": (conv((8, 3, 3, 3, 3), pads=(1,) * 6), (1, 3, 5, 5, 5), True),
    "conv3d, ConvSym": (conv((16, 8, 2, 3, 3), pads=(1,) * 6, strides=(1, 2, 1)), (1, 8, 5, 5, 5), True),
    "conv3d, groups": (conv((8, 3, 3, 3, 3), pads=(1,) * 6, group=2), (1, 6, 5, 5, 5), True),
    "gemm, transB, odd K, one row": (Layer("Gemm", codes((10, 31)), transposed=True, zero_point=12), (1, 31), True),
    "gemm, odd K, three rows": (Layer("Gemm", codes((31, 10)), zero_point=12), (3, 31), True),
    "gemm, many rows, K beyond a block": (Layer("Gemm", codes((1001, 130)), zero_point=12), (40, 1001), True),
    "gemm, transB, one row, K beyond a block": (Layer("Gemm", codes((130, 1001)), transposed=True, zero_point=12), (1, 1001), True),
    "gemm, one column": (Layer("Gemm", codes((5, 1), 3), zero_point=12), (9, 5), True),
    "matmul, one row": (Layer("MatMul", codes((33, 26)), zero_point=12), (1, 33), True),
    "matmul, many rows": (Layer("MatMul", codes((64, 26)), zero_point=12), (50, 64), True),
    "matmul, batches of rows": (Layer("MatMul", codes((33, 17)), zero_point=12), (2, 4, 33), True),
}
PADDED_PAIRS = [(127, -127), (127, 1), (127, 2), (64, 64), (65, 64), (-64, -64), (-65, -64), (-127, -1), (-127, -2), (100, 29), (29, 100), (0, 127),
                (1, 127), (2, 127), (128 - 40, 40), (128 - 40, 41)]


def activations(layer: Layer, shape: tuple[int, ...]) -> Array:
    x = np.random.default_rng(1).integers(100, 256, shape).astype(np.uint8)
    x.flat[::7] = 255
    return x


def channels(layer: Layer) -> int:
    return int(layer.codes.shape[0 if layer.op_type == "Conv" or layer.transposed else 1])


def attributes(layer: Layer) -> str:
    if layer.op_type != "Conv":
        return f"<transB = {int(layer.transposed)}>" if layer.op_type == "Gemm" else ""
    lists = {"strides": layer.strides, "pads": layer.pads, "dilations": layer.dilations}
    return "<" + ", ".join([f"group = {layer.group}", *(f"{k} = [{', '.join(map(str, v))}]" for k, v in lists.items() if v)]) + ">"


def qdq_model(layer: Layer, shape: tuple[int, ...], numbers: dict[str, Array]) -> ModelProto:
    """The layer between DequantizeLinear and QuantizeLinear, opset 17; ``numbers`` are its initializers but the weight."""
    biased = layer.op_type != "MatMul"
    axis = 0 if layer.op_type == "Conv" or layer.transposed else 1
    model = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : 17]>
        g (uint8[{", ".join(map(str, shape))}] x) => (uint8[{", ".join("?" * len(shape))}] y) {{
            xf = DequantizeLinear(x, xs, xz)
            wf = DequantizeLinear<axis = {axis}>(w, ws, wz)
            bf = DequantizeLinear<axis = 0>(b, bs, bz)
            yf = {layer.op_type}{attributes(layer)}(xf, wf{", bf" if biased else ""})
            y = QuantizeLinear(yf, ys, yz)
        }}""")
    n = channels(layer)
    arrays = {"xz": np.uint8(layer.zero_point), "w": layer.codes, "wz": np.zeros(n, np.int8), "bz": np.zeros(n, np.int32),
              "bs": numbers["xs"] * numbers["ws"], **numbers}
    model.graph.initializer.extend(numpy_helper.from_array(np.ascontiguousarray(v), k) for k, v in arrays.items())
    return model


def run(model: ModelProto, x: Array, *, exact: bool = False) -> Array:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    if exact:
        options.add_session_config_entry("session.x64quantprecision", "1")
    return np.asarray(ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0])


def unit_numbers(layer: Layer, bias: Array, y_zero: int = 128) -> dict[str, Array]:
    """All scales 1: output codes are sums."""
    one = np.float32(1)
    return {"xs": one, "ws": np.ones(channels(layer), np.float32), "ys": one, "yz": np.uint8(y_zero), "b": bias.astype(np.int32)}


def is_conv_sym(layer: Layer) -> bool:
    """Convolutions that MLAS does without im2col, by a kernel of their own (``MlasConvSymPackWSize``)."""
    out, inner = layer.codes.shape[:2]
    return layer.op_type == "Conv" and layer.group == 1 and out >= 16 and out % 8 == 0 and inner % 4 == 0


@pytest.fixture(scope="module")
def probe() -> dict[bool, bool]:
    """Whether onnxruntime clips pairs here: for ConvSym (True) and for the matrix product (False). A measurement: flags can be misread."""
    answer = {}
    for sym in (True, False):
        layer = Layer("Conv", np.full((16, 4, 1, 1) if sym else (1, 2, 1, 1), 127, np.int8))
        assert is_conv_sym(layer) == sym
        inner = layer.codes.shape[1]
        x = np.full((1, inner, 1, 1), 255, np.uint8)
        y = run(qdq_model(layer, x.shape, unit_numbers(layer, np.full(channels(layer), -255 * 127 * inner))), x)
        assert set(np.unique(y)) in ({128}, {0})
        answer[sym] = bool((y == 0).all())
    return answer


@pytest.mark.parametrize("name", CASES)
def test_both_models_give_the_codes_of_onnxruntime(name: str, probe: dict[bool, bool]) -> None:
    layer, shape, adds_pairs = CASES[name]
    x, n = activations(layer, shape), channels(layer)
    rng = np.random.default_rng(2)
    exact, pairs = (accumulators(layer, x, a) for a in (accumulate_exact, accumulate_pairs))
    w_scale = rng.uniform(0.5, 1.5, n).astype(np.float32)
    y_scale = np.float32(np.abs(exact).max() * X_SCALE / 100)
    bias = rng.integers(-500, 500, n).astype(np.int32) if layer.op_type != "MatMul" else np.zeros(n, np.int32)
    axis = 1 if layer.op_type == "Conv" else -1
    expected, clipped = (requantize(a, bias, X_SCALE, w_scale, y_scale, Y_ZERO, axis=axis) for a in (exact, pairs))
    model = qdq_model(layer, shape, {"xs": X_SCALE, "ws": w_scale, "ys": y_scale, "yz": np.uint8(Y_ZERO), "b": bias})
    assert bool((expected != clipped).any()) == adds_pairs, "the case must be able to tell the two kernels apart"
    np.testing.assert_array_equal(run(model, x, exact=True), expected)
    np.testing.assert_array_equal(run(model, x), clipped if probe[is_conv_sym(layer)] else expected)


@pytest.mark.parametrize("shift", [0, 1])
def test_onnxruntime_clips_exactly_the_aligned_pairs_that_the_rule_names(shift: int, probe: dict[bool, bool]) -> None:
    padded = np.pad(np.array(PADDED_PAIRS, np.int8), ((0, 0), (shift, 2 - shift)))  # shift 1: the same weights meet other neighbours
    for layer in (Layer("Gemm", padded, transposed=True), Layer("Conv", padded[:, :, None, None])):
        x = np.full((1, 4) if layer.op_type == "Gemm" else (1, 4, 1, 1), 255, np.uint8)
        bias = -accumulate_exact(np.full((1, 4), 255, np.uint8), padded)[0]
        y = run(qdq_model(layer, x.shape, unit_numbers(layer, bias)), x).ravel()
        rows = k_order(layer.op_type, layer.codes, transposed=layer.transposed)
        np.testing.assert_array_equal(y != 128, saturates(rows) & probe[is_conv_sym(layer)])
        assert saturates(rows).any() == (shift == 0)


def test_rounding_is_half_to_even_after_a_float32_multiplier() -> None:
    layer = Layer("Gemm", np.ones((1, 1), np.int8))
    x = np.arange(256, dtype=np.uint8)[:, None]
    bias = np.array([-128], np.int32)
    numbers = {**unit_numbers(layer, bias, 64), "ys": np.float32(2)}  # every second sum is a tie
    ours = requantize(accumulators(layer, x, accumulate_exact), bias, np.float32(1), np.ones(1, np.float32), np.float32(2), 64)
    assert ours[[129, 131, 133], 0].tolist() == [64, 66, 66]
    np.testing.assert_array_equal(run(qdq_model(layer, x.shape, numbers), x), ours)


def test_requantize_multiplies_in_float32_in_the_order_of_the_kernel() -> None:
    x_scale, w_scale, y_scale = np.float32(0.1), np.float32([0.3]), np.float32(0.7)
    sums = np.arange(-4000, 4000, dtype=np.int32)[:, None]
    expected = np.clip(np.rint(sums.astype(np.float32) * ((x_scale * w_scale) / y_scale)) + 3, 0, 255)
    np.testing.assert_array_equal(requantize(sums, 0, x_scale, w_scale, y_scale, 3), expected)


def test_the_rule_is_right_for_every_pair_of_weights() -> None:
    grid = np.arange(-128, 128)
    rows = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2).astype(np.int8)
    corners = np.array([[0, 0], [0, 255], [255, 0], [255, 255]], np.uint8)  # a sum that is linear in x is extreme in a corner
    clips = (accumulate_pairs(corners, rows) != accumulate_exact(corners, rows)).any(0)
    np.testing.assert_array_equal(saturates(rows), clips)
    assert clips.any()
    assert not clips.all()
    seven_bits = np.array([[0, 127], [127, 0], [127, 127]], np.uint8)
    assert not saturates(rows, top=127).any()
    np.testing.assert_array_equal(accumulate_pairs(seven_bits, rows), accumulate_exact(seven_bits, rows))


@pytest.mark.parametrize("top", [128, 180, 200, 254])
def test_a_smaller_top_code_allows_larger_pairs(top: int) -> None:
    limit = pair_limit(top)
    fits = np.array([[limit // 2, limit - limit // 2]], np.int16)
    over = fits + np.array([[0, 1]], np.int16)
    x = np.full((1, 2), top, np.uint8)
    assert not saturates(fits, top)[0]
    assert saturates(over, top)[0]
    assert accumulate_pairs(x, fits) == accumulate_exact(x, fits)
    assert accumulate_pairs(x, over) != accumulate_exact(x, over)


def test_worst_pair_looks_at_aligned_pairs_of_one_sign() -> None:
    rows = np.array([[127, -127, 64, 65, 3], [-100, -30, 5, 0, -1], [1, 100, 100, 1, 120], [0, 0, 0, 0, 0]], np.int8)
    assert worst_pair(rows).tolist() == [129, 130, 120, 0]
    assert worst_pair(np.array([[-128, -128]], np.int8)).tolist() == [256]
    with pytest.raises(ValueError, match="integers, received float32"):
        worst_pair(rows.astype(np.float32))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_the_proof_counts_what_the_two_models_differ_in(data: st.DataObject) -> None:
    k, seed = data.draw(st.integers(1, 9)), data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    spread = data.draw(st.sampled_from([40, 70, 128]))
    layer = Layer("MatMul", rng.integers(-spread, spread, (k, 5)).astype(np.int8))
    x = rng.integers(0, 256, (20, k)).astype(np.uint8)
    difference = np.abs(accumulators(layer, x, accumulate_pairs) - accumulators(layer, x, accumulate_exact))
    gap = proof(layer, x)
    assert (gap.elements, gap.differing, gap.largest) == (100, np.count_nonzero(difference), difference.max())
    assert set(np.flatnonzero(difference.any(0))) <= set(gap.channels)
    assert gap.safe == (gap.pair <= 128)
    assert proof(layer).channels == gap.channels


@pytest.mark.parametrize("name", CASES)
def test_the_proof_agrees_with_the_models_on_every_kind_of_layer(name: str) -> None:
    layer, shape, adds_pairs = CASES[name]
    x = activations(layer, shape)
    difference = accumulators(layer, x, accumulate_pairs) != accumulators(layer, x, accumulate_exact)
    gap = proof(layer, x)
    assert gap.differing == np.count_nonzero(difference)
    assert gap.safe != adds_pairs
    assert gap.elements == (difference.size if adds_pairs else 0)


def test_a_layer_with_halved_weights_is_proved_safe_and_is_the_same_on_both_kernels() -> None:
    layer, shape, _ = CASES["conv 3x3, groups"]
    safe = Layer("Conv", (layer.codes // 2).astype(np.int8), group=layer.group, pads=layer.pads)
    x = activations(safe, shape)
    assert proof(safe).safe
    np.testing.assert_array_equal(accumulators(safe, x, accumulate_pairs), accumulators(safe, x, accumulate_exact))


def test_k_order_is_channels_last() -> None:
    weight = np.arange(12, dtype=np.int8).reshape(1, 3, 2, 2)
    assert (k_order("Conv", weight) == [[0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]]).all()
    rows, shape = conv_rows(weight.view(np.uint8), (2, 2))
    assert rows.tolist() == k_order("Conv", weight).tolist()  # type: ignore[union-attr]
    assert shape == (1, 1, 1)
    assert k_order("Gemm", weight.reshape(4, 3)).shape == (3, 4)  # type: ignore[union-attr]
    assert k_order("Gemm", weight.reshape(4, 3), transposed=True).shape == (4, 3)  # type: ignore[union-attr]
    assert k_order("ConvTranspose", weight) is None


@pytest.mark.parametrize(("op_type", "shape"), [("Einsum", (2, 2)), ("Conv", (2, 2)), ("MatMul", (2, 2, 2)), ("Gemm", (2,))])
def test_a_weight_without_a_known_order_is_refused(op_type: str, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=rf"{op_type} with shape .*known: Conv .*MatMul \(K, N\)"):
        k_order(op_type, np.zeros(shape, np.int8))


def test_what_does_not_fit_together_is_refused() -> None:
    layer = CASES["conv 3x3, groups"][0]
    with pytest.raises(ValueError, match=r"24 channels, received shape \(1, 6, 6, 6\)"):
        accumulators(layer, np.zeros((1, 6, 6, 6), np.uint8), accumulate_exact)
    with pytest.raises(ValueError, match="multiple of group 3, received 16"):
        k_order("Conv", layer.codes, group=3)
