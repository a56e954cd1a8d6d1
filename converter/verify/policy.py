"""The only place where a tolerance is written, each with its reason.

A tolerance is chosen such that a model that is wrong in a way people meet (zero, doubled, 1 % off, one channel wrong,
rolled, not finite, constant) is beyond it, and a model that only rounds in another order is within it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """Every bound that a judgement uses. Errors are shares of the output's range (largest minus smallest reference value).

    Args:
        parity_float64: engines compute some float64 operators in float32, which costs about 1e-7; more is a wrong model.
        parity_float32: sums in another order cost 1e-7 to 1e-5 of the range, growing with depth; the smallest error that
            people would call wrong (1 % on one channel) costs 1e-3 and more. The bound lies between the two.
        parity_float16: the machine epsilon is 1e-3, and the two engines widen to float32 at different places; 20 epsilons.
        parity_bfloat16: the machine epsilon is 8e-3; about 13 epsilons. A model that is 1 % off cannot be told from rounding.
        parity_expected: float32 errors above this pass, but are worth a line in the report.
        rounding: epsilons of the largest output that are always allowed: an output of 1000 +- 0.001 cannot be more exact.
        channel: largest error of one channel (last axis) as a share of the range of that channel alone. Without it, a channel
            of probabilities beside a channel of pixels could be anything. Far above ``parity_float32``, since the range of one
            channel over few samples may be small by chance.
        channel_span: a channel with less than this share of the output's range is constant but for rounding. Like ``parity_expected``, ten
            times below what the output as a whole is held to, so that no error in it is lost.
        restored: a tensor that was computed from restored variables may be off by this many epsilons of its largest number, or of the variables
            where these are larger: a few roundings on the way. The smallest change that training makes is larger.
        moved: on edge inputs an output may be off by this many times what Keras itself moves when its inputs do by an epsilon: the largest
            change of a few tries is not the largest there is.
        channel_values: fewer values than this in a channel say nothing about its range.
        fused_gap_db: the fused and the unfused integer graph differ by single steps of the grid where kernels are exact, far
            below half a decibel; saturating kernels cost 1 to 18 dB.
        gap_cap_db: above this SNR both graphs differ from the reference by float rounding only, so gaps there mean nothing.
        db_cap: stands for the infinite SNR of equal outputs, so that reports stay numbers.
        lost_snr_db: an output with less signal than this over its error does not follow the reference, whatever it is.
        lost_channel_db: a channel (last axis) whose error has the power of its own changes is dead or wrong, however good the others are.
        spread: a channel is judged so only if its standard deviation is at least this share of the output's range: five steps of an 8-bit
            grid; a channel that hardly changes may well be constant on the grid.
        spread_values: fewer values than this say nothing about a spread.
        drift_outside: a range that new weights exceed by this share of its width clips what it should hold.
        drift_used: a range of which new weights use less than this share has lost a bit.
        alike_snr_db: integer graphs that differ by single steps of their grids are this far apart or more.
        weak_snr_db, weak_agreement: below both, an output of class scores does not follow the reference either.
        probability_floor: probabilities below it count as this in a divergence; integer outputs reach 0.
        probability_excess: how far above 1 a rounded probability may lie.
        probability_sum: how far from 1 the sum of rounded probabilities may lie (bfloat16 costs 0.4 %).
        confidence: two-sided level of every interval.
        limit_slack: a measured drop equals the limit within this share of it; covers rounding of the sums only.
        small_sample: below this many real-valued samples the normal theory of an interval is said to be rough.
        rule_of_three: changed pairs assumed among as many samples in which none changed: the 95 % upper bound for a rate of 0.
    """

    parity_float64: float = 1e-6
    parity_float32: float = 1e-4
    parity_float16: float = 2e-2
    parity_bfloat16: float = 1e-1
    parity_expected: float = 1e-5
    rounding: float = 4.0
    channel: float = 0.05
    channel_span: float = 1e-5
    channel_values: int = 3
    restored: float = 8.0
    moved: float = 4.0
    fused_gap_db: float = 0.5
    gap_cap_db: float = 100.0
    db_cap: float = 200.0
    lost_snr_db: float = 3.0
    lost_channel_db: float = 1.0
    spread: float = 0.02
    spread_values: int = 16
    drift_outside: float = 0.1
    drift_used: float = 0.5
    alike_snr_db: float = 30.0
    weak_snr_db: float = 10.0
    weak_agreement: float = 0.5
    probability_floor: float = 1e-12
    probability_excess: float = 1e-3
    probability_sum: float = 2e-2
    confidence: float = 0.95
    limit_slack: float = 1e-9
    small_sample: int = 30
    rule_of_three: float = 3.0

    def parity_bound(self, dtype: str) -> float:
        """Largest error as a share of the range that still counts as equal; 0 for types that are not floating."""
        return {"float64": self.parity_float64, "float32": self.parity_float32, "float16": self.parity_float16,
                "bfloat16": self.parity_bfloat16}.get(dtype, 0.0)

    def rounding_floor(self, dtype: str, peak: float) -> float:
        """Error that rounding alone explains in a value as large as ``peak``; 0 for types that are not floating.

        Numbers below the smallest normal one count as rounding too: TensorFlow flushes them to zero, onnxruntime does not.
        """
        return self.rounding * (EPSILON.get(dtype, 0.0) * peak + NORMAL.get(dtype, 0.0))

    def restored_bound(self, dtype: str) -> float:
        """Largest error of a restored tensor as a share of its largest number; 0 for types that are not floating."""
        return self.restored * EPSILON.get(dtype, 0.0)

    def is_finding(self, gap_db: float) -> bool:
        """Whether a gap between fused and unfused is more than noise; a gap that is not a number is."""
        return not abs(gap_db) <= self.fused_gap_db


EPSILON: Mapping[str, float] = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}  # from 1 to the next number
NORMAL: Mapping[str, float] = {"float64": 2.0**-1022, "float32": 2.0**-126, "float16": 2.0**-24, "bfloat16": 2.0**-126}
"""The smallest number with all its digits, below which a processor may be told to flush; of float16, which is not flushed, the smallest at all."""
DEFAULT = Policy()
BEHIND_LOGITS = Policy(rounding=64.0)
"""For probabilities whose logits are compared too. A softmax over 1000 classes sums 1000 terms, which costs 8 to 10 epsilons of every
probability, as much as the whole range of an untrained network's probabilities."""
SATURATED = Policy(rounding=64.0)
"""For values that are far smaller than the output usually is. A gate that is shut is wrong by half an epsilon of 1, not of its value, and is
multiplied with a state that is larger than the output, by up to a hundred times on the widest inputs that are tried."""
