"""The paired comparison of a metric and the verdict on its drop."""

import math
from dataclasses import asdict

import numpy as np
import pytest

from converter.errors import InputError, UsageError
from converter.spec.report import Verdict
from converter.verify.accuracy import Accuracy, Decision, PairedAccuracy, decide
from converter.verify.intervals import mean_difference, paired_shares
from converter.verify.metrics import METRICS

Array = np.ndarray
ORDER = (Verdict.NO, Verdict.UNDECIDED, Verdict.YES)


def models(samples: int, lost: int, gained: int) -> tuple[Array, Array, Array]:
    """Class scores of two models and labels; the float model is right on all samples but the gained ones."""
    right, wrong = np.array([2.0, 0.0, 1.0]), np.array([0.0, 2.0, 1.0])
    float_output, integer_output = np.tile(right, (samples, 1)), np.tile(right, (samples, 1))
    integer_output[:lost] = wrong
    float_output[samples - gained:] = wrong
    return float_output, integer_output, np.zeros(samples, np.int64)


def measure(name: str, float_output: Array, integer_output: Array, labels: Array, cuts: tuple[int, ...] = ()) -> Accuracy:
    paired = PairedAccuracy(METRICS.get(name))
    for part in zip(*(np.split(a, cuts) for a in (float_output, integer_output, labels)), strict=True):
        paired.update(*part)
    return paired.result()


def top1(samples: int, lost: int, gained: int) -> Accuracy:
    return measure("top1", *models(samples, lost, gained))


def same(a: Accuracy, b: Accuracy) -> bool:
    return asdict(a) == {k: pytest.approx(v, nan_ok=True) if isinstance(v, float) else v for k, v in asdict(b).items()}


def test_numbers_of_a_paired_comparison() -> None:
    got = top1(200, 7, 3)
    assert (got.metric, got.unit, got.samples, got.lost, got.gained, got.binary) == ("top1", "points", 200, 7, 3, True)
    assert (got.float_score, got.integer_score, got.drop) == (pytest.approx(98.5), pytest.approx(96.5), 2.0)
    assert (got.low, got.high) == pytest.approx(tuple(100 * v for v in paired_shares(7, 3, 200, 0.95)))
    assert "drop 2 [" in got.to_text()
    assert "lost 7, gained 3" in got.to_text()


def test_drop_of_an_error_is_how_much_it_grows() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=(40, 2))
    float_output, integer_output = target + 0.1, target + 0.1 + np.abs(rng.normal(size=(40, 2)))
    got = measure("mae", float_output, integer_output, target, (13,))
    growth = np.abs(integer_output - target).mean(-1) - np.abs(float_output - target).mean(-1)
    assert got.drop == pytest.approx(growth.mean())
    assert got.drop > 0
    assert (got.lost, got.gained, got.binary, got.unit) == (40, 0, False, "units of the output")
    assert (got.low, got.high) == pytest.approx(mean_difference(growth.mean(), growth.std(ddof=1), 40, 0.95))
    assert got.low < got.drop < got.high


def test_shares_between_0_and_1_have_the_interval_of_a_mean() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, (50, 4))
    outputs = [np.eye(3)[np.where(rng.random(labels.shape) < p, labels, 0)] for p in (0.9, 0.6)]
    got = measure("top1", outputs[0], outputs[1], labels)
    each = [100 * (o.argmax(-1) == labels).mean(-1) for o in outputs]
    assert not got.binary
    assert got.drop == pytest.approx((each[0] - each[1]).mean())
    assert (got.low, got.high) == pytest.approx(mean_difference(got.drop, float((each[0] - each[1]).std(ddof=1)), 50, 0.95))


@pytest.mark.parametrize("name", ["top1", "mse"])
def test_order_and_batching_do_not_matter_and_halves_merge(name: str) -> None:
    data = models(60, 5, 2)
    if name == "mse":
        rng = np.random.default_rng(2)
        data = tuple(rng.normal(size=(60, 3)) for _ in range(3))  # type: ignore[assignment]
    whole = measure(name, *data)
    shuffle = np.random.default_rng(3).permutation(60)
    assert same(whole, measure(name, *(a[shuffle] for a in data), cuts=(1, 2, 40, 40)))
    parts = [PairedAccuracy(METRICS.get(name)) for _ in range(2)]
    for part, piece in zip(parts, (slice(0, 25), slice(25, 60)), strict=True):
        part.update(*(a[piece] for a in data))
    parts[0].merge(parts[1])
    assert same(whole, parts[0].result())


def test_a_binary_threshold_is_that_of_all_float_outputs_together() -> None:
    """The first batch of these logits lies within [0, 1] and would pass for probabilities."""
    logits, labels = np.array([0.3, 0.2, -4.0, 5.0]), np.array([1, 1, 0, 1])
    for order in ([0, 1, 2, 3], [2, 3, 0, 1]):
        got = measure("accuracy_binary", logits[order], logits[order] + 0.1, labels[order], (2,))
        assert (got.float_score, got.integer_score) == (100, 100)
    got = measure("accuracy_binary", logits[:2], logits[:2] + 5, labels[:2], (1,))  # the integer model does not choose the threshold
    assert (got.float_score, got.integer_score) == (0, 100)


def test_merged_parts_share_one_threshold_and_one_kind_of_interval() -> None:
    parts = [PairedAccuracy(METRICS.get("accuracy_binary")) for _ in range(2)]
    for part, logits, labels in zip(parts, ([0.3, 0.2], [-4.0, 5.0]), ([1, 1], [0, 1]), strict=True):
        part.update(np.array(logits), np.array(logits), np.array(labels))
    parts[0].merge(parts[1])
    assert parts[0].result().float_score == 100
    several = [PairedAccuracy(METRICS.get("accuracy_binary")) for _ in range(2)]
    several[0].update(np.ones((2, 2)), np.ones((2, 2)), np.ones((2, 2)))
    several[1].update(np.ones((2, 2)), np.ones((2, 2)), np.array([[1, 0], [1, 1]]))
    assert several[0].result().binary
    several[0].merge(several[1])
    assert not several[0].result().binary


def test_a_bad_label_is_named_by_its_place_in_the_data() -> None:
    float_output, integer_output, labels = models(10, 0, 0)
    labels[7] = 3
    with pytest.raises(InputError, match="the label 3 of sample 7 is not one of the 3 classes"):
        measure("top1", float_output, integer_output, labels, (4,))


def test_outputs_of_different_shapes_and_no_samples_are_refused() -> None:
    paired = PairedAccuracy(METRICS.get("top1"))
    with pytest.raises(InputError, match=r"float \(2, 3\), integer \(2, 4\)"):
        paired.update(np.zeros((2, 3)), np.zeros((2, 4)), np.zeros(2, int))
    paired.update(np.zeros((0, 3)), np.zeros((0, 3)), np.zeros(0, int))
    with pytest.raises(InputError, match="top1 cannot be computed: 0 samples"):
        paired.result()


@pytest.mark.parametrize("lost", [0, 1])
def test_93_photos_cannot_decide_one_and_a_half_points(lost: int) -> None:
    got = decide(top1(93, lost, 0), 1.5)
    assert got.verdict is Verdict.UNDECIDED
    assert got.needed is not None
    assert got.needed > 93
    drop = "1.08" if lost else "0"
    assert got.reasons[0].startswith(f"93 samples cannot decide 1.5 points: the drop of {drop} points in top1 has a 95 % interval of [")
    assert "samples are needed (one sample is 1.08 points)" in got.reasons[0]
    assert len(decide(top1(9, lost, 0), 20).reasons) == 1  # Tango's interval is not rough


def test_enough_samples_say_yes() -> None:
    got = decide(top1(5000, 20, 10), 1.0)
    assert got == Decision(Verdict.YES, got.reasons, None)
    assert got.reasons[0].startswith("the limit of 1 point is met: the drop of 0.2 points")


def test_a_missed_limit_says_whether_it_may_be_noise() -> None:
    noise, clear = decide(top1(93, 2, 0), 1.5), decide(top1(93, 20, 0), 1.5)
    assert noise.verdict is clear.verdict is Verdict.NO
    assert "may be noise" in noise.reasons[0]
    assert noise.needed is not None
    assert noise.needed > 93
    assert "beyond noise" in clear.reasons[0]
    assert clear.needed is None


def test_the_measured_drop_may_equal_the_limit() -> None:
    assert decide(top1(300, 3, 0), 1.0).verdict is Verdict.UNDECIDED
    assert decide(top1(300, 3, 0), 0.999).verdict is Verdict.NO
    assert "no number of samples" in decide(top1(300, 3, 0), 1.0).reasons[0]
    close = measure("mae", np.zeros((3, 1)), np.full((3, 1), 1.0002), np.zeros((3, 1)))
    assert "the limit of 1 units of the output is missed beyond noise: the drop of 1.0002 units" in decide(close, 1.0).reasons[0]


def test_verdicts_are_monotone_in_the_limit_and_in_the_samples() -> None:
    limits = [decide(top1(400, 8, 4), limit).verdict for limit in np.linspace(-3, 6, 91)]
    assert [ORDER.index(v) for v in limits] == sorted(ORDER.index(v) for v in limits)
    assert set(limits) == set(ORDER)
    grown = [decide(top1(100 * k, 2 * k, k), 2.0) for k in range(1, 31)]
    assert [ORDER.index(d.verdict) for d in grown] == sorted(ORDER.index(d.verdict) for d in grown)
    assert grown[0].verdict is Verdict.UNDECIDED
    assert grown[-1].verdict is Verdict.YES
    worse = [decide(top1(400, k, 4), 2.0).verdict for k in range(40)]
    assert [ORDER.index(v) for v in worse] == sorted((ORDER.index(v) for v in worse), reverse=True)


def test_the_number_needed_is_where_the_same_rates_are_decided() -> None:
    seen = top1(200, 2, 0)
    needed = decide(seen, 3.0).needed
    assert needed is not None
    assert needed > 200
    factor = math.ceil(needed / 200)
    assert decide(top1(200 * factor, 2 * factor, 0), 3.0).verdict is Verdict.YES
    assert decide(top1(200 * (factor - 1), 2 * (factor - 1), 0), 3.0).verdict is Verdict.UNDECIDED


def test_the_number_needed_is_near_the_formula_where_many_pairs_changed() -> None:
    for limit, drop, lost, gained in [(1.8, 0.01, 60, 40), (1.2, 0.02, 90, 50)]:
        needed = decide(top1(2000, lost, gained), limit).needed
        assert needed == pytest.approx(1.96**2 * ((lost + gained) / 2000 - drop**2) / (limit / 100 - drop) ** 2, rel=0.15)


def test_none_changed_is_not_taken_for_a_rate_of_zero() -> None:
    """Rule of three: 0 of 93 leaves up to 3 of 93; with none changed at all, 252 samples would do."""
    needed = decide(top1(93, 0, 0), 1.5).needed
    assert needed is not None
    assert needed == pytest.approx(1.96**2 * (3 / 93) / 0.015**2, rel=0.3)
    assert decide(top1(needed, 0, 0), 1.5).verdict is Verdict.YES


@pytest.mark.parametrize(("lost", "gained"), [(0, 0), (6, 4), (30, 10)])
def test_needed_to_tell(lost: int, gained: int) -> None:
    seen = top1(500, lost, gained)
    needed = seen.needed_to_tell(0.5)
    rate, drop = max(lost + gained, 3) / 500, (lost - gained) / 500
    formula = 1.96**2 * (rate - drop**2) / 0.005**2
    assert needed is not None
    assert formula * 0.99 < needed < formula * (1.1 if lost else 1.5)
    larger = seen.needed_to_tell(0.25)
    assert needed is not None
    assert larger is not None
    assert larger > 3 * needed
    low, high = seen.expected(needed)
    assert high - low <= 1.0 < float(np.ptp(seen.expected(needed - 1)))
    assert seen.needed_to_tell(0.0) is None


def regression(samples: int, shift: float) -> Accuracy:
    rng = np.random.default_rng(4)
    target = rng.normal(size=(samples, 1))
    return measure("mae", target, target + shift + rng.normal(0, 0.05, (samples, 1)), target)


def test_real_valued_scores_are_decided_by_their_spread() -> None:
    assert decide(regression(400, 0.2), 0.3).verdict is Verdict.YES
    assert decide(regression(400, 0.4), 0.3).verdict is Verdict.NO
    few = decide(regression(4, 0.27), 0.3)
    assert few.verdict is Verdict.UNDECIDED
    assert few.needed is not None
    assert few.needed > 4
    assert few.reasons[1] == "the interval is rough: 4 real-valued scores"
    assert decide(regression(few.needed * 4, 0.27), 0.3).verdict is Verdict.YES
    assert len(decide(regression(400, 0.2), 0.3).reasons) == 1
    assert decide(regression(1, 0.2), 0.3).verdict is Verdict.UNDECIDED


def test_sequences_without_a_change_are_not_certain_either() -> None:
    labels = np.tile([0, 1], (50, 1))
    output = np.eye(3)[np.tile([0, 2], (50, 1))]
    got = measure("top1", output, output, labels)
    assert not got.binary
    assert got.drop == 0
    assert got.low < -5
    assert got.high > 5
    decision = decide(got, 1.0)
    assert decision.verdict is Verdict.UNDECIDED
    assert decision.needed is not None
    assert decision.needed > 200


@pytest.mark.parametrize("name", ["mae", "top1"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_integer_model_that_is_not_finite_is_never_met(name: str, value: float) -> None:
    float_output = np.eye(3)[np.zeros(50, int)]
    integer_output = float_output.copy()
    integer_output[:10] = value
    labels = np.zeros(50, int) if name == "top1" else float_output
    for part in (integer_output, np.full_like(float_output, value)):
        assert decide(measure(name, float_output, part, labels), 5.0).verdict is Verdict.NO
    broken = decide(measure("mae", integer_output, float_output, float_output), 5.0)
    assert broken == Decision(Verdict.NO, ["mae is float inf, integer 0: a model gives values that are not finite"], None)


@pytest.mark.parametrize("limit", [math.nan, math.inf])
def test_the_limit_must_be_a_number(limit: float) -> None:
    with pytest.raises(UsageError, match="finite number, received"):
        decide(top1(10, 0, 0), limit)
