"""Judging outputs: parity of a converted float model with its source, and faults of an integer model that cannot be rounding.

The judge is tried on wrong models first (tests/verify/test_compare.py); what it lets pass is written in ``policy.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from converter.errors import known
from converter.spec.quant import Array
from converter.verify.fidelity import Fidelity, FidelityResult, is_number
from converter.verify.policy import DEFAULT, Policy

__all__ = ["Failure", "Fidelity", "FidelityResult", "departures", "faults", "fused_gap", "is_number", "parity"]


@dataclass(frozen=True)
class Failure:
    """One way in which an output is wrong.

    Args:
        output: name of the output.
        text: what is wrong, with its numbers.
        error: the number that is too large, in units of the output; None where it is not a matter of size.
        allowed: the largest value of ``error`` that would have passed; None likewise.
    """

    output: str
    text: str
    error: float | None = None
    allowed: float | None = None

    def __str__(self) -> str:
        return f"output {self.output!r}: {self.text}"


def parity(reference: Mapping[str, Array], other: Mapping[str, Array], policy: Policy = DEFAULT, *, precision: str | None = None) -> list[Failure]:
    """What speaks against ``other`` computing the same as ``reference``; an empty list when nothing does.

    Args:
        reference: outputs of the source by name, axis 0 the batch.
        other: outputs of the converted model on the same inputs.
        policy: the tolerances.
        precision: numpy name of the least exact float type inside the model (``"float16"`` under a mixed policy);
            by default each output's own type.
    """
    failures = [Failure(name, f"missing from the candidate, which has {known(other)}") for name in reference if name not in other]
    failures += [Failure(name, f"not an output of the reference, which has {known(reference)}") for name in other if name not in reference]
    if not reference:
        failures.append(Failure("", "the reference has no outputs, so there is nothing to compare"))
    for name in reference:
        if name in other:
            failures += _compare(name, np.asarray(reference[name]), np.asarray(other[name]), policy, precision)
    return failures


def _compare(name: str, reference: Array, other: Array, policy: Policy, precision: str | None) -> list[Failure]:
    if reference.shape != other.shape:
        return [Failure(name, f"shape {other.shape}, the reference has {reference.shape}")]
    failures = []
    if reference.dtype != other.dtype:
        failures.append(Failure(name, f"dtype {other.dtype}, the reference has {reference.dtype}"))
    if reference.ndim and not len(reference):
        return [*failures, Failure(name, "no samples, so there is nothing to compare")]
    if not reference.size:  # a model that found nothing, and its conversion that found nothing
        return failures
    if not (is_number(reference.dtype) and is_number(other.dtype)):
        wrong = int(np.count_nonzero(reference != other))
        return failures + ([Failure(name, f"{wrong} of {reference.size} values differ")] if wrong else [])
    fidelity = Fidelity(policy)
    fidelity.update(reference, other)
    return failures + departures(name, fidelity.result(), policy, precision=precision)


def departures(name: str, seen: FidelityResult, policy: Policy = DEFAULT, *, precision: str | None = None) -> list[Failure]:
    """Where a float output leaves the bounds of parity; for outputs that were streamed through :class:`Fidelity`.

    The largest error may be ``parity_bound`` of the output's range, and what rounding costs at the output's magnitude. Integers and truth
    values must be equal. ``precision`` as in :func:`parity`.
    """
    exact = policy.parity_bound(seen.dtype) == 0
    grain = seen.dtype if exact or precision is None else precision
    floor = policy.rounding_floor(grain, seen.peak)
    allowed = policy.parity_bound(grain) * seen.span + floor
    failures = _broken(name, seen)
    if seen.values and not seen.max_abs <= allowed:
        failures.append(Failure(name, f"largest error {seen.max_abs:.3g} is {seen.relative:.2g} of the output's range {seen.span:.3g} "
                                f"({seen.snr_db:.1f} dB); at most {allowed:.2g} is rounding", seen.max_abs, allowed))
    limit = max(policy.channel, policy.parity_bound(grain))
    if seen.channel is not None and seen.channel_relative > limit and seen.channel_error > floor:
        failures.append(Failure(name, f"channel {seen.channel} of the last axis is off by {seen.channel_error:.3g}, "
                                f"{seen.channel_relative:.2g} of its own range; at most {limit:.2g} is rounding",
                                seen.channel_error, limit * seen.channel_error / seen.channel_relative))
    return failures


def faults(name: str, seen: FidelityResult, policy: Policy = DEFAULT) -> list[Failure]:
    """What is wrong with an integer candidate beyond any rounding: not finite, constant, or not following the reference at all."""
    failures = _broken(name, seen)
    weak = seen.agreement is not None and seen.agreement < policy.weak_agreement and seen.snr_db < policy.weak_snr_db
    if seen.values and (seen.snr_db < policy.lost_snr_db or weak):
        agreement = "" if seen.agreement is None else f", agreement {100 * seen.agreement:.1f} %"
        failures.append(Failure(name, f"does not follow the reference: SNR {seen.snr_db:.1f} dB{agreement}; "
                                "wrong model, wrong preprocessing or broken quantization"))
    if seen.lost_channel is not None and seen.lost_channel_db < policy.lost_channel_db:
        failures.append(Failure(name, f"channel {seen.lost_channel} of the last axis does not follow the reference: SNR of its changes "
                                f"{seen.lost_channel_db:.1f} dB; dead, or broken by quantization"))
    return failures


def fused_gap(fused_db: float, unfused_db: float, policy: Policy = DEFAULT) -> float:
    """SNR of the unfused graph minus that of the fused one, in dB; above ``gap_cap_db`` both count as that.

    Positive: the kernels lose what the simulation promises. NaN where both are minus infinite; ``Policy.is_finding`` says whether it matters.
    """
    return min(unfused_db, policy.gap_cap_db) - min(fused_db, policy.gap_cap_db)


def _broken(name: str, seen: FidelityResult) -> list[Failure]:
    failures = []
    if seen.non_finite:
        failures.append(Failure(name, f"{seen.non_finite} values are NaN or infinite where the reference is not, or the other way round"))
    if not seen.values:
        failures.append(Failure(name, "the reference is nowhere finite, so there is nothing to compare"))
    if seen.constant:
        failures.append(Failure(name, f"the same for all {seen.samples} samples, while the reference changes"))
    return failures
