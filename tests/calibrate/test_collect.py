"""The sweep through onnxruntime: the same numbers however the data comes, and clear words where it cannot be used."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import onnx_ir as ir
import pytest

from converter.calibrate import Statistics
from converter.calibrate import collect as sweep
from converter.calibrate.collect import LARGEST_BATCH, Pace, collect, filled, pace_of
from converter.calibrate.probing import Probe
from converter.data import Batch
from converter.errors import InputError
from converter.graph import io
from converter.quantize.insert import insert
from converter.quantize.road import probes_of
from converter.quantize.solve import solve
from converter.spec.quant import Array
from tests.quantize.graphs import TARGET, Arrays, graph, outputs, plan_of, weights

BODY = """
    c = Conv<pads = [1,1,1,1], strides = [2,2]>(x, w, b)
    r = Relu(c)
    d = Conv<group = 8, pads = [1,1,1,1]>(r, v, b)
    g = GlobalAveragePool(d)
    f = Flatten(g)
    y = Gemm<transB = 1>(f, u, h)
"""
ARRAYS = {"w": weights(8, 3, 3, 3), "v": weights(8, 1, 3, 3), "u": weights(5, 8), "b": weights(8), "h": weights(5)}


@pytest.fixture(scope="module")
def model() -> ir.Model:
    return graph("(float[N,3,12,12] x) => (float[N,5] y)", BODY, **ARRAYS)


@pytest.fixture(scope="module")
def feeds() -> dict[str, Array]:
    return {"x": np.random.default_rng(7).normal(0.2, 1, (70, 3, 12, 12)).astype(np.float32)}


def same(a: Mapping[str, Statistics], b: Mapping[str, Statistics]) -> bool:
    return list(a) == list(b) and all(
        (a[n].low, a[n].high, a[n].samples) == (b[n].low, b[n].high, b[n].samples)
        and np.array_equal(a[n].counts, b[n].counts) and np.array_equal(a[n].means, b[n].means) for n in a)


@pytest.mark.parametrize("cut", [None, 1, 7, 32])
def test_order_and_batches_of_the_data_do_not_show(model: ir.Model, feeds: dict[str, Array], cut: int | None) -> None:
    """70 samples: the last batch is never full."""
    probes = probes_of(plan_of(model)[0])
    whole = collect(model, probes, Arrays(feeds))
    mixed = collect(model, probes, Arrays(feeds, np.random.default_rng(1).permutation(70), cut))
    assert same(whole, mixed)
    assert {s.samples for s in whole.values()} == {70}


def test_shuffled_data_gives_the_same_file_byte_for_byte(model: ir.Model, feeds: dict[str, Array]) -> None:
    plan = plan_of(model)[0]
    files = [io.to_bytes(insert(model, plan, solve(plan, model, collect(model, probes_of(plan), source), TARGET)))
             for source in (Arrays(feeds), Arrays(feeds, np.arange(70)[::-1], 3))]
    assert files[0] == files[1]


def test_the_filling_of_the_last_batch_is_not_counted(model: ir.Model) -> None:
    """Its last sample is an outlier: were the copies counted, the counts would tell."""
    x = np.zeros((3, 3, 12, 12), np.float32)
    x[-1] = 100
    got = collect(model, [Probe("x", 1)], Arrays({"x": x}))["x"]
    assert (got.samples, int(got.counts.sum())) == (3, x.size)
    np.testing.assert_allclose(got.means, 100 / 3, rtol=1e-6)


def test_filled_repeats_the_last_sample() -> None:
    batch = Batch({"x": np.array([[1.0], [2.0]], np.float32)}, None)
    assert filled(batch, 4)["x"].tolist() == [[1], [2], [2], [2]]
    assert filled(batch, 2)["x"] is batch.inputs["x"]


def test_statistics_are_those_of_the_tensors(model: ir.Model, feeds: dict[str, Array]) -> None:
    got = collect(model, [Probe("r", 1), Probe("x"), Probe("f", -1)], Arrays(feeds))
    c = outputs(graph("(float[N,3,12,12] x) => (float[N,8,6,6] r)", BODY.split(" d =")[0], **ARRAYS), feeds)["r"]
    assert (got["r"].low, got["r"].high) == pytest.approx((c.min(), c.max()), rel=1e-5)
    np.testing.assert_allclose(got["r"].means, c.mean(axis=(0, 2, 3)), rtol=1e-4)
    assert (got["x"].low, got["x"].high, got["x"].channels) == (feeds["x"].min(), feeds["x"].max(), 0)
    assert got["f"].channels == 8


def test_a_sweep_in_two_halves_is_the_whole(model: ir.Model, feeds: dict[str, Array]) -> None:
    probes = probes_of(plan_of(model)[0])
    first = collect(model, probes, Arrays(feeds, np.arange(0, 31)))
    assert same(collect(model, probes, Arrays(feeds, np.arange(31, 70)), seen=first), collect(model, probes, Arrays(feeds)))


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Images of several sizes, a batch each."""

    arrays: tuple[Array, ...]
    name: str = "sizes"
    count: int | None = None

    def batches(self, size: int) -> Iterator[Batch]:
        for array in self.arrays:
            for start in range(0, len(array), size):
                yield Batch({"x": array[start:start + size]}, None)


def test_sizes_may_change_between_batches() -> None:
    free = graph("(float[N,3,h,w2] x) => (float[N,5] y)", BODY, **ARRAYS)
    rng = np.random.default_rng(3)
    images = tuple(rng.normal(0, 1, (n, 3, *hw)).astype(np.float32) for n, hw in ((2, (8, 8)), (3, (16, 10)), (1, (9, 21))))
    probes = probes_of(plan_of(free)[0])
    got = collect(free, probes, Sizes(images))
    assert {s.samples for s in got.values()} == {6}
    assert same(got, collect(free, probes, Sizes(images[::-1])))
    assert got["x"].high == max(a.max() for a in images)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_tensor_that_is_not_finite_is_named(bad: float) -> None:
    model = graph("(float[N,4] x) => (float[N,3] y)", "l = Log(x)\n y = Gemm(l, w)", w=weights(4, 3))
    x = np.ones((2, 4), np.float32)
    x[1, 1] = -1 if np.isnan(bad) else 0
    with pytest.raises(InputError, match="tensor l: 1 of 8 values are NaN or infinite; the model or the calibration data"):
        collect(model, [Probe("x"), Probe("l", -1)], Arrays({"x": x}))


def test_a_tensor_that_is_empty_in_one_batch_is_not_seen_there_and_seen_in_the_next() -> None:
    """What a detector finds may be nothing."""
    model = graph("(float[N,4,h] x) => (float[N,4,h] y)", "y = Relu(x)")
    images = (np.zeros((2, 4, 0), np.float32), np.full((3, 4, 5), 2, np.float32))
    got = collect(model, [Probe("y", 1)], Sizes(images))["y"]
    assert (got.samples, got.high, got.means.tolist()) == (3, 2, [2, 2, 2, 2])


def test_no_sample_is_refused(model: ir.Model) -> None:
    with pytest.raises(InputError, match="arrays holds no sample"):
        collect(model, [Probe("x")], Arrays({"x": np.zeros((0, 3, 12, 12), np.float32)}))


def test_statistics_of_another_model_are_refused(model: ir.Model, feeds: dict[str, Array]) -> None:
    with pytest.raises(InputError, match="tensor x: 3 channels do not go with statistics of 4"):
        collect(model, [Probe("x", 1)], Arrays(feeds), seen={"x": Statistics(4)})


def test_progress_hears_of_every_sample(model: ir.Model, feeds: dict[str, Array]) -> None:
    heard: list[int] = []
    collect(model, [Probe("x")], Arrays(feeds), progress=heard.append)
    assert sum(heard) == 70


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_cores", lambda: 4)


@pytest.mark.usefixtures("cores")
def test_batches_are_large_where_tensors_are_small_and_one_where_they_are_large() -> None:
    small = graph("(float[N,4] x) => (float[N,3] y)", "y = Gemm(x, w)", w=weights(4, 3))
    assert pace_of(small, [Probe("x"), Probe("y")]) == Pace(LARGEST_BATCH, workers=4, threads=1)
    large = graph("(float[N,64,2000,2000] x) => (float[N,64,2000,2000] y)", "y = Relu(x)")
    assert pace_of(large, [Probe("x")]) == Pace(1, workers=1, threads=4)
    between = graph("(float[N,3,2000,2000] x) => (float[N,3,2000,2000] y)", "y = Relu(x)")
    assert pace_of(between, [Probe("x")]) == Pace(1, workers=2, threads=2)


def test_a_model_of_a_fixed_batch_is_run_in_that_batch() -> None:
    fixed = graph("(float[2,4] x) => (float[2,3] y)", "y = Gemm(x, w)", w=weights(4, 3))
    got = collect(fixed, [Probe("x"), Probe("y")], Arrays({"x": weights(5, 4)}))
    assert pace_of(fixed, []).batch == 2 and got["y"].samples == 5
