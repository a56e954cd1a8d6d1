"""Statistics are of the set of samples: order, batching and merging do not show, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converter.calibrate import Statistics, store
from converter.calibrate.statistics import PATTERNS, SAMPLED, WAITING
from converter.errors import InputError
from converter.spec.quant import Array
from tests.arrays import load

VALUES = st.floats(-(2.0**20), 2.0**20, width=32)


def seen(x: Array, axis: int | None = None, cuts: tuple[int, ...] = ()) -> Statistics:
    out = Statistics(0 if axis is None else x.shape[axis])
    for part in np.split(x, cuts):
        out.update(part, axis)
    return out


def same(a: Statistics, b: Statistics) -> bool:
    return ((a.samples, a.channels, a.low, a.high) == (b.samples, b.channels, b.low, b.high)
            and np.array_equal(a.counts, b.counts) and np.array_equal(a.means, b.means))


@st.composite
def batches(draw: st.DrawFn) -> tuple[Array, int | None]:
    shape = draw(st.sampled_from([(6,), (6, 3), (6, 3, 4), (6, 2, 3, 5), (6, 16, 7, 7)]))
    axis = draw(st.sampled_from([None, *range(1, len(shape)), *([-1] if len(shape) > 1 else [])]))
    return draw(hnp.arrays(np.float32, shape, elements=VALUES, fill=st.just(0.1))), axis


@given(batches(), st.permutations(range(6)), st.lists(st.integers(0, 6), max_size=3).map(sorted))
@settings(max_examples=150)
def test_order_and_batching_do_not_show(case: tuple[Array, int | None], order: list[int], cuts: list[int]) -> None:
    x, axis = case
    assert same(seen(x, axis), seen(x[order], axis, tuple(cuts)))


@pytest.mark.parametrize("axis", [1, -1, 2])
def test_order_and_batching_do_not_show_on_large_random_samples(axis: int, rng: np.random.Generator) -> None:
    x = rng.normal(0.3, 3, (12, 24, 33, 17)).astype(np.float32)
    whole = seen(x, axis)
    assert same(whole, seen(x, axis, tuple(range(1, 12))))
    assert same(whole, seen(x[rng.permutation(12)], axis, (5, 7)))


@given(batches(), st.integers(0, 6))
def test_two_halves_merged_are_the_whole(case: tuple[Array, int | None], cut: int) -> None:
    x, axis = case
    first, second = (seen(part, axis) for part in np.split(x, [cut]))
    first.merge(second)
    assert same(first, seen(x, axis))


def test_statistics_of_other_channels_do_not_merge() -> None:
    with pytest.raises(ValueError, match="statistics of 3 and 4 channels"):
        Statistics(3).merge(Statistics(4))


@given(batches(), st.integers(0, 6))
@settings(max_examples=30)
def test_a_file_gives_back_what_was_saved_and_the_sweep_goes_on_from_it(tmp_path_factory: pytest.TempPathFactory, case: tuple[Array, int | None],
                                                                        cut: int) -> None:
    x, axis = case
    path = tmp_path_factory.mktemp("statistics") / "seen.npz"
    store.save(path, {"a/b:0": seen(x[:cut], axis) if cut else Statistics(0 if axis is None else x.shape[axis])})
    back = store.load(path)
    assert list(back) == ["a/b:0"]
    back["a/b:0"].update(x[cut:], axis)
    assert same(back["a/b:0"], seen(x, axis))


@pytest.mark.parametrize("content", [None, b"", b"no zip", b"PK\x03\x04 cut short"])
def test_a_file_that_is_no_statistics_file_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "seen.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=str(path)):
        store.load(path)


def test_a_file_with_a_part_missing_or_of_another_length_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "seen.npz"
    store.save(path, {"a": seen(np.ones((2, 3), np.float32), 1)})
    arrays = load(path)
    for broken in ({k: v for k, v in arrays.items() if k != "a|counts"}, {**arrays, "a|counts": np.zeros(7, np.int64)},
                   {**arrays, "a|limbs": np.zeros((2, 5), np.int64)}, {**arrays, "a|samples": np.zeros(0, np.int64)}):
        np.savez(path, **broken)
        with pytest.raises(InputError, match="not a statistics file"):
            store.load(path)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused_and_changes_nothing(bad: float, rng: np.random.Generator) -> None:
    x = rng.normal(0, 1, (4, 3)).astype(np.float32)
    statistics = seen(x, 1)
    y = x.copy()
    y[1, 2] = bad
    with pytest.raises(InputError, match="1 of 12 values are NaN or infinite"):
        statistics.update(y, 1)
    assert same(statistics, seen(x, 1))


def test_a_tensor_of_other_channels_is_refused() -> None:
    statistics = seen(np.ones((2, 3), np.float32), 1)
    with pytest.raises(InputError, match="4 channels do not go with statistics of 3"):
        statistics.update(np.ones((2, 4), np.float32), 1)
    assert statistics.samples == 2


def test_limits_are_exact_and_means_are_those_of_the_channels(rng: np.random.Generator) -> None:
    x = (rng.normal(0, 1, (9, 5, 7, 3)) + np.arange(5)[:, None, None]).astype(np.float32)
    got = seen(x, 1, (4,))
    assert (got.low, got.high) == (x.min(), x.max())
    np.testing.assert_allclose(got.means, x.astype(np.float64).mean(axis=(0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(seen(x, -1).means, x.astype(np.float64).mean(axis=(0, 1, 2)), rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e3, 1e8])
def test_means_are_accurate_at_every_magnitude(scale: float, rng: np.random.Generator) -> None:
    x = (rng.uniform(0.5, 1, (16, 4)) * scale).astype(np.float32)
    np.testing.assert_allclose(seen(x, 1).means, x.astype(np.float64).mean(axis=0), rtol=1e-5)


def test_samples_of_other_sizes_count_by_sample() -> None:
    """A mean over samples: an image of twice the size does not weigh twice."""
    statistics = Statistics(1)
    statistics.update(np.full((1, 1, 2, 2), 1, np.float32), 1)
    statistics.update(np.full((1, 1, 8, 8), 3, np.float32), 1)
    assert (statistics.means.tolist(), statistics.samples, int(statistics.counts.sum())) == ([2.0], 2, 68)


@given(hnp.arrays(np.float32, (4, 50), elements=st.floats(-(2.0**60), 2.0**60, width=32, allow_subnormal=False)))
def test_the_histogram_is_exact_to_2_to_the_minus_7(x: Array) -> None:
    values, counts = seen(x).histogram()
    assert counts.sum() == x.size and (np.diff(values) >= 0).all()
    exact, got = np.sort(x.ravel()).astype(np.float64), np.repeat(values, counts)
    assert (np.abs(exact - got) <= 2.0**-7 * np.abs(exact) + 1e-38).all()
    assert values.min() >= x.min() and values.max() <= x.max()


def test_a_tensor_that_is_always_0(rng: np.random.Generator) -> None:
    for zero in (0.0, -0.0):
        statistics = seen(np.full((3, 4, 5), zero, np.float32), 1)
        values, counts = statistics.histogram()
        assert (statistics.low, statistics.high, set(values.tolist()), counts.sum()) == (0, 0, {0.0}, 60)
        assert not statistics.means.any()


def test_nothing_seen() -> None:
    statistics = Statistics(2)
    statistics.update(np.zeros((0, 2), np.float32), 1)
    assert statistics.samples == 0 and statistics.means.tolist() == [0, 0] and len(statistics.histogram()[0]) == 0


def test_a_large_sample_is_thinned_evenly() -> None:
    """The stride shares no factor with the size, so every channel is seen whatever axis it lies on."""
    for shape in ((1, 64, 112, 112), (1, 3, 224, 224), (1, 128 * 1024)):
        assert SAMPLED / 2 < seen(np.ones(shape, np.float32)).counts.sum() <= SAMPLED + 1
    channels = np.tile(np.exp2(np.arange(64) / 2).astype(np.float32), 112 * 112).reshape(1, 112, 112, 64)
    for x in (channels, np.ascontiguousarray(np.moveaxis(channels, -1, 1))):
        values, counts = seen(x).histogram()
        assert len(values) == 64 and counts.min() > 0.8 * counts.mean()


def test_memory_does_not_grow_with_the_data(rng: np.random.Generator) -> None:
    """Patterns wait to be counted together, but never many of them."""
    statistics, most = Statistics(8), 0
    for _ in range(40):
        statistics.update(rng.normal(0, 1, (16, 8, 64)).astype(np.float32), 1)
        most = max(most, waiting(statistics))
    assert 0 < most <= 4 * WAITING
    assert statistics.counts.sum() == 40 * 16 * 8 * 64
    assert statistics.counts.shape == (PATTERNS,) and statistics.limbs.shape == (2, 8)
    assert not waiting(statistics)


def waiting(statistics: Statistics) -> int:
    return sum(w.nbytes for kind in ("_patterns", "_means") for w in vars(statistics)[kind])


def test_patterns_that_wait_are_merged_too(rng: np.random.Generator) -> None:
    x = rng.normal(0, 1, (6, 9)).astype(np.float32)
    first, second = seen(x[:2]), seen(x[2:])
    first.merge(second)
    first.merge(Statistics())
    assert np.array_equal(first.counts, seen(x).counts) and first.counts.sum() == 54
    assert second.counts.sum() == 36


def test_a_batch_without_channel_means_cannot_thin_those_that_are_there(rng: np.random.Generator) -> None:
    """A statistics file of another recipe: were the samples counted, the means would be too small."""
    statistics = seen(rng.normal(1, 1, (4, 3)).astype(np.float32), 1)
    with pytest.raises(InputError, match="no channel means go with statistics of 3 channels"):
        statistics.update(np.ones((4, 3), np.float32))
    assert statistics.samples == 4
