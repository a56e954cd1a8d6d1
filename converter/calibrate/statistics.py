"""Statistics of one tensor: what every calibration method and bias correction need, in memory that does not grow.

They depend on the set of samples only, neither on their order nor on how they were batched, and two halves merged equal
the whole, bit for bit:

- minimum and maximum are exact (``probing``: of a large map behind a Relu the minimum is its floor, 0);
- the histogram counts float32 bit patterns by their upper 16 bits (sign, exponent, 7 bits of mantissa), so it needs no
  range in advance, is exact to 2^-7 of the value, and adds as integers. Of a sample with more than SAMPLED elements it
  sees every k-th, k coprime to the sample's size, so that no axis is favoured; of a large feature map, which the graph reduces
  by itself (``probing``), the same of a regular grid of positions;
- channel means are summed per sample in floating point and over samples in fixed point, where addition has no order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from converter.errors import InputError
from converter.spec.quant import Array

SAMPLED = 1 << 13
PATTERNS = 1 << 16
WAITING = PATTERNS  # values that are kept until they are counted together: one look at a table that has left the cache, not many
_COARSE, _FINE = 2.0**10, 2.0**50  # two limbs: |x| < 2^30 and 2^22 samples at a resolution of 2^-50


@dataclass(frozen=True, eq=False)
class Observation:
    """What was read of a tensor in one batch.

    Args:
        low, high: extremes, finite.
        patterns: uint16 ``(n, k)``, the upper half of the float32 pattern of every value that the histogram counts.
        means: float ``(n, channels)``, the channel means of every sample, or None.
    """

    low: float
    high: float
    patterns: Array
    means: Array | None = None


def observe(x: Array, axis: int | None = None) -> Observation:
    """Read a batch.

    Args:
        x: floating-point ``(n, ...)``, finite; of an empty one there is nothing to see.
        axis: channel axis, if channel means are wanted.

    Raises:
        InputError: a value is NaN or infinite.
    """
    x = np.ascontiguousarray(x, np.float32)
    if not x.size:
        return Observation(math.inf, -math.inf, np.empty((0, 0), np.uint16), None if axis is None else np.empty((0, x.shape[axis]), np.float32))
    low, high = float(x.min()), float(x.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise InputError(f"{int(np.count_nonzero(~np.isfinite(x)))} of {x.size} values are NaN or infinite")
    return Observation(low, high, patterns(x), None if axis is None else _means(x, axis))


def patterns(x: Array) -> Array:
    """Upper halves of the patterns of those values of every sample of ``x`` that the histogram counts.

    Args:
        x: float32 ``(n, ...)``, contiguous.

    Returns:
        uint16 ``(n, k)``, a copy.
    """
    flat = x.reshape(len(x), -1)
    return flat.view(np.uint16)[:, 1 :: 2 * _step(flat.shape[1])].copy()


def _means(x: Array, axis: int) -> Array:
    others = tuple(a for a in range(1, x.ndim) if a != axis % x.ndim)
    return np.asarray(x.mean(axis=others, dtype=np.float32)) if others else x


@dataclass
class Statistics:
    """What is known of one tensor.

    Args:
        channels: length of the channel axis, or 0 where no channel means are kept.
        samples: number of samples seen.
        low, high: extremes.
    """

    channels: int = 0
    samples: int = 0
    low: float = math.inf
    high: float = -math.inf
    _counts: Array = field(init=False, default_factory=lambda: np.zeros(PATTERNS, np.int64))
    _limbs: Array = field(init=False)
    _patterns: list[Array] = field(init=False, default_factory=list)
    _means: list[Array] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self._limbs = np.zeros((2, self.channels), np.int64)

    @property
    def counts(self) -> Array:
        """Occurrences by the upper half of the float32 pattern, int64 ``(65536,)``."""
        self._settle()
        return self._counts

    @property
    def limbs(self) -> Array:
        """Fixed-point sums of the channel means of every sample, int64 ``(2, channels)``."""
        self._settle()
        return self._limbs

    def _settle(self) -> None:
        """Count and add what waits."""
        if self._patterns:
            np.add.at(self._counts, np.concatenate(self._patterns).astype(np.intp), 1)  # faster than bincount, which makes a table of its own
            self._patterns.clear()
        if self._means:
            means = np.concatenate(self._means).astype(np.float64)
            coarse = np.rint(means * _COARSE)
            fine = np.rint((means - coarse / _COARSE) * _FINE)
            self._limbs += np.stack([coarse, fine]).astype(np.int64).sum(axis=1)
            self._means.clear()

    def update(self, x: Array, axis: int | None = None) -> None:
        """See a batch ``(n, ...)`` whole; ``axis`` and errors as of :func:`observe` and :meth:`add`."""
        self.add(observe(x, axis if self.channels else None))

    def add(self, seen: Observation) -> None:
        """Add what was read of a batch.

        Raises:
            InputError: the channels are not those seen so far, or their means are missing; the statistics stay as they were.
        """
        if not seen.patterns.size:
            return
        means = seen.means if self.channels else None
        if self.channels and means is None:
            raise InputError(f"no channel means go with statistics of {self.channels} channels")
        if means is not None and means.shape[1] != self.channels:
            raise InputError(f"{means.shape[1]} channels do not go with statistics of {self.channels}")
        self.low, self.high = min(self.low, seen.low), max(self.high, seen.high)
        self.samples += len(seen.patterns)
        self._patterns.append(seen.patterns.reshape(-1))
        if means is not None:
            self._means.append(means.copy())
        if sum(map(len, self._patterns)) >= WAITING:
            self._settle()

    def merge(self, other: Statistics) -> None:
        """Add what ``other`` saw.

        Raises:
            ValueError: the two are of tensors with different channels.
        """
        if self.channels != other.channels:
            raise ValueError(f"cannot merge statistics of {self.channels} and {other.channels} channels")
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        self.samples += other.samples
        self._counts = self.counts + other.counts
        self._limbs = self.limbs + other.limbs

    @property
    def means(self) -> Array:
        """Mean of every channel over samples and positions, float64 ``(channels,)``."""
        return np.asarray((self.limbs[0] / _COARSE + self.limbs[1] / _FINE) / max(self.samples, 1))

    def histogram(self) -> tuple[Array, Array]:
        """Values and how often they occur, values ascending: float64 ``(k,)``, int64 ``(k,)``, empty patterns left out."""
        seen = np.flatnonzero(self.counts)
        values, counts = PATTERN_VALUES[seen], self.counts[seen]
        order = np.argsort(values, kind="stable")
        return np.clip(values[order], self.low, self.high), counts[order]


def _step(size: int) -> int:
    """The smallest stride that keeps at most SAMPLED of ``size`` elements and shares no factor with ``size``."""
    step = -(-size // SAMPLED)
    while step > 1 and math.gcd(step, size) != 1:
        step += 1
    return max(step, 1)


def _pattern_values() -> Array:
    """The middle of every pattern's interval as float64; NaN and infinity never occur."""
    patterns = np.arange(PATTERNS, dtype=np.uint32)
    with np.errstate(invalid="ignore"):
        values = ((patterns << 16) | 0x8000).view(np.float32).astype(np.float64)
    values[[0, 0x8000]] = 0.0  # zeros, and what is too small to matter
    return values


PATTERN_VALUES = _pattern_values()
