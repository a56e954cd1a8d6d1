"""Streaming fidelity: its numbers against the formulas on the whole, and its refusal to be flattered."""

import math

import numpy as np
import pytest

from converter.errors import InputError
from converter.verify.divergence import ClassScores, is_distribution
from converter.verify.fidelity import Fidelity, FidelityResult

Array = np.ndarray
RNG = np.random.default_rng(3)
REFERENCE = RNG.normal(0, 2, (50, 7)).astype(np.float32)
CANDIDATE = (REFERENCE + RNG.normal(0, 0.3, REFERENCE.shape)).astype(np.float32)


def run(reference: Array, other: Array, cuts: tuple[int, ...] = ()) -> FidelityResult:
    fidelity = Fidelity()
    for r, o in zip(np.split(reference, cuts), np.split(other, cuts), strict=True):
        fidelity.update(r, o)
    return fidelity.result()


def softmax(z: Array) -> Array:
    e = np.exp(z.astype(np.float64) - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def divergence(p: Array, q: Array) -> Array:
    return (p * (np.log(p) - np.log(q))).sum(-1)


def test_numbers_are_those_of_the_definitions() -> None:
    got = run(REFERENCE, CANDIDATE)
    error = CANDIDATE.astype(np.float64) - REFERENCE
    kl = divergence(softmax(REFERENCE), softmax(CANDIDATE))
    assert (got.samples, got.values, got.dtype, got.non_finite) == (50, 350, "float32", 0)
    assert got.snr_db == pytest.approx(10 * math.log10((REFERENCE.astype(np.float64) ** 2).sum() / (error**2).sum()))
    assert got.max_abs == np.abs(error).max()
    assert got.span == np.ptp(REFERENCE)
    assert got.peak == np.abs(REFERENCE).max()
    assert got.relative == pytest.approx(got.max_abs / np.ptp(REFERENCE))
    assert got.kl == pytest.approx(kl.mean())
    assert got.kl_se == pytest.approx(kl.std() / math.sqrt(50))
    assert got.agreement == np.mean(REFERENCE.argmax(-1) == CANDIDATE.argmax(-1))
    assert got.agreement not in (0, 1)
    share = np.abs(error).max(0) / np.ptp(REFERENCE, 0)
    assert got.channel == share.argmax()
    assert got.channel_relative == pytest.approx(share.max())
    assert got.channel_error == pytest.approx(np.abs(error).max(0)[share.argmax()])


def test_the_direction_of_the_divergence_is_from_the_reference() -> None:
    got = run(np.array([[5.0, 0.0]]), np.array([[0.0, 0.0]]))
    assert got.kl == pytest.approx(divergence(softmax(np.array([5.0, 0.0])), np.array([0.5, 0.5])))


def test_equal_outputs_stand_at_the_cap() -> None:
    got = run(REFERENCE, REFERENCE)
    assert (got.snr_db, got.max_abs, got.relative, got.kl, got.agreement) == (200.0, 0.0, 0.0, 0.0, 1.0)


def close(a: FidelityResult, b: FidelityResult) -> bool:
    return all(getattr(b, name) == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value) for name, value in vars(a).items())


@pytest.mark.parametrize("probabilities", [False, True])
def test_order_and_batching_do_not_matter_and_halves_merge(probabilities: bool) -> None:
    reference, other = (softmax(REFERENCE), softmax(CANDIDATE)) if probabilities else (REFERENCE, CANDIDATE)
    whole = run(reference, other)
    order = RNG.permutation(50)
    assert close(whole, run(reference[order], other[order], (1, 2, 30)))
    left, right = Fidelity(), Fidelity()
    left.update(reference[:20], other[:20])
    right.update(reference[20:], other[20:])
    left.merge(right)
    left.merge(Fidelity())
    assert close(whole, left.result())
    empty = Fidelity()
    empty.merge(left)
    assert close(whole, empty.result())


def test_probabilities_are_not_softmaxed_twice() -> None:
    p, q = softmax(REFERENCE), softmax(CANDIDATE)
    assert run(p, q).kl == pytest.approx(divergence(p, q).mean())
    assert run(p.astype(np.float16), q.astype(np.float16)).kl == pytest.approx(divergence(p, q).mean(), rel=0.02)


def test_rounded_probabilities_with_zeros_have_a_finite_divergence() -> None:
    p = softmax(REFERENCE * 4)
    q = np.round(p * 256) / 256
    floored = np.maximum(q, 1e-12)
    assert (q == 0).any()
    assert run(p, q).kl == pytest.approx(divergence(np.maximum(p, 1e-12), floored / floored.sum(-1, keepdims=True)).mean(), rel=1e-6)


@pytest.mark.parametrize("cuts", [(), (1,), (49,)])
def test_one_row_that_is_no_distribution_makes_all_of_them_logits(cuts: tuple[int, ...]) -> None:
    p, q = softmax(REFERENCE), softmax(CANDIDATE)
    p[-1] += 1
    expected = divergence(softmax(p), softmax(q)).mean()
    assert run(p, q, cuts).kl == pytest.approx(expected)
    assert run(p[::-1], q[::-1], cuts).kl == pytest.approx(expected)
    halves = [ClassScores(), ClassScores()]
    halves[0].update(p[:25], q[:25])
    halves[1].update(p[25:], q[25:])
    halves[0].merge(halves[1])
    result = halves[0].result()
    assert result is not None
    assert result.kl == pytest.approx(expected)


@pytest.mark.parametrize(("rows", "expected"), [
    ([[0.2, 0.8]], True), ([[0.2, 0.805]], True), ([[0.0, 1.0005]], True),
    ([[0.2, 0.7]], False), ([[-0.1, 1.1]], False), ([[0.2, 0.8], [3, 4]], False),
])
def test_what_looks_like_a_distribution(rows: list[list[float]], expected: bool) -> None:
    assert is_distribution(np.array(rows)) is expected


@pytest.mark.parametrize(("shape", "dtype"), [((8,), np.float32), ((8, 1), np.float32), ((8, 3, 1), np.float32), ((8, 3), np.int64), ((8, 3), bool)])
def test_what_are_no_class_scores_have_no_divergence(shape: tuple[int, ...], dtype: type) -> None:
    y = RNG.integers(0, 2, shape).astype(dtype)
    got = run(y, y)
    assert (got.kl, got.kl_se, got.agreement) == (None, None, None)
    assert got.snr_db == 200


def test_every_row_of_a_sequence_counts() -> None:
    got = run(REFERENCE.reshape(10, 5, 7), CANDIDATE.reshape(10, 5, 7))
    assert got.samples == 10
    assert got.kl == pytest.approx(run(REFERENCE, CANDIDATE).kl)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", [0, 3])
def test_a_candidate_that_is_not_finite_never_looks_good(value: float, column: int) -> None:
    reference = np.zeros((4, 5), np.float32)
    reference[:, column] = [5, 6, 7, 8]
    other = reference.copy()
    other[1, column] = value
    got = run(reference, other)
    assert (got.non_finite, got.snr_db, got.max_abs, got.kl, got.agreement) == (1, -math.inf, math.inf, math.inf, 0.75)


def test_where_the_reference_is_not_finite_the_rest_is_compared() -> None:
    reference, other = REFERENCE.copy(), CANDIDATE.copy()
    reference[0, 0] = other[0, 0] = -np.inf
    got, rest = run(reference, other), run(REFERENCE[1:], CANDIDATE[1:])
    assert (got.non_finite, got.values) == (0, 349)
    assert got.kl == pytest.approx(rest.kl)
    assert got.agreement == rest.agreement
    assert math.isfinite(got.snr_db)
    other[0, 0] = 1.0
    got = run(reference, other)
    assert (got.non_finite, got.snr_db, got.kl) == (1, -math.inf, math.inf)
    assert got.agreement is not None
    assert rest.agreement is not None
    assert got.agreement == pytest.approx(rest.agreement * 49 / 50)


def test_a_reference_that_is_nowhere_finite_gives_nothing_good() -> None:
    nothing = np.full((3, 2), np.nan)
    got = run(nothing, nothing)
    assert (got.values, got.snr_db, got.kl, got.agreement) == (0, -math.inf, None, None)


def test_a_constant_candidate_is_noticed_and_a_constant_reference_is_no_fault() -> None:
    constant = np.broadcast_to(REFERENCE[:1], REFERENCE.shape)
    assert run(REFERENCE, constant).constant
    assert run(REFERENCE, constant, (25,)).constant
    assert not run(REFERENCE, CANDIDATE).constant
    got = run(constant, constant)
    assert not got.constant
    assert not got.varies
    assert run(REFERENCE, CANDIDATE).varies
    noisy = (constant * (1 + 1e-7 * RNG.uniform(-1, 1, constant.shape))).astype(np.float32)
    assert not run(noisy, constant).constant  # the reference changes by rounding only


def test_constant_is_seen_across_merged_parts() -> None:
    parts = []
    for value in (1.0, 2.0):
        fidelity = Fidelity()
        fidelity.update(np.full((2, 3), value), np.ones((2, 3)))
        parts.append(fidelity)
    assert not parts[0].result().constant
    parts[0].merge(parts[1])
    assert parts[0].result().constant


def test_samples_of_changing_shape_can_be_streamed() -> None:
    fidelity = Fidelity()
    for length in (3, 5, 4):
        y = RNG.normal(size=(2, length)).astype(np.float32)
        fidelity.update(y, y + np.float32(0.1))
    got = fidelity.result()
    assert (got.samples, got.values, got.channel, got.constant) == (6, 24, None, False)
    assert got.max_abs == pytest.approx(0.1, rel=1e-5)


def test_numbers_too_large_to_square_do_not_pass() -> None:
    got = run(np.full((2, 2), 1e200), np.full((2, 2), 3e200))
    assert got.snr_db == -math.inf
    assert got.max_abs == pytest.approx(2e200)


@pytest.mark.parametrize(("reference", "other", "text"), [
    (np.zeros((2, 3)), np.zeros((2, 4)), r"reference \(2, 3\), candidate \(2, 4\)"),
    (np.zeros(2), np.array(["a", "b"]), "candidate holds <U1"),
])
def test_what_cannot_be_compared_is_refused(reference: Array, other: Array, text: str) -> None:
    with pytest.raises(InputError, match=text):
        Fidelity().update(reference, other)


def test_no_samples_give_no_result() -> None:
    fidelity = Fidelity()
    fidelity.update(np.zeros((0, 3)), np.zeros((0, 3)))
    with pytest.raises(InputError, match="0 samples"):
        fidelity.result()
