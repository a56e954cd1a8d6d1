"""Integer weights: inside the limits and the pair bound whatever the weights are, and no worse than either plain way of getting there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from converter.quantize import weights
from converter.spec.quant import WEIGHT_S8, Array
from converter.verify.kernel_order import Layer, k_order
from converter.verify.kernels import pair_limit, proof, saturates, worst_pair

LAYOUTS = {"Conv": ("Conv", 0, 1, False), "grouped Conv": ("Conv", 0, 2, False), "Gemm": ("Gemm", 1, 1, False),
           "Gemm transB": ("Gemm", 0, 1, True), "MatMul": ("MatMul", 1, 1, False)}


def shapes(layout: str) -> st.SearchStrategy[tuple[int, ...]]:
    if "Conv" in layout:
        return st.tuples(st.sampled_from([2, 4, 6]), st.integers(1, 5), st.integers(1, 3), st.integers(1, 3))
    return st.tuples(st.integers(1, 9), st.integers(1, 9))


@st.composite
def layers(draw: st.DrawFn) -> tuple[str, Array]:
    """Any layout; weights of wild shapes: mostly of one sign, so that pairs clip."""
    layout = draw(st.sampled_from(list(LAYOUTS)))
    values = st.one_of(st.floats(-1, 1, width=32), st.floats(0.5, 1, width=32), st.sampled_from([0.0, 1.0, -1.0]))
    return layout, draw(hnp.arrays(np.float32, draw(shapes(layout)), elements=values))


def encode(layout: str, w: Array, **more: object) -> weights.Codes:
    op_type, axis, group, transposed = LAYOUTS[layout]
    return weights.encode(w, axis, WEIGHT_S8, op_type=op_type, group=group, transposed=transposed, **more)  # type: ignore[arg-type]


def error_of(w: Array, codes: weights.Codes, axis: int) -> Array:
    """Squared error of every channel."""
    scale = codes.params.scale.astype(np.float64).reshape([-1 if a == axis else 1 for a in range(w.ndim)])
    wrong = np.moveaxis(codes.codes * scale - w, axis, 0)
    return np.asarray((wrong.reshape(len(wrong), -1)**2).sum(axis=1))


def ordered(layout: str, w: Array) -> Array | None:
    op_type, _, group, transposed = LAYOUTS[layout]
    return k_order(op_type, w, group=group, transposed=transposed)


def rounded(rows: Array, scale: Array) -> Array:
    return np.clip(np.rint(rows / scale.astype(np.float32)[:, None]), -127, 127).astype(np.int8)


def finest_of(rows: Array) -> Array:
    top = np.abs(rows).max(axis=1).astype(np.float64)
    return np.where(top > 1e-30, top, 127.0) / 127


@given(layers())
@settings(max_examples=200)
def test_codes_are_inside_the_limits_and_the_pair_bound_in_the_order_of_the_kernel(case: tuple[str, Array]) -> None:
    layout, w = case
    op_type, _, group, transposed = LAYOUTS[layout]
    codes = encode(layout, w)
    assert codes.codes.dtype == np.int8 and codes.codes.shape == w.shape
    assert codes.codes.min() >= -127
    assert proof(Layer(op_type, codes.codes, group, transposed)).safe


@given(layers())
@settings(max_examples=200)
def test_error_is_never_worse_than_a_coarser_channel_or_moved_pairs_alone(case: tuple[str, Array]) -> None:
    layout, w = case
    axis, rows = LAYOUTS[layout][1], ordered(layout, w)
    if rows is None:
        return
    ours = error_of(w, encode(layout, w), axis)
    coarser, moved = shrunk_error(rows), projected_error(rows)
    room = 1e-12 + 1e-8 * (rows.astype(np.float64)**2).sum(axis=1)  # scales are float32
    assert (ours <= coarser + room).all()
    assert (ours <= moved + room).all()


def shrunk_error(rows: Array) -> Array:
    """Every channel's scale made coarser until its rounded codes fit, and nothing else."""
    scale = finest_of(rows)
    while (bad := worst_pair(rounded(rows, scale)) > 128).any():
        scale = np.where(bad, scale * worst_pair(rounded(rows, scale)) / 128, scale)
    scale = scale.astype(np.float32)
    return np.asarray(((rounded(rows, scale) * scale[:, None].astype(np.float64) - rows)**2).sum(axis=1))


def projected_error(rows: Array) -> Array:
    """The finest scale, and every pair outside the bound at the best of all pairs on it, found by trying them."""
    scale = finest_of(rows).astype(np.float32)
    codes = rounded(rows, scale).astype(np.int64)
    for channel, row in enumerate(codes):
        for j in range(0, len(row) - 1, 2):
            a, b = row[j], row[j + 1]
            if np.sign(a) == np.sign(b) and abs(a + b) > 128:
                first = np.arange(1, 128)
                sign, real = np.sign(a), rows[channel, j:j + 2].astype(np.float64) / scale[channel]
                best = np.argmin((sign * first - real[0])**2 + (sign * (128 - first) - real[1])**2)
                codes[channel, j:j + 2] = sign * first[best], sign * (128 - first[best])
    return np.asarray(((codes * scale[:, None].astype(np.float64) - rows)**2).sum(axis=1))


@pytest.mark.parametrize("power", [0.3, 1.0, 2.0])
def test_looking_where_the_error_is_likely_small_beats_an_even_search_of_the_same_cost(power: float, rng: np.random.Generator) -> None:
    w = np.abs(rng.normal(0, 1, (64, 6, 3, 3))).astype(np.float32) ** power
    pairs = w.reshape(64, -1, 2).transpose(2, 0, 1).copy()
    finest = (np.abs(w).reshape(64, -1).max(axis=1) / 127).astype(np.float32)
    reach = weights._plain_reach(pairs, finest)
    found = float(weights._errors(pairs, weights._best_scale(pairs, finest, reach)[None]).sum())

    def even(count: int) -> float:
        scales = (finest * reach ** np.linspace(0, 1, count)[:, None]).astype(np.float32)
        return float(weights._errors(pairs, scales).min(axis=0).sum())

    assert found <= even(weights.CLOSE + 2)
    assert found < 1.03 * even(400)


def test_expected_error_is_near_the_error_that_comes_about(rng: np.random.Generator) -> None:
    w = rng.uniform(-1, 1, (8, 20_000)).astype(np.float32)
    pairs = w.reshape(8, -1, 2).transpose(2, 0, 1).copy()
    finest = np.full(8, 1 / 127, np.float32)
    widened = np.array([[1.0], [1.3], [1.9]]) * np.ones(8)
    expected = weights._expected(pairs, finest, widened) * finest.astype(np.float64) ** 2
    np.testing.assert_allclose(expected, weights._errors(pairs, (finest * widened).astype(np.float32)), rtol=0.05)


def test_errors_do_not_depend_on_the_block(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = rng.normal(0, 60, (2, 7, 33)).astype(np.float32)
    scales = rng.uniform(0.5, 2, (5, 7)).astype(np.float32)
    whole = weights._errors(pairs, scales)
    monkeypatch.setattr(weights, "BLOCK", 5 * 33 * 2)
    np.testing.assert_allclose(weights._errors(pairs, scales), whole, rtol=1e-6)


@given(layers())
def test_channels_that_do_not_saturate_keep_their_finest_scale_and_their_rounding(case: tuple[str, Array]) -> None:
    layout, w = case
    axis, rows = LAYOUTS[layout][1], ordered(layout, w)
    codes = encode(layout, w)
    plain = encode(layout, w, pairs=False)
    calm = np.ones(w.shape[axis], bool) if rows is None else ~saturates(rounded(rows, finest_of(rows)))
    np.testing.assert_array_equal(codes.params.scale[calm], plain.params.scale[calm])
    np.testing.assert_array_equal(np.moveaxis(codes.codes, axis, 0)[calm], np.moveaxis(plain.codes, axis, 0)[calm])
    assert (codes.widened[calm] == 1).all()


def test_scales_lie_along_the_output_channel() -> None:
    w = np.zeros((3, 2, 1, 1), np.float32)
    w[:, 0, 0, 0] = [1.27, 12.7, 127]
    codes = encode("Conv", w)
    np.testing.assert_allclose(codes.params.scale, [0.01, 0.1, 1], rtol=1e-6)
    assert (codes.params.axis, codes.codes[:, 0, 0, 0].tolist()) == (0, [127, 127, 127])
    dense = encode("Gemm", w[:, 0, 0, 0].reshape(1, 3))
    np.testing.assert_allclose(dense.params.scale, [0.01, 0.1, 1], rtol=1e-6)
    assert dense.params.axis == 1


def test_a_depthwise_layer_has_no_pairs_to_keep_apart() -> None:
    w = np.ones((8, 1, 3, 3), np.float32)
    codes = weights.encode(w, 0, WEIGHT_S8, op_type="Conv", group=8)
    assert (codes.moved, codes.codes.min()) == (0, 127)


def test_neighbours_are_those_of_the_kernel_not_of_the_file() -> None:
    """Channels last: input channels are neighbours. Along the width, as the file has it, 127 and 127 are no pair here."""
    w = np.zeros((2, 2, 1, 2), np.float32)
    w[:, 0] = 1
    assert encode("Conv", w).codes[0, :, 0].tolist() == [[127, 127], [0, 0]]
    assert (encode("Conv", np.ones((2, 2, 1, 1), np.float32)).codes <= 64).all()


@pytest.mark.parametrize(("second", "touched"), [(1, False), (2, True), (-2, False)])
def test_128_is_inside_the_bound_and_129_is_not(second: int, touched: bool) -> None:
    codes = encode("MatMul", np.array([[127], [second]], np.float32))
    assert (codes.codes.ravel().tolist() != [127, second]) == touched


def test_one_loud_channel_does_not_cost_the_others() -> None:
    w = np.full((4, 8, 1, 1), 0.001, np.float32)
    w[:, ::2] = [[[[1.0]]]]
    w[2] = 1.0
    codes = encode("Conv", w)
    assert codes.widened[[0, 1, 3]].tolist() == pytest.approx([1, 1, 1])
    assert codes.widened[2] == pytest.approx(127 / 64, rel=0.02) or codes.moved


def test_dead_channels_and_all_zero_weights() -> None:
    w = np.zeros((3, 4, 1, 1), np.float32)
    w[1] = 0.5
    codes = encode("Conv", w)
    assert (codes.codes[[0, 2]] == 0).all() and np.isfinite(codes.params.scale).all() and (codes.params.scale > 0).all()
    room = encode("Conv", w, smallest=np.array([1e-6, 1e-9, 0.0]))
    np.testing.assert_allclose(room.params.scale[[0, 2]], [1e-6, 1], rtol=1e-6)


def test_scales_are_not_smaller_than_the_bias_needs() -> None:
    w = np.full((2, 3, 1, 1), 1e-6, np.float32)
    codes = encode("Conv", w, smallest=np.array([0.0, 0.25]))
    assert codes.params.scale[1] == np.float32(0.25) and codes.params.scale[0] < 1e-6


@given(hnp.arrays(np.float32, (2, 3, 4), elements=st.floats(-127, 127, width=32)))
def test_a_moved_pair_lies_on_the_bound_and_the_rest_is_rounding(real: Array) -> None:
    codes, count = weights._project(real, WEIGHT_S8)
    even, odd = codes.astype(int)
    plain = np.rint(real)
    over = np.abs(plain[0] + plain[1]) > pair_limit()
    assert count == over.sum()
    assert (np.abs(even + odd)[over] == pair_limit()).all() and (np.abs(even + odd) <= pair_limit()).all()
    np.testing.assert_array_equal(codes[:, ~over], plain[:, ~over])
    assert (np.sign(codes[:, over]) == np.sign(real[:, over])).all()
    for pair, got in zip(real[:, over].T, codes[:, over].T, strict=True):
        first = np.arange(1, 128)
        best = ((first - abs(pair[0]))**2 + (128 - first - abs(pair[1]))**2).min()
        assert (np.abs(got) - np.abs(pair)) @ (np.abs(got) - np.abs(pair)) == pytest.approx(best, abs=1e-3)
