"""The judge is tried on wrong models before it may pass right ones."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from converter.verify.compare import Failure, Fidelity, FidelityResult, departures, faults, fused_gap, parity
from converter.verify.policy import DEFAULT

Array = np.ndarray
RNG = np.random.default_rng(7)
LOGITS = RNG.normal(0, 3, (16, 10)).astype(np.float32)
OUTPUTS = {
    "logits": LOGITS,
    "probabilities": (np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)).astype(np.float32),
    "regression": RNG.normal(5, 2, (16, 3)).astype(np.float32),
    "sequence": RNG.normal(size=(4, 6, 5)).astype(np.float32),
    "features": RNG.normal(size=(3, 4, 4, 8)).astype(np.float32),
    "one value": RNG.normal(20, 0.1, (16, 1)).astype(np.float32),
    "flat": RNG.normal(size=16).astype(np.float32),
    "tiny": (LOGITS * 1e-20).astype(np.float32),
    "float64": LOGITS.astype(np.float64),
}


def one_channel(y: Array) -> Array:
    return np.concatenate([y[..., :1] * 1.01, y[..., 1:]], -1) if y.ndim > 1 else np.concatenate([y[:1] * 1.05, y[1:]])


def with_value(value: float) -> Callable[[Array], Array]:
    def broken(y: Array) -> Array:
        y = y.copy()
        y.reshape(-1)[y.size // 2] = value
        return y
    return broken


WRONG: dict[str, Callable[[Array], Array]] = {
    "zero": np.zeros_like,
    "doubled": lambda y: y * 2,
    "1 % off": lambda y: (y * 1.01).astype(y.dtype),
    "one channel 1 % off": lambda y: one_channel(y).astype(y.dtype),
    "rolled samples": lambda y: np.roll(y, 1, 0),
    "constant": lambda y: np.broadcast_to(y[:1], y.shape).copy(),
    "mean": lambda y: np.full_like(y, y.mean()),
    "negated": np.negative,
    "shuffled classes": lambda y: np.roll(y, 1, -1),
    "one NaN": with_value(np.nan),
    "all NaN": lambda y: np.full_like(y, np.nan),
    "one inf": with_value(np.inf),
    "one -inf": with_value(-np.inf),
    "shifted": lambda y: (y + (y.max() - y.min()) * 0.01).astype(y.dtype),
}


@pytest.mark.parametrize(("output", "wrong"), [(o, w) for o in OUTPUTS for w in WRONG if (o, w) != ("one value", "shuffled classes")])
def test_wrong_models_are_caught(output: str, wrong: str) -> None:
    y = OUTPUTS[output]
    failures = parity({"out": y}, {"out": WRONG[wrong](y)})
    assert failures
    assert all(f.output == "out" for f in failures)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("noise", [0.0, 1e-7])
def test_right_models_pass(output: str, noise: float) -> None:
    y = OUTPUTS[output]
    candidate = (y * (1 + noise * RNG.uniform(-1, 1, y.shape))).astype(y.dtype)
    assert parity({"out": y}, {"out": candidate}) == []


def test_rounding_at_the_output_s_magnitude_passes_although_the_range_is_small() -> None:
    y = (1000 + 1e-3 * RNG.normal(size=(16, 1))).astype(np.float32)
    assert parity({"y": y}, {"y": np.nextafter(y, np.float32(2000))}) == []
    assert parity({"y": y}, {"y": np.full_like(y, y.mean())})


def test_a_wrong_channel_of_probabilities_beside_pixels_is_caught() -> None:
    y = np.concatenate([RNG.uniform(0, 640, (64, 4)), RNG.uniform(0, 1, (64, 1))], 1).astype(np.float32)
    candidate = y.copy()
    candidate[:, 4] *= 0.94
    failures = parity({"boxes": y}, {"boxes": candidate})
    assert [f.text.split(" is ")[0] for f in failures] == ["channel 4 of the last axis"]
    assert failures[0].error is not None
    assert failures[0].allowed is not None
    assert failures[0].error > failures[0].allowed


def test_a_channel_with_a_small_range_by_chance_is_no_failure() -> None:
    y = RNG.normal(size=(2, 3)).astype(np.float32)
    y[1, 0] = y[0, 0] + np.float32(1e-5)
    assert parity({"y": y}, {"y": y + np.float32(1e-5)}) == []


def test_channels_that_are_constant_but_for_rounding_have_no_range() -> None:
    y, candidate = (np.float32([0.1, -0.2, 0.3]) + (size * RNG.integers(-1, 2, (32, 3))).astype(np.float32) for size in (3e-8, 6e-7))
    assert parity({"y": y}, {"y": candidate}) == []
    candidate[:, 1] += np.float32(1e-3)
    assert parity({"y": y}, {"y": candidate})


@pytest.mark.parametrize(("dtype", "passes", "fails"), [(np.float16, 5e-3, 0.05), (np.float32, 5e-5, 5e-4), (np.float64, 5e-7, 5e-6)])
def test_bounds_scale_with_the_type(dtype: type, passes: float, fails: float) -> None:
    y = np.linspace(0, 1, 33).reshape(11, 3).astype(dtype)
    assert parity({"y": y}, {"y": (y + passes).astype(dtype)}) == []
    assert parity({"y": y}, {"y": (y + fails).astype(dtype)})


def test_the_least_exact_type_inside_the_model_decides() -> None:
    y = LOGITS
    candidate = y + np.float32(0.005) * (y.max() - y.min())
    assert parity({"y": y}, {"y": candidate})
    assert parity({"y": y}, {"y": candidate}, precision="float16") == []
    assert parity({"y": np.arange(1000)}, {"y": np.arange(1000) + 1}, precision="float16")  # whole numbers stay exact
    y = np.stack([np.linspace(0, 1000, 16), np.linspace(0, 1, 16)], 1).astype(np.float32)
    candidate = (y + np.array([0, 0.06])).astype(np.float32)
    assert parity({"y": y}, {"y": candidate})
    assert parity({"y": y}, {"y": candidate}, precision="float16") == []  # 60 times less than float16 can say of 1000


@pytest.mark.parametrize("y", [np.arange(6).reshape(3, 2), np.array([True, False, True]), np.array(["a", "b"], object)])
def test_what_is_not_floating_must_be_equal(y: Array) -> None:
    candidate = y.copy()
    candidate[0] = candidate[-1] if y.dtype != bool else False
    assert parity({"y": y}, {"y": y}) == []
    assert parity({"y": y}, {"y": candidate})


@pytest.mark.parametrize(("reference", "other", "text"), [
    ({"a": LOGITS}, {"b": LOGITS}, "missing from the candidate, which has b"),
    ({"a": LOGITS}, {"a": LOGITS, "b": LOGITS}, "not an output of the reference, which has a"),
    ({"a": LOGITS}, {"a": LOGITS[:, :9]}, "shape (16, 9), the reference has (16, 10)"),
    ({"a": LOGITS}, {"a": LOGITS.astype(np.float64)}, "dtype float64, the reference has float32"),
    ({"a": LOGITS[:0]}, {"a": LOGITS[:0]}, "no samples"),
    ({}, {}, "no outputs"),
    ({"a": np.full((2, 2), np.nan)}, {"a": np.full((2, 2), np.nan)}, "nowhere finite"),
])
def test_what_cannot_be_compared_is_named(reference: dict[str, Array], other: dict[str, Array], text: str) -> None:
    failures = parity(reference, other)
    assert any(text in str(f) for f in failures), failures
    assert all(str(f).startswith(f"output {f.output!r}: ") for f in failures)


def test_only_the_wrong_output_is_named_with_its_numbers() -> None:
    failures = parity({"a": LOGITS, "b": LOGITS}, {"a": LOGITS, "b": LOGITS * np.float32(1.5)})
    assert failures
    assert {f.output for f in failures} == {"b"}
    assert failures[0].error == pytest.approx(0.5 * np.abs(LOGITS).max(), rel=1e-6)
    assert failures[0].allowed == pytest.approx(1e-4 * np.ptp(LOGITS), rel=0.1)
    assert "range" in failures[0].text


def test_a_reference_that_is_not_finite_must_be_met_exactly() -> None:
    y = LOGITS.copy()
    y[0, 0], y[1, 1], y[2, 2] = np.nan, np.inf, -np.inf
    assert parity({"y": y}, {"y": y.copy()}) == []
    for place, value in [((0, 0), 0.0), ((0, 0), np.inf), ((1, 1), -np.inf), ((1, 1), np.nan), ((2, 2), 1e30)]:
        candidate = y.copy()
        candidate[place] = value
        assert any("1 values are NaN or infinite" in f.text for f in parity({"y": y}, {"y": candidate}))


def test_an_output_without_a_batch_axis_and_an_empty_one_pass() -> None:
    assert parity({"y": np.float32(3)}, {"y": np.float32(3)}) == []
    assert parity({"y": np.float32(3)}, {"y": np.float32(3.1)})
    assert parity({"y": np.zeros((2, 0), np.float32)}, {"y": np.zeros((2, 0), np.float32)}) == []


def seen(reference: Array, other: Array) -> FidelityResult:
    fidelity = Fidelity()
    fidelity.update(reference, other)
    return fidelity.result()


def test_streamed_outputs_are_judged_over_their_whole_range() -> None:
    y = np.array([[0.0], [1000.0]], np.float32)
    fidelity = Fidelity()
    for row in y:
        fidelity.update(row[None], row[None] + np.float32(0.05))
    assert departures("y", fidelity.result()) == []
    assert parity({"y": y[:1]}, {"y": y[:1] + np.float32(0.05)})


@pytest.mark.parametrize("wrong", ["zero", "doubled", "rolled samples", "constant", "negated", "shuffled classes", "one NaN", "all NaN", "one -inf"])
def test_faults_of_an_integer_model_are_caught(wrong: str) -> None:
    assert faults("y", seen(LOGITS, WRONG[wrong](LOGITS)))


MANY = (RNG.normal(0, 1, (64, 20)) * 3).astype(np.float32)
DEAD: dict[str, Callable[[Array], Array]] = {
    "zero": np.zeros_like, "its mean": lambda c: np.full_like(c, c.mean()), "negated": np.negative,
    "another sample's": lambda c: np.roll(c, 1)}


@pytest.mark.parametrize("wrong", DEAD)
def test_one_dead_channel_of_many_is_a_fault_although_the_rest_is_right(wrong: str) -> None:
    other = MANY + RNG.normal(0, 0.1, MANY.shape).astype(np.float32)
    assert faults("y", seen(MANY, other)) == []
    other[:, 7] = DEAD[wrong](MANY[:, 7])
    numbers = seen(MANY, other)
    assert numbers.snr_db > DEFAULT.lost_snr_db + 1
    assert [f.text[:56] for f in faults("y", numbers)] == ["channel 7 of the last axis does not follow the reference"]


def test_a_channel_that_hardly_changes_may_be_constant_on_the_grid() -> None:
    reference = MANY.copy()
    reference[:, 7] = 2 + MANY[:, 7] * 0.003
    other = (np.round(reference / 0.08) * 0.08).astype(np.float32)
    assert np.ptp(other[:, 7]) == 0
    assert faults("y", seen(reference, other)) == []


def test_few_values_say_nothing_about_a_channel() -> None:
    other = MANY.copy()
    other[:, 7] = 0
    assert faults("y", seen(MANY[:15], other[:15])) == []
    assert faults("y", seen(MANY[:16], other[:16]))


def test_channels_are_judged_over_merged_parts() -> None:
    other = MANY.copy()
    other[:, 7] = 0
    first, second = Fidelity(), Fidelity()
    first.update(MANY[:10], other[:10])
    second.update(MANY[10:], other[10:])
    first.merge(second)
    assert first.result().lost_channel == 7
    assert first.result().lost_channel_db == pytest.approx(seen(MANY, other).lost_channel_db, abs=1e-9)


def test_a_constant_model_is_a_fault_although_it_is_close() -> None:
    reference = (100 + RNG.uniform(-1, 1, (16, 1))).astype(np.float32)
    numbers = seen(reference, np.full_like(reference, 100))
    assert numbers.snr_db > 40
    assert [f.text for f in faults("y", numbers)] == ["the same for all 16 samples, while the reference changes"]


@pytest.mark.parametrize(("first", "is_fault"), [(5.0, True), (15.0, False)])
def test_at_a_weak_signal_class_scores_must_agree(first: float, is_fault: bool) -> None:
    numbers = seen(np.array([[10.0, 9.0]]), np.array([[first, 9.0]]))
    assert DEFAULT.lost_snr_db < numbers.snr_db < DEFAULT.weak_snr_db
    assert bool(faults("y", numbers)) is is_fault


@pytest.mark.parametrize("step", [0.05, 0.5])
def test_a_coarse_grid_is_no_fault(step: float) -> None:
    assert faults("y", seen(LOGITS, (np.round(LOGITS / step) * step).astype(np.float32))) == []


def test_a_fault_says_what_the_numbers_are() -> None:
    failure = faults("y", seen(LOGITS, -LOGITS))[0]
    assert failure == Failure("y", failure.text)
    assert "SNR -6.0 dB, agreement 0.0 %" in failure.text


@pytest.mark.parametrize(("fused", "unfused", "gap"), [(27.7, 38.6, 10.9), (38.6, 38.2, -0.4), (200.0, 120.0, 0.0), (-math.inf, 30.0, math.inf)])
def test_fused_gap(fused: float, unfused: float, gap: float) -> None:
    assert fused_gap(fused, unfused) == pytest.approx(gap)
    assert DEFAULT.is_finding(fused_gap(fused, unfused)) is (abs(gap) > 0.5)


def test_two_broken_graphs_are_a_finding() -> None:
    assert DEFAULT.is_finding(fused_gap(-math.inf, -math.inf))


def test_what_one_side_flushes_to_zero_is_rounding_and_what_it_loses_is_not() -> None:
    nothing = np.zeros((4, 3), np.float32)
    flushed = parity({"y": nothing}, {"y": nothing + np.float32(1e-40)})
    (lost,) = parity({"y": nothing}, {"y": nothing + np.float32(1e-30)})
    assert flushed == [] and lost.error == pytest.approx(1e-30)
