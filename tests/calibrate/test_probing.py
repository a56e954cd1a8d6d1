"""Large feature maps are reduced inside the graph, and give what walking over the whole tensor would give."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from converter.calibrate import Statistics
from converter.calibrate.collect import collect
from converter.calibrate.probing import GRID, Probe, Reduced, Whole, probed
from converter.calibrate.statistics import PATTERN_VALUES, SAMPLED, patterns
from converter.errors import InputError
from converter.spec.quant import Array
from converter.verify.session import Session
from tests.quantize.graphs import Arrays, graph, outputs, weights

BODY = """
    c = Conv<pads = [1,1,1,1]>(x, w, b)
    r = Clip(c, zero, six)
    d = Conv<pads = [1,1,1,1]>(r, v, b)
    s = Add(d, c)
    e = Conv<strides = [8,8]>(s, v, b)
    t = Transpose<perm = [0,2,3,1]>(s)
    m = MatMul(t, u)
"""
ARRAYS = {"w": weights(16, 3, 3, 3), "v": weights(16, 16, 3, 3), "u": weights(16, 16), "b": weights(16),
          "zero": np.float32(0), "six": np.float32(6)}
OUTPUTS = "(float[N,3,80,72] x) => (float[N,16,80,72] c, float[N,16,80,72] r, float[N,16,80,72] s, float[N,16,10,9] e, float[N,80,72,16] m)"
ALL = [Probe("x", 1), Probe("c"), Probe("r", 1), Probe("s", 1), Probe("e"), Probe("m", -1)]


@pytest.fixture(scope="module")
def model() -> ir.Model:
    return graph(OUTPUTS, BODY, **ARRAYS)


@pytest.fixture(scope="module")
def feeds() -> dict[str, Array]:
    return {"x": np.random.default_rng(3).normal(0.3, 1.5, (11, 3, 80, 72)).astype(np.float32)}


def kinds(model: ir.Model, probes: list[Probe]) -> dict[str, type]:
    return {r.probe.name: type(r) for r in probed(model, probes)[1]}


def test_only_large_maps_with_channels_first_are_reduced(model: ir.Model) -> None:
    assert kinds(model, ALL) == {"x": Whole, "c": Reduced, "r": Reduced, "s": Reduced, "e": Whole, "m": Whole}


def test_a_map_that_is_read_along_another_axis_or_made_by_no_convolution_is_taken_whole(model: ir.Model) -> None:
    """Its last axis may be channels: a grid along it would never see some of them."""
    assert kinds(model, [Probe("c", -1), Probe("s"), Probe("t")]) == {"c": Whole, "s": Whole, "t": Whole}


def test_a_map_of_unknown_size_is_taken_whole() -> None:
    free = graph("(float[N,3,h,w2] x) => (float[N,16,h,w2] c)", "c = Conv<pads = [1,1,1,1]>(x, w, b)", w=ARRAYS["w"], b=ARRAYS["b"])
    assert kinds(free, [Probe("c")]) == {"c": Whole}


def test_the_model_itself_stays_as_it_was(model: ir.Model) -> None:
    before = ([v.name for v in model.graph.outputs], len(list(model.graph)))
    probed(model, ALL)
    assert ([v.name for v in model.graph.outputs], len(list(model.graph))) == before


@pytest.mark.parametrize("name", ["c", "r", "s"])
def test_what_the_graph_reduces_is_what_the_whole_tensor_holds(model: ir.Model, feeds: dict[str, Array], name: str) -> None:
    full = outputs(model, feeds)[name]
    changed, (reader,) = probed(model, [Probe(name, 1)])
    got = reader.read(Session(changed).run(feeds), 11)
    grid = full[:, :, ::2, ::2]
    assert SAMPLED < grid[0].size <= GRID < full[0].size
    np.testing.assert_allclose(PATTERN_VALUES[got.patterns], PATTERN_VALUES[patterns(grid)], rtol=2**-7 + 1e-4, atol=1e-5)
    assert got.means is not None
    np.testing.assert_allclose(got.means, full.mean(axis=(2, 3)), rtol=1e-4, atol=1e-5)
    assert (got.low, got.high) == pytest.approx((full.min(), full.max()), rel=1e-4)


def test_samples_that_fill_up_a_batch_are_not_read(model: ir.Model, feeds: dict[str, Array]) -> None:
    """The filling of a batch is the copy of a sample that counts; here it is another one, so that it would show."""
    changed, (reader,) = probed(model, [Probe("r", 1)])
    x = feeds["x"].copy()
    x[5:] *= 0.01
    x[:5] = 0.0
    got, whole = (reader.read(Session(changed).run({"x": part}), 5) for part in (x, x[:5]))
    assert got.high == pytest.approx(whole.high, rel=1e-5)
    assert got.means is not None
    assert whole.means is not None
    assert got.patterns.shape == whole.patterns.shape
    np.testing.assert_allclose(got.means, whole.means, rtol=1e-5)


def test_the_low_end_of_an_activation_is_its_floor_even_where_no_value_reached_it(model: ir.Model, feeds: dict[str, Array]) -> None:
    lifted = graph(OUTPUTS, BODY, **{**ARRAYS, "b": np.full(16, 4, np.float32), "w": ARRAYS["w"] * np.float32(1e-3)})
    got = collect(lifted, [Probe("r", 1), Probe("c")], Arrays(feeds))
    assert got["r"].low == 0
    assert got["c"].low == pytest.approx(outputs(lifted, feeds)["c"].min(), rel=1e-5)
    assert got["c"].low > 3


@pytest.mark.parametrize("floor", [-0.25, 0.5])
def test_a_clip_with_another_floor_has_its_minimum_read(floor: float) -> None:
    model = graph("(float[N,3,80,72] x) => (float[N,16,80,72] r)", "c = Conv<pads = [1,1,1,1]>(x, w, b)\n r = Clip(c, low, high)",
                  w=ARRAYS["w"], b=ARRAYS["b"], low=np.float32(floor), high=np.float32(3))
    x = np.random.default_rng(0).normal(0, 2, (2, 3, 80, 72)).astype(np.float32)
    assert collect(model, [Probe("r", 1)], Arrays({"x": x}))["r"].low == floor


@pytest.mark.parametrize("cut", [1, 4])
def test_order_and_batches_of_large_maps_do_not_show(model: ir.Model, feeds: dict[str, Array], cut: int) -> None:
    whole = collect(model, ALL, Arrays(feeds))
    mixed = collect(model, ALL, Arrays(feeds, np.random.default_rng(1).permutation(11), cut))
    for name, a in whole.items():
        b = mixed[name]
        assert (a.low, a.high, a.samples) == (b.low, b.high, b.samples)
        assert np.array_equal(a.counts, b.counts)
        assert np.array_equal(a.limbs, b.limbs)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_large_map_that_is_not_finite_is_named(model: ir.Model, bad: float) -> None:
    """A maximum may pass over a NaN; the mean of its channel does not."""
    x = np.zeros((3, 3, 80, 72), np.float32)
    x[1, 0, 20, 20] = bad
    with pytest.raises(InputError, match=r"tensor c: values are NaN or infinite in \d+ of 48 channels of samples; the model or"):
        collect(model, [Probe("c", 1)], Arrays({"x": x}))


def test_statistics_with_other_channels_are_refused_for_large_maps_too(model: ir.Model, feeds: dict[str, Array]) -> None:
    with pytest.raises(InputError, match="tensor r: 16 channels do not go with statistics of 5"):
        collect(model, [Probe("r", 1)], Arrays(feeds), seen={"r": Statistics(5)})
