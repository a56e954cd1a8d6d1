"""Every calibration method against what it claims, measured on the raw data; and one contract for all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converter.calibrate import OBSERVERS, Observer, Statistics
from converter.calibrate.observers.entropy import entropy
from converter.calibrate.observers.mse import CLIPPING
from converter.calibrate.statistics import SAMPLED
from converter.errors import UsageError
from converter.spec.quant import ACTIVATION_U8, Array, QuantSpec, from_range
from converter.spec.recipe import RANGES

S8 = QuantSpec(8, signed=True, symmetric=True)
SPECS = {"u8": ACTIVATION_U8, "s8": QuantSpec(8, signed=True), "s8 symmetric": S8, "u8 symmetric": QuantSpec(symmetric=True)}
ODD = {
    "all equal": np.full(100, 3.25), "all equal, negative": np.full(100, -3.25), "all zero": np.zeros(100), "one value": np.array([0.7]),
    "all negative": -np.abs(np.random.default_rng(0).normal(5, 1, 999)), "all positive": np.abs(np.random.default_rng(0).normal(5, 1, 999)),
    "tiny": np.random.default_rng(0).normal(0, 1e-30, 999), "subnormal": np.full(9, 1e-42), "huge": np.random.default_rng(0).normal(0, 1e37, 999),
    "both ends of float32": np.array([-3.4e38, 3.4e38]), "one outlier": np.append(np.random.default_rng(0).normal(0, 1, 999), 1e6),
    "mostly zero": np.where(np.random.default_rng(0).random(9999) < 0.95, 0, 1.5),
}


def seen(x: Array) -> Statistics:
    statistics = Statistics()
    for part in np.array_split(np.asarray(x, np.float32).ravel(), -(-x.size // SAMPLED)):
        statistics.update(part.reshape(1, -1))
    return statistics


def observer(name: str) -> Observer:
    return OBSERVERS.get(name)


def error(x: Array, spec: QuantSpec, low: float, high: float) -> float:
    """Mean squared error of the raw data on the grid of a range, what is clipped counted CLIPPING times."""
    params = from_range(spec, low, high)
    x = np.asarray(x, np.float32)
    weight = np.where((x < min(low, 0)) | (x > max(high, 0)), CLIPPING, 1.0)
    return float((weight * (params.dequantize(params.quantize(x)).astype(np.float64) - x)**2).mean())


def test_the_recipe_knows_the_observers_that_are_there() -> None:
    assert OBSERVERS.names() == sorted(RANGES)


def test_an_unknown_observer_is_a_usage_error_that_lists_them() -> None:
    with pytest.raises(UsageError, match="unknown observer 'max'; known: entropy, minmax, mse, percentile"):
        OBSERVERS.get("max")


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("data", ODD)
@pytest.mark.parametrize("name", RANGES)
def test_contract(name: str, data: str, spec: str) -> None:
    """Finite, ordered, inside what was seen (0 may be taken in), the same each time, and good for a grid."""
    statistics = seen(ODD[data])
    low, high = observer(name)(statistics, SPECS[spec])
    assert np.isfinite([low, high]).all() and low <= high
    assert min(statistics.low, 0) <= low and high <= max(statistics.high, 0)
    assert (low, high) == observer(name)(seen(ODD[data][::-1]), SPECS[spec])
    from_range(SPECS[spec], low, high)


@given(hnp.arrays(np.float32, st.integers(1, 60), elements=st.floats(-(2.0**100), 2.0**100, width=32)), st.sampled_from(RANGES),
       st.sampled_from(list(SPECS)))
@settings(max_examples=150)
def test_contract_on_anything(x: Array, name: str, spec: str) -> None:
    low, high = observer(name)(seen(x), SPECS[spec])
    assert min(float(x.min()), 0) <= low <= high <= max(float(x.max()), 0)


def test_minmax_is_the_whole_range(rng: np.random.Generator) -> None:
    x = rng.normal(2, 1, 5000).astype(np.float32)
    assert observer("minmax")(seen(x), ACTIVATION_U8) == (x.min(), x.max())


@pytest.mark.parametrize("draw", ["normal", "laplace", "standard_cauchy"])
def test_percentile_is_that_of_numpy(draw: str, rng: np.random.Generator) -> None:
    x = np.asarray(getattr(rng, draw)(size=400_000), np.float32)
    low, high = observer("percentile")(seen(x), ACTIVATION_U8)
    wanted = np.percentile(x.astype(np.float64), [0.001, 99.999], method="inverted_cdf")
    assert (low, high) == pytest.approx(tuple(wanted), rel=2.0**-7)
    assert high < x.max() and low > x.min()


@pytest.mark.parametrize("spec", ["u8", "s8 symmetric"])
@pytest.mark.parametrize("kind", ["gaussian", "relu", "laplace", "student", "outliers", "shifted", "sparse", "one-sided"])
def test_mse_is_within_a_few_percent_of_the_best_range_there_is(kind: str, spec: str, rng: np.random.Generator) -> None:
    x = sample(kind, rng)
    grid = SPECS[spec]
    got = error(x, grid, *observer("mse")(seen(x), grid))
    assert got <= 1.05 * brute_force(x, grid)
    assert got <= 1.001 * error(x, grid, float(x.min()), float(x.max()))


def sample(kind: str, rng: np.random.Generator) -> Array:
    n = 20_000
    normal = rng.normal(0, 1, n)
    out = {"gaussian": normal, "relu": np.maximum(normal, 0), "laplace": rng.laplace(size=n), "student": rng.standard_t(4, n),
           "outliers": np.append(normal, [14, -9]), "shifted": normal - 1.5, "sparse": np.where(rng.random(n) < 0.97, 0.0, normal),
           "one-sided": rng.exponential(size=n)}[kind]
    return out.astype(np.float32)


def brute_force(x: Array, spec: QuantSpec) -> float:
    """The smallest error over ranges with both ends on a grid of 1/40 of the extremes."""
    low, high = min(float(x.min()), 0), max(float(x.max()), 0)
    shares = np.arange(8, 41) / 40
    if spec.symmetric:
        return min(error(x, spec, -s * max(-low, high), s * max(-low, high)) for s in shares)
    return min(error(x, spec, a * low, b * high) for a in (shares if low else [0]) for b in (shares if high else [0]))


def test_entropy_clips_a_heavy_tail_and_leaves_a_gaussian(rng: np.random.Generator) -> None:
    tail = np.append(rng.normal(0, 1, 100_000), rng.uniform(50, 60, 20))
    low, high = observer("entropy")(seen(tail), ACTIVATION_U8)
    assert high < 0.5 * tail.max()
    assert high > 3  # and does not eat into the bulk
    gaussian = rng.normal(0, 1, 100_000)
    low, high = observer("entropy")(seen(gaussian), ACTIVATION_U8)
    assert max(-low, high) > 0.6 * np.abs(gaussian).max()


def test_entropy_keeps_the_range_of_a_relu6(rng: np.random.Generator) -> None:
    """Most values are exactly 0, some exactly 6; neither spike may drag the threshold down (it did, to an eighth of the range)."""
    x = np.clip(rng.normal(-1, 2.5, 200_000), 0, 6)
    low, high = entropy(seen(x), ACTIVATION_U8)
    assert low == 0
    assert high > 4


def test_entropy_searches(rng: np.random.Generator) -> None:
    """That of onnxruntime has as many bins as levels, so that its loop runs once and its answer is the whole range, always."""
    different = 0
    for seed in range(6):
        x = np.random.default_rng(seed).standard_t(3, 50_000)
        statistics = seen(x)
        different += observer("entropy")(statistics, ACTIVATION_U8) != observer("minmax")(statistics, ACTIVATION_U8)
    assert different == 6


def test_ranges_of_a_symmetric_grid_know_that_both_sides_share_a_scale(rng: np.random.Generator) -> None:
    """A lopsided tensor: on a symmetric grid the short side costs nothing, so it is never clipped."""
    x = np.append(rng.uniform(-0.1, 0, 1000), rng.normal(0, 1, 20000)).astype(np.float32)
    x = np.maximum(x, -0.1)
    low, _ = observer("mse")(seen(x), S8)
    assert low == pytest.approx(-0.1)
