"""A task metric of two models on the same samples, with the uncertainty of their difference, and the verdict on it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from converter.errors import InputError, UsageError
from converter.spec.quant import Array
from converter.spec.report import Verdict
from converter.verify.intervals import mean_difference, paired_shares, smallest
from converter.verify.metrics import POINTS, Metric, Readings
from converter.verify.moments import Moments
from converter.verify.policy import DEFAULT, Policy


@dataclass(frozen=True)
class Accuracy:
    """A metric of the float and of the integer model. ``drop > 0`` means that the integer model is worse.

    Args:
        metric: its name.
        unit: unit of every number here; ``points`` are hundredths of a share.
        float_score, integer_score: means over the samples.
        drop: ``float_score - integer_score``, the other way round where lower scores are better; not finite where a score is not.
        low, high: two-sided interval of the drop at level ``confidence``. Shares that are 0 or 1 a sample: Tango's interval for
            paired proportions. Other scores: Student's interval of the mean difference.
        samples: how many.
        lost, gained: samples whose score got worse, and better.
        deviation: standard deviation of the paired differences (divisor samples - 1); NaN for one sample.
        binary: every score was 0 or 1.
        confidence: level of the interval.
        assumed: changed pairs that planning assumes when none changed (``Policy.rule_of_three``).
    """

    metric: str
    unit: str
    float_score: float
    integer_score: float
    drop: float
    low: float
    high: float
    samples: int
    lost: int
    gained: int
    deviation: float
    binary: bool
    confidence: float
    assumed: float

    def expected(self, samples: int) -> tuple[float, float]:
        """The interval that ``samples`` samples would give if they changed at the rates of these.

        When no pair changed the rate is not taken to be 0, but what 0 of n leaves possible: ``assumed`` of n, half of them each way.
        """
        none = not self.lost + self.gained
        if not (self.binary or (none and self.unit == POINTS)):
            return mean_difference(self.drop, self.deviation, samples, self.confidence)
        floor = min(self.assumed, self.samples) / 2
        lost, gained = ((floor if none else count) * samples / self.samples for count in (self.lost, self.gained))
        low, high = paired_shares(lost, gained, samples, self.confidence)
        return 100 * low, 100 * high

    def needed_to_tell(self, points: float) -> int | None:
        """The smallest number of samples whose interval reaches at most ``points`` (in ``unit``) to either side, at the rates of these.

        Where dozens of pairs changed this is about ``z^2 (p - d^2) / points^2`` with ``p`` the share of changed pairs and ``d`` the drop, where
        few did it is more; for scores other than 0 and 1 their variance stands for ``p - d^2``. None when no number in reach is enough.
        """
        if not (points > 0 and math.isfinite(self.drop)):
            return None
        return smallest(lambda n: float(np.ptp(self.expected(n))) <= 2 * points, 2)

    def to_text(self) -> str:
        """One line for a log."""
        return (f"{self.metric}: float {self.float_score:.4g}, integer {self.integer_score:.4g} {self.unit}, drop {self.drop:.3g} "
                f"[{self.low:.3g}, {self.high:.3g}] on {self.samples} samples, lost {self.lost}, gained {self.gained}")


@dataclass(frozen=True)
class Decision:
    """What a limit on the drop says.

    Args:
        verdict: yes, no, or undecided.
        reasons: one sentence each.
        needed: about how many samples would put the limit outside the interval, at the rates seen; None where it is decided, or no number would.
    """

    verdict: Verdict
    reasons: list[str]
    needed: int | None


def decide(accuracy: Accuracy, max_drop: float, policy: Policy = DEFAULT) -> Decision:
    """Whether the drop is within ``max_drop`` (in ``accuracy.unit``), and whether the samples are enough to say so.

    YES: the measured drop and the whole interval are within the limit. UNDECIDED: the measured drop is, the upper end of the interval is not:
    met as measured, by too few samples. NO: the measured drop is beyond the limit; the reason says whether the whole interval is, or whether
    that may be noise.

    ``needed`` is the smallest number of samples whose interval (:meth:`Accuracy.expected`) leaves the limit outside, if they change at the rates
    of these: about ``z^2 (p - d^2) / (max_drop - d)^2`` with ``p`` the share of changed pairs and ``d`` the drop, more where few pairs changed.
    It is what such data need at even odds, and is itself as uncertain as the rates are.

    Raises:
        UsageError: ``max_drop`` is not a finite number.
    """
    if not math.isfinite(max_drop):
        raise UsageError(f"the largest drop must be a finite number, received {max_drop}")
    if not math.isfinite(accuracy.drop):
        return Decision(Verdict.NO, [f"{accuracy.metric} is float {accuracy.float_score:.4g}, integer {accuracy.integer_score:.4g}: "
                                     "a model gives values that are not finite"], None)
    met = accuracy.drop <= max_drop + policy.limit_slack * abs(max_drop)
    sure = accuracy.high <= max_drop if met else accuracy.low > max_drop
    needed = None if sure else smallest(lambda n: _leaves_out(accuracy.expected(n), max_drop, met), accuracy.samples + 1)
    verdict = (Verdict.YES if sure else Verdict.UNDECIDED) if met else Verdict.NO
    return Decision(verdict, _reasons(accuracy, max_drop, met, sure, needed, policy), needed)


def _leaves_out(interval: tuple[float, float], limit: float, below: bool) -> bool:
    return interval[1] <= limit if below else interval[0] > limit


def _reasons(seen: Accuracy, limit: float, met: bool, sure: bool, needed: int | None, policy: Policy) -> list[str]:
    share = "" if seen.unit != POINTS else f" (one sample is {_amount(100 / seen.samples, seen.unit)})"
    drop = f"the drop of {_amount(seen.drop, seen.unit, limit)} in {seen.metric} has a {100 * seen.confidence:g} % interval of " \
           f"[{seen.low:.3g}, {seen.high:.3g}]"
    more = f"about {_rounded(needed)} samples are needed" if needed else "no number of samples within reach decides it at these rates"
    asked = _amount(limit, seen.unit)
    if sure and met:
        reason = f"the limit of {asked} is met: {drop} on {seen.samples} samples"
    elif sure:
        reason = f"the limit of {asked} is missed beyond noise: {drop} on {seen.samples} samples"
    elif met:
        reason = f"{seen.samples} samples cannot decide {asked}: {drop}; {more}{share}"
    else:
        reason = f"the limit of {asked} is missed as measured on {seen.samples} samples, which may be noise: {drop}; {more} to tell{share}"
    rough = not seen.binary and seen.samples < policy.small_sample
    return [reason] + ([f"the interval is rough: {seen.samples} real-valued scores"] if rough else [])


def _amount(value: float, unit: str, apart: float | None = None) -> str:
    """``value`` with its unit, to three digits, or as many as tell it from ``apart``."""
    digits = 3
    while apart is not None and value != apart and digits < 12 and f"{value:.{digits}g}" == f"{apart:.{digits}g}":
        digits += 1
    text = f"{value:.{digits}g}"
    return f"{text} {'point' if unit == POINTS and text == '1' else unit}"


def _rounded(count: int) -> int:
    """``count`` rounded up to two digits: an estimate should not look like a measurement."""
    step = int(10 ** max(len(str(count)) - 2, 0))
    return math.ceil(count / step) * step


class PairedAccuracy:
    """Streams one output of two models with labels; parts can be merged. Memory does not grow with the samples."""

    def __init__(self, metric: Metric, policy: Policy = DEFAULT) -> None:
        self._metric = metric
        self._policy = policy
        self._low, self._high = math.inf, -math.inf
        self._readings = metric.readings() if isinstance(metric, Readings) else (metric,)
        self._tallies = tuple(_Tally() for _ in self._readings)

    def update(self, float_output: Array, integer_output: Array, labels: Array) -> None:
        """Take in one batch: the same output of both models, shape (n, ...), and its labels as the metric wants them.

        Raises:
            InputError: the outputs differ in shape, or the labels do not fit.
        """
        if float_output.shape != integer_output.shape:
            raise InputError(f"output shapes differ: float {float_output.shape}, integer {integer_output.shape}")
        self._metric.check(labels, float_output, self._tallies[0].float.total)
        if not len(float_output):
            return
        finite = float_output[np.isfinite(float_output)]
        self._low = min(self._low, float(finite.min(initial=np.inf)))
        self._high = max(self._high, float(finite.max(initial=-np.inf)))
        for metric, tally in zip(self._readings, self._tallies, strict=True):
            tally.update(metric.scores(float_output, labels), metric.scores(integer_output, labels), metric.higher_is_better)

    def merge(self, other: PairedAccuracy) -> None:
        """Take in what another instance has seen with the same metric."""
        self._low, self._high = min(self._low, other._low), max(self._high, other._high)
        for mine, theirs in zip(self._tallies, other._tallies, strict=True):
            mine.merge(theirs)

    def result(self) -> Accuracy:
        """The numbers so far; InputError when no sample was seen."""
        chosen = self._metric.reading(self._low, self._high) if isinstance(self._metric, Readings) else self._metric
        tally = self._tallies[self._readings.index(chosen)]
        if not tally.float.total:
            raise InputError(f"{self._metric.name} cannot be computed: 0 samples")
        return tally.result(self._metric, self._policy)


class _Tally:
    """Sums over the paired scores of one reading of a metric."""

    def __init__(self) -> None:
        self.float, self.integer, self.worse = Moments(), Moments(), Moments()
        self.lost = self.gained = 0
        self.binary = True

    def update(self, first: Array, second: Array, higher_is_better: bool) -> None:
        with np.errstate(invalid="ignore"):
            worse = first - second if higher_is_better else second - first
        self.float.update(first)
        self.integer.update(second)
        self.worse.update(worse)
        self.lost += int(np.count_nonzero(worse > 0))
        self.gained += int(np.count_nonzero(worse < 0))
        self.binary = self.binary and bool(np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all())

    def merge(self, other: _Tally) -> None:
        self.float.merge(other.float)
        self.integer.merge(other.integer)
        self.worse.merge(other.worse)
        self.lost += other.lost
        self.gained += other.gained
        self.binary = self.binary and other.binary

    def result(self, metric: Metric, policy: Policy) -> Accuracy:
        scale, samples = (100 if metric.unit == POINTS else 1), self.float.total
        binary = self.binary and metric.unit == POINTS
        # From counts where there are counts: 1 lost of 100 is a drop of exactly 1 point, whatever the order of the data.
        drop = scale * (self.lost - self.gained) / samples if binary else scale * self.worse.mean
        deviation = scale * self.worse.deviation(1)
        low, high = mean_difference(drop, deviation, samples, policy.confidence)
        if binary or (metric.unit == POINTS and not self.lost + self.gained):  # no change seen is not no change at all
            low, high = (scale * edge for edge in paired_shares(self.lost, self.gained, samples, policy.confidence))
        return Accuracy(metric.name, metric.unit, scale * self.float.mean, scale * self.integer.mean, drop, low, high, samples, self.lost,
                        self.gained, deviation, binary, policy.confidence, policy.rule_of_three)
