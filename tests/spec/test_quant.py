"""QParams is QuantizeLinear and DequantizeLinear of onnxruntime, code by code; from_range keeps its promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converter.spec.quant import ACTIVATION_U8, BIAS_S32, WEIGHT_S8, Array, Granularity, QParams, QuantSpec, from_range
from tests.quantize.graphs import graph, outputs

U8, S8 = QuantSpec(), QuantSpec(8, signed=True)
SPECS = {"u8": U8, "s8": S8, "u8 symmetric": QuantSpec(symmetric=True),
         "s8 symmetric": QuantSpec(8, signed=True, symmetric=True), "s8 narrow": WEIGHT_S8}
FINITE = st.floats(-(2.0**100), 2.0**100, width=32)


def runtime(params: QParams, x: Array) -> tuple[Array, Array]:
    """Codes and values as onnxruntime makes them, every node by itself."""
    kind = "uint8" if params.spec.dtype == np.uint8 else "int8"
    attribute = "" if params.axis is None else f"<axis = {params.axis}>"
    shape = ", ".join(map(str, x.shape))
    model = graph(f"(float[{shape}] x) => ({kind}[{shape}] q, float[{shape}] y)",
                  f"q = QuantizeLinear{attribute}(x, s, z)\n y = DequantizeLinear{attribute}(q, s, z)", s=params.scale, z=params.zero_point)
    out = outputs(model, {"x": x}, optimise=False)
    return out["q"], out["y"]


def per_tensor(spec: QuantSpec, scale: float, zero: int) -> QParams:
    return QParams(spec, np.array(scale, np.float32), np.array(zero, spec.dtype))


@pytest.mark.parametrize("spec", [U8, S8])
def test_codes_and_values_are_those_of_onnxruntime(spec: QuantSpec, rng: np.random.Generator) -> None:
    for scale, zero in ((0.0173, 3), (1.0, 100), (3e-5, 0), (7.3e8, 127)):
        x = (rng.normal(0, 100, (40, 50)) * scale).astype(np.float32)
        params = per_tensor(spec, scale, zero)
        codes, values = runtime(params, x)
        np.testing.assert_array_equal(params.quantize(x), codes)
        np.testing.assert_array_equal(params.dequantize(codes), values)


@pytest.mark.parametrize("spec", [U8, S8])
@pytest.mark.parametrize("scale", [0.5, 0.1, 1 / 3])
def test_ties_go_to_the_even_code_before_the_zero_point_is_added(spec: QuantSpec, scale: float) -> None:
    """An odd zero point tells the two orders apart; scales that are no power of two tell division from multiplication."""
    steps = np.arange(-300, 300, dtype=np.float64) + 0.5
    x = (steps * np.float64(np.float32(scale))).astype(np.float32)
    for zero in (0, 7, 100):
        params = per_tensor(spec, scale, zero)
        np.testing.assert_array_equal(params.quantize(x), runtime(params, x)[0])
    tie = per_tensor(U8, 0.5, 7).quantize(np.array([0.25, 0.75, 1.25], np.float32))
    assert tie.tolist() == [7, 9, 9]


def test_division_by_the_scale_is_not_multiplication_by_its_inverse(rng: np.random.Generator) -> None:
    """Ties of 400 scales: each way rounds some of them differently, and only one is that of the runtime."""
    scale = rng.uniform(0.001, 1, 400).astype(np.float32)
    x = ((np.arange(-60, 60) + 0.5) * scale[:, None].astype(np.float64)).astype(np.float32)
    params = QParams(QuantSpec(8, signed=True, granularity=Granularity.CHANNEL), scale, np.zeros(400, np.int8), 0)
    np.testing.assert_array_equal(params.quantize(x), runtime(params, x)[0])
    assert (np.rint(x * (np.float32(1) / scale)[:, None]) != params.quantize(x)).any()


def test_far_out_values_saturate_without_a_warning() -> None:
    x = np.array([-3e38, -1e10, 1e10, 3e38, np.inf, -np.inf], np.float32)
    for spec in (U8, S8):
        params = per_tensor(spec, 1e-20, 5)
        np.testing.assert_array_equal(params.quantize(x), runtime(params, x)[0])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_per_channel_grids_lie_along_their_axis(axis: int, rng: np.random.Generator) -> None:
    x = rng.normal(0, 1, (3, 4, 5)).astype(np.float32)
    scale = rng.uniform(0.001, 0.02, x.shape[axis]).astype(np.float32)
    params = QParams(QuantSpec(8, signed=True, granularity=Granularity.CHANNEL), scale, np.arange(x.shape[axis], dtype=np.int8), axis)
    codes, values = runtime(params, x)
    np.testing.assert_array_equal(params.quantize(x), codes)
    np.testing.assert_array_equal(params.dequantize(codes), values)


def test_bias_values_are_those_of_onnxruntime(rng: np.random.Generator) -> None:
    """The runtime never makes 32-bit codes, only reads them."""
    codes = rng.integers(-2**31, 2**31, (4, 6)).astype(np.int32)
    scale = rng.uniform(1e-6, 1e-3, 6).astype(np.float32)
    params = QParams(BIAS_S32, scale, np.zeros(6, np.int32), 1)
    model = graph("(int32[4, 6] x) => (float[4, 6] y)", "y = DequantizeLinear<axis = 1>(x, s, z)", s=scale, z=np.zeros(6, np.int32))
    np.testing.assert_array_equal(params.dequantize(codes), outputs(model, {"x": codes}, optimise=False)["y"])


def test_bias_codes_use_all_32_bits() -> None:
    params = QParams(BIAS_S32, np.array([2.0**-20], np.float32), np.zeros(1, np.int32), 0)
    exact = np.array([123456789.0 * 2.0**-20])
    assert params.quantize(exact).tolist() == [123456789]
    assert params.quantize(np.array([1e30])).tolist() == [2**31 - 1]
    assert params.quantize(np.array([-1e30])).tolist() == [-2**31]


def test_narrow_leaves_out_the_lowest_code() -> None:
    params = QParams(WEIGHT_S8, np.array([1.0], np.float32), np.zeros(1, np.int8), 0)
    assert params.quantize(np.array([-200.0, 200.0], np.float32).reshape(1, 2)).tolist() == [[-127, 127]]
    assert (WEIGHT_S8.limits, S8.limits, ACTIVATION_U8.limits, BIAS_S32.limits) == ((-127, 127), (-128, 127), (0, 255), (-2**31, 2**31 - 1))


@given(st.sampled_from(list(SPECS.values())), FINITE, FINITE)
def test_a_range_holds_0_exactly_and_is_covered_to_half_a_step(spec: QuantSpec, a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    params = from_range(spec, low, high)
    assert params.dequantize(params.quantize(np.zeros(1, np.float32)))[0] == 0
    ends = np.array([low, high, min(low, 0), max(high, 0)], np.float32)
    error = np.abs(params.dequantize(params.quantize(ends)).astype(np.float64) - ends)
    assert error.max() <= 0.5001 * float(params.scale)


@given(st.sampled_from(list(SPECS.values())), st.floats(1e-20, 1e20), st.floats(1e-20, 1e20))
def test_a_range_wastes_no_code(spec: QuantSpec, below: float, above: float) -> None:
    params = from_range(spec, -below, above)
    low, high = spec.limits
    width = 2 * max(below, above) if spec.symmetric else below + above
    assert width / float(params.scale) == pytest.approx(high - low, abs=1.01)


def test_symmetric_grids_have_their_zero_in_the_middle() -> None:
    assert int(from_range(SPECS["s8 symmetric"], -1, 3).zero_point) == 0
    assert int(from_range(SPECS["u8 symmetric"], -1, 3).zero_point) == 128
    assert float(from_range(WEIGHT_S8, -12.7, 3).scale) == pytest.approx(0.1)
    assert float(from_range(SPECS["s8 symmetric"], -12.7, 3).scale) == pytest.approx(0.1)
    assert float(from_range(SPECS["u8 symmetric"], -1, 12.7).scale) == pytest.approx(0.1)


@pytest.mark.parametrize("ends", [(0.0, 0.0), (0.0, 1e-45), (-1e-42, 0.0)])
def test_a_tensor_that_is_always_0_gets_a_grid(ends: tuple[float, float]) -> None:
    assert float(from_range(U8, *ends).scale) == 1


@pytest.mark.parametrize("ends", [(1.0, 0.0), (float("nan"), 1.0), (0.0, float("inf"))])
def test_what_is_no_range_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="not a range"):
        from_range(U8, *ends)


@pytest.mark.parametrize(("fields", "text"), [
    ({"bits": 4}, "bits must be 8 or 32, received 4"),
    ({"narrow": True}, "narrow grid must be signed and symmetric"),
    ({"narrow": True, "signed": True}, "narrow grid must be signed and symmetric"),
    ({"bits": 32}, "32-bit grid must be signed and symmetric"),
])
def test_a_grid_that_contradicts_itself_is_refused(fields: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        QuantSpec(**fields)  # type: ignore[arg-type]


ONE, ZERO = np.array(1, np.float32), np.array(0, np.uint8)


@pytest.mark.parametrize(("scale", "zero", "axis", "text"), [
    (np.array(1.0), ZERO, None, "scale must be float32, received float64"),
    (ONE, np.array(0, np.int8), None, "zero_point must be uint8"),
    (ONE, np.zeros(1, np.uint8), None, "zero_point must be uint8 of shape"),
    (ONE, ZERO, 0, "does not go with axis 0"),
    (np.ones(3, np.float32), np.zeros(3, np.uint8), None, "does not go with axis None"),
    (np.ones((2, 2), np.float32), np.zeros((2, 2), np.uint8), 0, "does not go with axis 0"),
    (np.array(0, np.float32), ZERO, None, "positive and finite"),
    (np.array(-1, np.float32), ZERO, None, "positive and finite"),
    (np.array(np.inf, np.float32), ZERO, None, "positive and finite"),
])
def test_numbers_that_contradict_the_grid_are_refused(scale: Array, zero: Array, axis: int | None, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        QParams(U8, scale, zero, axis)


def test_json_names_every_field() -> None:
    assert WEIGHT_S8.to_json() == {"bits": 8, "signed": True, "symmetric": True, "narrow": True, "granularity": "channel"}
