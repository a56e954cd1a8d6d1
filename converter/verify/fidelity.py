"""How close one output of a candidate is to a reference, in a stream: nothing is held but sums and one sample.

A value that is not finite in the candidate never looks good: it makes the SNR minus infinite, the divergence infinite, and
counts as disagreement. Where the reference itself is not finite the candidate must be the same, and the place is left out
of the numbers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from converter.errors import InputError
from converter.spec.quant import Array
from converter.verify.divergence import ClassScores
from converter.verify.policy import DEFAULT, EPSILON, Policy


@dataclass(frozen=True)
class FidelityResult:
    """How close one output of a candidate is to the reference.

    Args:
        samples: entries along the batch axis.
        values: reference values that are finite, which the numbers are over.
        dtype: numpy name of the reference's element type.
        snr_db: 10 log10(power of the reference / power of the error), at most ``Policy.db_cap``.
        max_abs: largest absolute error.
        relative: ``max_abs`` as a share of ``span``; where that is 0, of what rounding explains.
        span: largest minus smallest reference value; the largest magnitude where all are equal.
        peak: largest magnitude of the reference.
        kl: mean KL(reference || candidate) of the last axis in nats; None for outputs that are not class scores.
        kl_se: standard error of ``kl`` over the rows; None likewise.
        agreement: share of rows with the same largest score, 0 to 1; None likewise.
        non_finite: places where the candidate is NaN or infinite and the reference is not the same.
        constant: the reference changes from sample to sample by more than rounding, the candidate does not change at all.
        varies: the reference changes from sample to sample; a reference that does not can hardly find a wrong candidate.
        channel: index on the last axis with the largest error as a share of its own range; None where that says nothing.
        channel_relative: that share.
        channel_error: largest absolute error of that channel.
        lost_channel: index on the last axis that follows the reference least, of those that change enough to be judged; None where none does.
        lost_channel_db: of it, 10 log10(variance of the reference / power of the error).
    """

    samples: int
    values: int
    dtype: str
    snr_db: float
    max_abs: float
    relative: float
    span: float
    peak: float
    kl: float | None
    kl_se: float | None
    agreement: float | None
    non_finite: int
    constant: bool
    varies: bool
    channel: int | None
    channel_relative: float
    channel_error: float
    lost_channel: int | None = None
    lost_channel_db: float = math.inf


class Fidelity:
    """Streams one output of a reference and of a candidate; parts can be merged.

    Results do not depend on order or batching beyond the rounding of float64 sums. Memory: one sample of each model and
    a few numbers for every index of the last axis.
    """

    def __init__(self, policy: Policy = DEFAULT) -> None:
        self._policy = policy
        self._dtype = ""
        self._samples = self._values = self._non_finite = 0
        self._power = self._noise = self._max_abs = 0.0
        self._low, self._high = math.inf, -math.inf
        self._reference, self._other = _Drift(), _Drift()
        self._channels = _Channels()
        self._classes = ClassScores(policy)

    def update(self, reference: Array, other: Array) -> None:
        """Take in one batch of an output, the same shape from both models; axis 0 is the batch.

        Raises:
            InputError: the shapes differ, or the values are not numbers.
        """
        if reference.shape != other.shape:
            raise InputError(f"output shapes differ: reference {reference.shape}, candidate {other.shape}")
        for name, array in (("reference", reference), ("candidate", other)):
            if not is_number(array.dtype):
                raise InputError(f"only numbers can be compared, the {name} holds {array.dtype}")
        reference, other = np.atleast_1d(reference), np.atleast_1d(other)
        self._dtype = self._dtype or reference.dtype.name
        self._samples += len(reference)
        if reference.size:
            self._reference.update(reference)
            self._other.update(other)
            self._compare(reference.astype(np.float64), other.astype(np.float64))

    def _compare(self, reference: Array, other: Array) -> None:
        known = np.isfinite(reference)
        strange = ~known & ~((reference == other) | (np.isnan(reference) & np.isnan(other)))
        self._non_finite += int(np.count_nonzero(strange | (known & ~np.isfinite(other))))
        value = np.where(known, reference, np.nan)
        with np.errstate(over="ignore", invalid="ignore"):
            error = np.abs(other - value)
            error[known & np.isnan(error)] = np.inf
            self._power += float(np.sum(value[known] ** 2))
            self._noise += float(np.sum(error[known] ** 2))
        self._values += int(np.count_nonzero(known))
        self._max_abs = max(self._max_abs, float(error[known].max(initial=0.0)))
        self._low = min(self._low, float(value[known].min(initial=np.inf)))
        self._high = max(self._high, float(value[known].max(initial=-np.inf)))
        if reference.ndim > 1:
            self._channels.update(value, error)
        if reference.ndim > 1 and reference.shape[-1] > 1 and self._dtype in EPSILON:
            self._compare_classes(reference, np.where(strange, np.nan, other), known)

    def _compare_classes(self, reference: Array, other: Array, known: Array) -> None:
        """Rows where the reference is not finite are left out, unless the candidate is wrong there."""
        complete: Array = np.asarray(known.all(-1))
        wrong: Array = np.asarray(~complete & (np.isnan(other) & ~np.isnan(reference)).any(-1))
        reference = np.where(wrong[..., None], 0.0, reference)
        keep = complete | wrong
        if keep.any():
            self._classes.update(reference[keep], np.where(wrong[..., None], np.nan, other)[keep])

    def merge(self, other: Fidelity) -> None:
        """Take in what another instance has seen of the same output."""
        self._dtype = self._dtype or other._dtype
        self._samples += other._samples
        self._values += other._values
        self._non_finite += other._non_finite
        self._power += other._power
        self._noise += other._noise
        self._max_abs = max(self._max_abs, other._max_abs)
        self._low, self._high = min(self._low, other._low), max(self._high, other._high)
        self._reference.merge(other._reference)
        self._other.merge(other._other)
        self._channels.merge(other._channels)
        self._classes.merge(other._classes)

    def result(self) -> FidelityResult:
        """The numbers so far; InputError when no sample was seen."""
        if not self._samples:
            raise InputError("nothing to compare: 0 samples")
        peak = max(abs(self._low), abs(self._high)) if self._values else 0.0
        span = (self._high - self._low if self._values else 0.0) or peak
        floor = self._policy.rounding_floor(self._dtype, peak)
        scores = self._classes.result()
        channel, share, error = self._channels.worst(self._policy, floor)
        lost, lost_db = self._channels.lost(self._policy, span)
        return FidelityResult(
            samples=self._samples, values=self._values, dtype=self._dtype, snr_db=self._snr(), max_abs=self._max_abs,
            relative=_share(self._max_abs, span or floor), span=span, peak=peak, kl=scores.kl if scores else None,
            kl_se=scores.kl_se if scores else None, agreement=scores.agreement if scores else None,
            non_finite=self._non_finite, constant=self._reference.most > floor and not self._other.changes,
            varies=self._reference.most > floor, channel=channel, channel_relative=share, channel_error=error, lost_channel=lost,
            lost_channel_db=lost_db)

    def _snr(self) -> float:
        if self._non_finite or not self._values or not math.isfinite(self._noise):
            return -math.inf
        if not self._noise:
            return self._policy.db_cap
        return min(self._policy.db_cap, 10 * math.log10(max(self._power, 1e-300) / self._noise))


class _Drift:
    """How far samples lie from the first one; samples of another shape than the first are passed over."""

    def __init__(self) -> None:
        self._first: Array | None = None
        self.changes = False
        self.most = 0.0

    def update(self, batch: Array) -> None:
        if self._first is None:
            self._first = batch[0].copy()
        if batch.shape[1:] != self._first.shape:
            self.changes = True
            return
        self.changes = self.changes or bool((batch != self._first).any())
        with np.errstate(invalid="ignore", over="ignore"):
            far = np.abs(batch.astype(np.float64) - self._first.astype(np.float64))
        self.most = max(self.most, float(np.where(np.isfinite(far), far, 0.0).max(initial=0.0)))

    def merge(self, other: _Drift) -> None:
        if other._first is not None:
            self.update(other._first[None])
        self.changes = self.changes or other.changes
        self.most = max(self.most, other.most)


class _Channels:
    """Range and spread of the reference, and errors, for every index of the last axis; given up where that axis has no fixed length."""

    def __init__(self) -> None:
        self._ragged = False
        self._count = 0
        self._table: Array | None = None  # rows: lowest value, highest value, largest error
        self._sums: Array | None = None  # rows: number of values, their sum, the sum of their squares, the sum of squared errors

    def update(self, value: Array, error: Array) -> None:
        value, error = (a.reshape(-1, a.shape[-1]) for a in (value, error))
        with np.errstate(over="ignore", invalid="ignore"):
            sums = np.stack([np.isfinite(value).sum(0), np.nansum(value, 0), np.nansum(value**2, 0), np.nansum(error**2, 0)])
        self._join(np.stack([np.fmin.reduce(value, 0), np.fmax.reduce(value, 0), np.fmax.reduce(error, 0)]), sums, len(value))

    def merge(self, other: _Channels) -> None:
        self._ragged = self._ragged or other._ragged
        if other._table is not None and other._sums is not None:
            self._join(other._table, other._sums, other._count)

    def _join(self, table: Array, sums: Array, count: int) -> None:
        if self._table is None or self._sums is None:
            self._table, self._sums = table, sums
        elif self._table.shape != table.shape:
            self._ragged = True
            return
        else:
            self._table = np.stack([np.fmin(self._table[0], table[0]), np.fmax(self._table[1], table[1]), np.fmax(self._table[2], table[2])])
            self._sums = self._sums + sums
        self._count += count

    def lost(self, policy: Policy, span: float) -> tuple[int | None, float]:
        """Index and SNR in dB of the channel whose changes the candidate follows least, of those with a spread that cannot be rounding."""
        if self._ragged or self._sums is None or self._sums.shape[1] < 2 or self._count < policy.spread_values or not math.isfinite(span):
            return None, math.inf
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            number, total, squares, noise = self._sums
            variance = squares / number - (total / number) ** 2
            share = np.where(variance > (policy.spread * span) ** 2, noise / number / variance, 0.0)
        index = int(np.nanargmax(share)) if np.isfinite(share).any() else 0
        return (index, -10 * math.log10(share[index])) if 0 < share[index] < math.inf else (None, math.inf)

    def worst(self, policy: Policy, floor: float) -> tuple[int | None, float, float]:
        """Index, share and error of the channel whose error beyond ``floor`` is the largest share of its own range.

        A channel whose range is nothing beside that of all is constant but for rounding (attention to equal tokens), and has no range.
        """
        if self._ragged or self._table is None or self._count < policy.channel_values:
            return None, 0.0, 0.0
        low, high, error = self._table
        whole = np.fmax.reduce(high) - np.fmin.reduce(low)
        usable = (high - low > policy.channel_span * whole) & (error > floor)
        share = np.where(usable, error / np.where(usable, high - low, 1.0), 0.0)
        index = int(np.argmax(share))
        return (index, float(share[index]), float(error[index])) if share[index] > 0 else (None, 0.0, 0.0)


def is_number(dtype: np.dtype[np.generic]) -> bool:
    """Whether values of ``dtype`` can be compared as numbers: integers, truth values and floats, bfloat16 included."""
    return dtype.kind in "fiub" or dtype.name in EPSILON


def _share(part: float, whole: float) -> float:
    if whole:
        return part / whole
    return math.inf if part else 0.0
