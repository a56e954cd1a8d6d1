"""Numbers of a plan: pinned grids, biases that always fit, and what is refused."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.calibrate import Statistics
from converter.calibrate.collect import collect
from converter.errors import ConversionError
from converter.quantize.road import probes_of
from converter.quantize.solve import Solution, solve
from converter.spec.plan import Fixed, Own, QuantPlan
from converter.spec.quant import ACTIVATION_U8, Array
from converter.spec.target import Saturation
from converter.verify.kernel_order import k_order
from converter.verify.kernels import worst_pair
from tests.quantize.graphs import TARGET, Arrays, data, graph, outputs, plan_of, quantized, weights

X = "(float[N,4,6,6] x) => (float[N,c,h,w] y)"
CONV = "[n] y = Conv(x, w, b)"


def biased(w: Array, b: Array, scale: float = 1.0) -> Solution:
    model = graph(X, CONV, w=w, b=b)
    feeds = {name: np.asarray(a * scale, np.float32) for name, a in data(model).items()}
    return quantized(model, feeds=feeds).solution


@given(st.floats(-30, 8), st.floats(-30, 30), st.floats(-20, 20))
@settings(max_examples=30)
def test_a_bias_fits_32_bits_and_keeps_its_value_whatever_the_weights_and_the_input(weight: float, bias: float, data_power: float) -> None:
    b = np.array([10.0**bias, -(10.0**bias), 0, 1e-30], np.float32)
    solution = biased(weights(4, 4, 1, 1) * np.float32(10.0**weight), b, 10.0**data_power)
    layer = solution.layers["n"]
    assert layer.bias is not None
    assert np.abs(layer.bias.astype(np.int64)).max() <= 2**30 * 1.01
    grid = layer.bias_params
    assert (np.abs(grid.dequantize(layer.bias) - (b - layer.corrected)) <= 0.51 * grid.scale + 1e-6 * np.abs(b)).all()


def test_the_bias_grid_is_the_product_of_the_two_others() -> None:
    solution = biased(weights(5, 4, 1, 1), weights(5))
    layer = solution.layers["n"]
    np.testing.assert_array_equal(layer.bias_params.scale, solution.activations["x"].scale * layer.weight.params.scale)
    assert not layer.bias_params.zero_point.any() and layer.bias_params.axis == 0


def test_dead_channels_keep_their_bias_to_the_last_digit() -> None:
    w, b = weights(4, 4, 1, 1), np.array([0.3, 123.456, -1e-7, 0], np.float32)
    w[1:] = 0
    layer = biased(w, b).layers["n"]
    assert layer.bias is not None
    np.testing.assert_allclose(layer.bias_params.dequantize(layer.bias)[1:], b[1:], rtol=1e-6)


def test_dead_channels_give_their_bias_when_they_run() -> None:
    w, b = weights(4, 4, 1, 1), np.array([0.3, 2.0, -1.5, 0], np.float32)
    w[1:] = 0
    made = quantized(graph(X, CONV, w=w, b=b))
    for optimise in (True, False):
        y = outputs(made.integer, made.feeds, optimise=optimise)["y"]
        step = float(made.solution.activations["y"].scale)
        np.testing.assert_allclose(y[:, 1:], np.broadcast_to(b[1:, None, None], y[:, 1:].shape), atol=0.51 * step)


def numbers(body: str, **more: Array) -> Solution:
    return quantized(graph(X, body, w=weights(4, 4, 1, 1), lo=np.float32(0), **more)).solution


def test_relu_pins_the_zero_point_to_0() -> None:
    grid = numbers("c = Conv(x, w)\n y = Relu(c)").activations["y"]
    assert int(grid.zero_point) == 0


@pytest.mark.parametrize("ceiling", [6.0, 0.1, 0.7, 1 / 3, 1e4, 1e-6])
@pytest.mark.parametrize("shift", [0.0, -1e4, 1e4])
def test_the_highest_code_of_a_clip_is_at_its_ceiling_or_below(ceiling: float, shift: float) -> None:
    """Also where the value is always 0 (shift far below) or always at the ceiling."""
    top = np.float32(ceiling)
    grid = numbers("c = Conv(x, w, b)\n y = Clip(c, lo, hi)", hi=top, b=np.full(4, shift, np.float32)).activations["y"]
    assert int(grid.zero_point) == 0
    assert float(grid.scale) * 255 <= float(top)
    if shift > 0:
        assert float(grid.scale) * 255 == pytest.approx(float(top), rel=1e-6)


def test_shared_values_have_the_very_grid_of_their_owner() -> None:
    solution = numbers("c = Conv(x, w)\n m = MaxPool<kernel_shape = [2,2]>(c)\n y = Conv(m, w)")
    assert solution.activations["m"] is solution.activations["c"]


def test_a_fixed_entry_is_taken_as_it_is() -> None:
    solution = solve(QuantPlan({"s": Fixed(ACTIVATION_U8, 1 / 256, 0)}), graph(X, "y = Relu(x)"), {}, TARGET)
    assert (float(solution.activations["s"].scale), int(solution.activations["s"].zero_point)) == (1 / 256, 0)


def test_a_target_with_exact_sums_keeps_the_finest_scales() -> None:
    """Weights that saturate in pairs: only the target with 16-bit pairs may cost them resolution."""
    model = graph(X, CONV, w=np.abs(weights(4, 4, 1, 1)) + 1, b=weights(4))
    plan = plan_of(model)[0]
    seen = collect(model, probes_of(plan), Arrays(data(model)))
    pairs = solve(plan, model, seen, TARGET).layers["n"].weight
    exact = solve(plan, model, seen, dataclasses.replace(TARGET, saturation=Saturation.EXACT)).layers["n"].weight
    rows = k_order("Conv", exact.codes)
    assert rows is not None and worst_pair(rows).min() > 128
    assert (exact.widened == pytest.approx(1)) and (pairs.widened >= exact.widened - 1e-6).all()


def test_without_correction_the_bias_is_the_float_bias() -> None:
    model = graph(X, CONV, w=weights(4, 4, 1, 1), b=weights(4))
    plan = plan_of(model)[0]
    seen = collect(model, probes_of(plan), Arrays(data(model)))
    layer = solve(plan, model, seen, TARGET, correct_bias=False).layers["n"]
    assert not layer.corrected.any() and layer.bias is not None
    np.testing.assert_allclose(layer.bias_params.dequantize(layer.bias), weights(4), atol=float(layer.bias_params.scale.max()))
    assert solve(plan, model, seen, TARGET).layers["n"].corrected.any()


def test_statistics_that_are_missing_are_named() -> None:
    model = graph(X, CONV, w=weights(4, 4, 1, 1), b=weights(4))
    plan = plan_of(model)[0]
    with pytest.raises(ConversionError, match="no statistics of tensor x; there are statistics of none"):
        solve(plan, model, {}, TARGET)
    seen = collect(model, probes_of(plan), Arrays(data(model)))
    with pytest.raises(ConversionError, match="no statistics of tensor y; there are statistics of x, y"):
        solve(plan, model, {**seen, "y": Statistics()}, TARGET)


def test_statistics_without_the_channel_means_of_this_plan_are_refused() -> None:
    model = graph(X, CONV, w=weights(4, 4, 1, 1), b=weights(4))
    plan = plan_of(model)[0]
    seen = collect(model, [dataclasses.replace(p, axis=None) for p in probes_of(plan)], Arrays(data(model)))
    with pytest.raises(ConversionError, match="statistics of tensor x hold no channel means"):
        solve(plan, model, seen, TARGET)


def test_a_range_never_leaves_what_the_operator_can_give() -> None:
    model = graph(X, "c = Conv(x, w)\n r = Relu(c)\n y = Conv(r, w)", w=weights(4, 4, 1, 1))
    made = quantized(model)
    entry = made.plan.entries["r"]
    assert isinstance(entry, Own) and entry.unsigned
    assert made.solution.ranges["r"][0] == 0
