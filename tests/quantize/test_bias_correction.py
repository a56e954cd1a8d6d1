"""The correction is the mean shift itself: what the layer's output moves by on data, channel by channel."""

from __future__ import annotations

import numpy as np
import pytest

from converter.quantize import bias_correction
from converter.spec.quant import Array
from tests.quantize.graphs import data, graph, initializer, node_named, outputs, quantized, weights

CONV = "(float[N,4,9,9] x) => (float[N,c,h,w] y)"
CASES = {
    "conv": (CONV, "[n] y = Conv(x, w, b)", (6, 4, 3, 3)),
    "padding": (CONV, "[n] y = Conv<pads = [1,1,1,1]>(x, w, b)", (6, 4, 3, 3)),
    "padding on one side, stride": (CONV, "[n] y = Conv<pads = [0,2,1,0], strides = [2,3]>(x, w, b)", (6, 4, 3, 3)),
    "padding, dilation": (CONV, "[n] y = Conv<pads = [2,2,2,2], dilations = [2,2]>(x, w, b)", (6, 4, 3, 3)),
    "same, upper": (CONV, '[n] y = Conv<auto_pad = "SAME_UPPER", strides = [2,2]>(x, w, b)', (6, 4, 4, 3)),
    "same, lower": (CONV, '[n] y = Conv<auto_pad = "SAME_LOWER", strides = [2,2]>(x, w, b)', (6, 4, 4, 3)),
    "valid": (CONV, '[n] y = Conv<auto_pad = "VALID", strides = [2,2]>(x, w, b)', (6, 4, 4, 3)),
    "groups": (CONV, "[n] y = Conv<group = 2, pads = [1,1,1,1]>(x, w, b)", (6, 2, 3, 3)),
    "depthwise": (CONV, "[n] y = Conv<group = 4, pads = [1,1,1,1]>(x, w, b)", (4, 1, 3, 3)),
    "depthwise, multiplier": (CONV, "[n] y = Conv<group = 4>(x, w, b)", (8, 1, 3, 3)),
    "conv1d": ("(float[N,4,9] x) => (float[N,c,l] y)", "[n] y = Conv<pads = [2,0]>(x, w, b)", (6, 4, 3)),
    "gemm": ("(float[N,4] x) => (float[N,6] y)", "[n] y = Gemm(x, w, b)", (4, 6)),
    "gemm, transB": ("(float[N,4] x) => (float[N,6] y)", "[n] y = Gemm<transB = 1>(x, w, b)", (6, 4)),
    "gemm, square": ("(float[N,4] x) => (float[N,4] y)", "[n] y = Gemm(x, w, b)", (4, 4)),
    "gemm, square, transB": ("(float[N,4] x) => (float[N,4] y)", "[n] y = Gemm<transB = 1>(x, w, b)", (4, 4)),
}
OFFSETS = np.array([3.0, -1.0, 0.5, 7.0], np.float32)


def channel_means(y: Array) -> Array:
    return np.asarray(y.astype(np.float64).mean(axis=tuple(a for a in range(y.ndim) if a != 1)))


@pytest.mark.parametrize("name", CASES)
def test_the_shift_is_what_the_error_does_to_the_mean_of_the_output(name: str) -> None:
    """Inputs that are constant over positions and samples: then the channel means are all that matters, and the law is exact."""
    ends, body, shape = CASES[name]
    error, channels = weights(*shape, seed=5), shape[0 if "Conv" in body or "transB" in body else 1]
    model = graph(ends, body, w=error, b=np.zeros(channels, np.float32))
    x = data(model)["x"]
    x = np.broadcast_to(OFFSETS.reshape(-1, *[1] * (x.ndim - 2)), x.shape).astype(np.float32)
    got = bias_correction.shift(node_named(model, "n"), error, OFFSETS.astype(np.float64))
    wanted = channel_means(outputs(model, {"x": x})["y"])
    np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_positions_of_unknown_size_count_as_data() -> None:
    model = graph("(float[N,4,h,w] x) => (float[N,c,i,j] y)", "[n] y = Conv<pads = [1,1,1,1]>(x, w, b)", w=weights(6, 4, 3, 3), b=weights(6))
    error = weights(6, 4, 3, 3, seed=5)
    got = bias_correction.shift(node_named(model, "n"), error, OFFSETS.astype(np.float64))
    np.testing.assert_allclose(got, np.einsum("oihw,i->o", error, OFFSETS), rtol=1e-5)


@pytest.mark.parametrize("name", CASES)
def test_the_corrected_layer_has_the_mean_of_the_float_layer(name: str) -> None:
    """End to end, on offset random data: what bias correction leaves of the mean error is a small part of what it found."""
    ends, body, shape = CASES[name]
    channels = shape[0 if "Conv" in body or "transB" in body else 1]
    model = graph(ends, body, w=weights(*shape), b=weights(channels))
    feeds = data(model, 64)
    feeds["x"] += 4 * OFFSETS.reshape(-1, *[1] * (feeds["x"].ndim - 2))
    made = quantized(model, feeds=feeds)
    layer = made.solution.layers["n"]
    # the weights alone, on float inputs, so that nothing but their error and the correction is seen
    corrected = layer.bias_params.dequantize(layer.bias)  # type: ignore[arg-type]
    again = graph(ends, body, w=layer.weight.params.dequantize(layer.weight.codes), b=corrected)
    plain = graph(ends, body, w=layer.weight.params.dequantize(layer.weight.codes), b=initializer(model, "b"))
    wanted = channel_means(outputs(model, feeds)["y"])
    with_it, without = (np.abs(channel_means(outputs(m, feeds)["y"]) - wanted).max() for m in (again, plain))
    assert with_it < 0.1 * without + float(layer.bias_params.scale.max())


def test_matmul_has_no_bias_and_stays_as_it_is() -> None:
    made = quantized(graph("(float[N,5,4] x) => (float[N,5,6] y)", "[n] y = MatMul(x, w)", w=weights(4, 6)))
    assert made.solution.layers["n"].bias is None
    assert len(node_named(made.integer, "n").inputs) == 2


def test_a_layer_without_bias_gets_one() -> None:
    model = graph(CONV, "[n] y = Conv(x, w)", w=weights(6, 4, 3, 3))
    made = quantized(model)
    assert len(node_named(made.integer, "n").inputs) == 3
    assert np.abs(made.solution.layers["n"].corrected).max() > 0
