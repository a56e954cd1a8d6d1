"""The one quantization convention: ``real = (q - zero_point) * scale``.

Float32 scale, division by the scale, round half to even, saturation at the limits of the type: QuantizeLinear and
DequantizeLinear of the ONNX operator specification. The textbook form ``q = round(x * s + b)`` is ``scale = 1/s``,
``zero_point = b``; its inverse is ``(q - b) / s``. Foreign conventions are converted at the door, never inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Granularity(Enum):
    """How many scales a tensor has: one, or one for every index of ``axis``."""

    TENSOR = "tensor"
    CHANNEL = "channel"


@dataclass(frozen=True)
class QuantSpec:
    """What an integer grid looks like before its numbers are known.

    Args:
        bits: width of the integer, 8 or 32.
        signed: two's complement or unsigned.
        symmetric: the zero point is 0 (signed) or the middle of the range (unsigned).
        narrow: leave out the most negative value, so that the range is symmetric around 0; signed only.
        granularity: one scale for the tensor, or one for every channel.

    Raises:
        ValueError: the fields contradict each other.

    Example:
        >>> QuantSpec(8, signed=True, symmetric=True, narrow=True).limits
        (-127, 127)
    """

    bits: int = 8
    signed: bool = False
    symmetric: bool = False
    narrow: bool = False
    granularity: Granularity = Granularity.TENSOR

    def __post_init__(self) -> None:
        if self.bits not in (8, 32):
            raise ValueError(f"bits must be 8 or 32, received {self.bits}")
        if self.narrow and not (self.signed and self.symmetric):
            raise ValueError("a narrow grid must be signed and symmetric")
        if self.bits == 32 and not (self.signed and self.symmetric):
            raise ValueError("a 32-bit grid must be signed and symmetric")

    @property
    def limits(self) -> tuple[int, int]:
        """Lowest and highest code, both inclusive."""
        if self.signed:
            return -(2 ** (self.bits - 1)) + int(self.narrow), 2 ** (self.bits - 1) - 1
        return 0, 2**self.bits - 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy type of the codes."""
        return np.dtype(f"{'int' if self.signed else 'uint'}{self.bits}")

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {"bits": self.bits, "signed": self.signed, "symmetric": self.symmetric, "narrow": self.narrow,
                "granularity": self.granularity.value}


ACTIVATION_U8 = QuantSpec()
WEIGHT_S8 = QuantSpec(8, signed=True, symmetric=True, narrow=True, granularity=Granularity.CHANNEL)
BIAS_S32 = QuantSpec(32, signed=True, symmetric=True, granularity=Granularity.CHANNEL)


@dataclass(frozen=True, eq=False)
class QParams:
    """A grid with its numbers.

    Args:
        spec: the kind of grid.
        scale: float32, positive and finite; shape ``()`` or ``(channels,)``.
        zero_point: codes of the value 0, dtype of the spec, shape of the scale.
        axis: the axis that the channels lie on; None for one scale.

    Raises:
        ValueError: shapes, dtypes or values contradict each other.
    """

    spec: QuantSpec
    scale: Array
    zero_point: Array
    axis: int | None = None

    def __post_init__(self) -> None:
        if self.scale.dtype != np.float32:
            raise ValueError(f"scale must be float32, received {self.scale.dtype}")
        if self.zero_point.dtype != self.spec.dtype or self.zero_point.shape != self.scale.shape:
            raise ValueError(f"zero_point must be {self.spec.dtype} of shape {self.scale.shape}, received "
                             f"{self.zero_point.dtype} of shape {self.zero_point.shape}")
        if (self.axis is None) != (self.scale.ndim == 0) or self.scale.ndim > 1:
            raise ValueError(f"a scale of shape {self.scale.shape} does not go with axis {self.axis}")
        if not (np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise ValueError("every scale must be positive and finite")

    def quantize(self, x: Array) -> Array:
        """Codes of ``x``: ``saturate(round_half_even(x / scale) + zero_point)``; same shape, dtype of the spec."""
        scale, zero = self._broadcast(x.ndim)
        low, high = self.spec.limits
        if self.spec.bits == 32:  # float32 has 24 bits; a bias code may need all 32
            codes = np.rint(x.astype(np.float64) / scale.astype(np.float64)) + zero
        else:
            with np.errstate(over="ignore"):  # infinity saturates as it should
                codes = np.rint(np.asarray(x, np.float32) / scale) + zero.astype(np.float32)
        return np.asarray(np.clip(codes, low, high).astype(self.spec.dtype))

    def dequantize(self, q: Array) -> Array:
        """Values of the codes ``q``: ``(q - zero_point) * scale``; same shape, float32."""
        scale, zero = self._broadcast(q.ndim)
        return np.asarray((q.astype(np.int64) - zero.astype(np.int64)).astype(np.float32) * scale)

    def _broadcast(self, ndim: int) -> tuple[Array, Array]:
        if self.axis is None:
            return self.scale, self.zero_point
        shape = [1] * ndim
        shape[self.axis] = -1
        return self.scale.reshape(shape), self.zero_point.reshape(shape)


def from_range(spec: QuantSpec, low: float, high: float) -> QParams:
    """The per-tensor grid that covers ``[low, high]`` and holds 0 exactly.

    The range is widened to contain 0 and its width is kept above the smallest normal float32, so that a tensor
    that is always zero gets a valid grid.

    Raises:
        ValueError: a bound is not finite, or ``low > high``.
    """
    if not (np.isfinite(low) and np.isfinite(high)) or low > high:
        raise ValueError(f"not a range: [{low}, {high}]")
    low, high = min(low, 0.0), max(high, 0.0)
    qmin, qmax = spec.limits
    if spec.symmetric:
        middle = 0 if spec.signed else (qmin + qmax + 1) // 2
        return QParams(spec, _usable(max(-low, high) / (qmax - middle)), np.array(middle, spec.dtype))
    scale = _usable((high - low) / (qmax - qmin))
    zero = np.clip(np.rint(qmin - low / float(scale)), qmin, qmax)
    return QParams(spec, scale, np.array(zero, spec.dtype))


def _usable(scale: float) -> Array:
    """``scale`` as an array, replaced by 1 where it is too small to divide by (the tensor is constant zero)."""
    return np.asarray(scale if scale > np.finfo(np.float32).tiny * 1e6 else 1.0, np.float32)
