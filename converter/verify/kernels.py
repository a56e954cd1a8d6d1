"""The two integer kernels of onnxruntime's CPU provider for uint8 activations and int8 weights, in numpy.

*Exact* accumulates every product in 32 bits: x86 with VNNI, and every x86 under ``session.x64quantprecision=1``.
*Pairs* is AVX2 and AVX-512 without VNNI: ``vpmaddubsw`` adds two neighbouring products and clips the sum to 16 bits,
``vpmaddwd`` adds such sums in 32 bits. Which of the two a machine runs is for a probe to say: a later onnxruntime may
split the product on AVX2 and be exact there.

A product of a code ``a >= 0`` and a weight ``w`` has the sign of ``w``, so the sum of a pair lies between ``255`` times
its negative weights and ``255`` times its positive ones, and both ends occur. It fits 16 bits for every input exactly if
neither the positive nor the negative weights of the pair sum to more than 128 in magnitude: ``255 * 128 = 32640``
fits, ``255 * 129 = 32895`` does not. Opposite signs never clip, however large. :func:`saturates` is that test; a layer
that passes it gives the same sums under both kernels, whatever its input.

The arithmetic is that of MLAS (``QgemmU8X8KernelAvx2``, ``QgemvU8S8KernelAvx2``, ``ConvSymKernelAvx2``, ``qdwconv_avx2``); the
tests hold the model that a machine runs by default, and the exact one, against onnxruntime itself, code by code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from converter.verify.kernel_order import Array, Layer, input_rows, k_order, weight_rows

_LOW, _HIGH = np.iinfo(np.int16).min, np.iinfo(np.int16).max


@dataclass(frozen=True)
class Gap:
    """Where the two kernels part on one layer.

    Args:
        pair: largest same-sign sum of an aligned pair over all output channels; 0 for kernels without pairs.
        channels: output channels that some input can saturate; empty is a proof for every input.
        elements: accumulators that were looked at; 0 without an input, or for kernels without pairs.
        differing: accumulators on which the two kernels gave different sums.
        largest: largest difference of the two sums, in units of the accumulator (input scale times weight scale).
    """

    pair: int
    channels: tuple[int, ...]
    elements: int = 0
    differing: int = 0
    largest: int = 0

    @property
    def safe(self) -> bool:
        """No input whatever makes the two kernels differ."""
        return not self.channels


def worst_pair(rows: Array) -> Array:
    """The largest same-sign sum of an aligned pair of every output channel.

    Args:
        rows: ``(channels, K)`` integer weight codes in K order; an odd K ends in a pair with 0.

    Returns:
        ``(channels,)`` int32: the larger of the sum of the positive and the magnitude of the sum of the negative codes.

    Raises:
        ValueError: the codes are not integers.

    Example:
        >>> worst_pair(np.array([[127, -127, 64, 65], [-100, -30, 5, 0]], np.int8))
        array([129, 130], dtype=int32)
    """
    wide = np.int16 if rows.dtype.itemsize == 1 else np.int32
    even, odd = (np.ascontiguousarray(part, wide) for part in np.moveaxis(_pairs(rows), -1, 0))
    positive, negative = np.maximum(even, 0) + np.maximum(odd, 0), np.minimum(even, 0) + np.minimum(odd, 0)
    return np.asarray(np.maximum(positive.max(-1, initial=0), -negative.min(-1, initial=0)).astype(np.int32))


def pair_limit(top: int = 255) -> int:
    """The largest :func:`worst_pair` that never clips when no input code exceeds ``top``; 128 for 255, no int8 pair for 127."""
    return _HIGH // top


def saturates(rows: Array | None, top: int = 255) -> Array:
    """Whether some input with codes of at most ``top`` makes an output channel saturate.

    Args:
        rows: ``(channels, K)`` from :func:`k_order`; None (no pairs) never saturates.
        top: the highest input code that occurs, padding included.

    Returns:
        ``(channels,)`` bool; shape ``(0,)`` for None.
    """
    return np.zeros(0, bool) if rows is None else np.asarray(worst_pair(rows) > pair_limit(top))


def accumulate_exact(x: Array, rows: Array) -> Array:
    """``x @ rows.T`` in 32 bits: ``(m, K)`` uint8 and ``(channels, K)`` int8 to ``(m, channels)`` int32."""
    # float64 holds every sum of products of bytes exactly and is the only product that numpy does fast
    return np.asarray((x.astype(np.float64) @ rows.T.astype(np.float64)).astype(np.int64).astype(np.int32))


def accumulate_pairs(x: Array, rows: Array) -> Array:
    """As :func:`accumulate_exact`, but the sum of every aligned pair of products is clipped to 16 bits first."""
    codes, weights = _pairs(x), _pairs(rows)
    total = np.zeros((len(x), len(rows)), np.int32)
    for j in range(codes.shape[1]):
        total += np.clip(codes[:, j].astype(np.int32) @ weights[:, j].T.astype(np.int32), _LOW, _HIGH)
    return total


def accumulators(layer: Layer, x: Array, accumulate: Callable[[Array, Array], Array]) -> Array:
    """The sums of a whole layer before its bias, the zero point of the input taken out.

    Args:
        layer: a Conv, Gemm or MatMul.
        x: uint8 codes; Conv ``(n, channels, spatial...)``, the others ``(..., K)``.
        accumulate: :func:`accumulate_exact` or :func:`accumulate_pairs`; a depthwise layer is exact under both.

    Returns:
        int32 in the layout of the operator's output: Conv ``(n, O, spatial...)``, the others ``(..., N)``.

    Raises:
        ValueError: the input does not fit the layer.
    """
    rows = weight_rows(layer.op_type, layer.codes, transposed=layer.transposed)
    kernel = accumulate_exact if _ordered(layer) is None else accumulate
    shift = layer.zero_point * rows.sum(-1, dtype=np.int32)
    inputs, shape = input_rows(layer, x)
    sums = np.concatenate([kernel(i, w) for i, w in zip(inputs, np.split(rows, len(inputs)), strict=True)], -1) - shift
    sums = sums.reshape(*shape, -1)
    return np.moveaxis(sums, -1, 1) if layer.op_type == "Conv" else sums


def requantize(sums: Array, bias: Array | int, x_scale: Array, w_scale: Array, y_scale: Array, y_zero_point: int, *, axis: int = -1) -> Array:
    """Output codes of a layer, as ``MlasRequantizeOutput`` makes them (of a Gemm: alpha and beta are 1).

    The multiplier is ``x_scale * w_scale / y_scale`` in float32 in this order; the product with the sum is clipped to
    the range of uint8, rounded half to even, then shifted by the zero point.

    Args:
        sums: int32 from :func:`accumulators`.
        bias: int32 codes ``(channels,)`` on the grid ``x_scale * w_scale``, or 0.
        x_scale, y_scale: float32 scalars.
        w_scale: float32 scalar or ``(channels,)``.
        y_zero_point: code of the output 0.
        axis: the channel axis of ``sums``; 1 for a Conv.

    Returns:
        uint8, shape of ``sums``.
    """
    multiplier = np.float32(x_scale) * np.asarray(w_scale, np.float32) / np.float32(y_scale)
    last = np.moveaxis(sums, axis, -1) + np.asarray(bias, np.int32)
    scaled = np.clip(last.astype(np.float32) * multiplier, np.float32(-y_zero_point), np.float32(255 - y_zero_point))
    return np.moveaxis((np.rint(scaled) + y_zero_point).astype(np.uint8), -1, axis)


def proof(layer: Layer, x: Array | None = None) -> Gap:
    """Where the two kernels differ on a layer: for any input by its weights alone, and on ``x``.

    Args:
        layer: a Conv, Gemm, MatMul or ConvTranspose.
        x: uint8 input codes as for :func:`accumulators`; None looks at the weights only.

    Raises:
        ValueError: the operator is unknown, or the input does not fit the layer.
    """
    rows = _ordered(layer)
    if rows is None:
        return Gap(0, ())
    risky = np.flatnonzero(saturates(rows))
    gap = Gap(int(worst_pair(rows).max(initial=0)), tuple(int(c) for c in risky))
    if x is None:
        return gap
    inputs, _ = input_rows(layer, x)
    parts = zip(inputs, np.split(rows, len(inputs)), strict=True)
    losses = [_lost(i, w) for i, w in parts]
    return Gap(gap.pair, gap.channels, sum(a.size for a in losses), sum(int(np.count_nonzero(a)) for a in losses),
               max(int(np.abs(a).max(initial=0)) for a in losses))


def _lost(x: Array, rows: Array) -> Array:
    """``accumulate_pairs - accumulate_exact``, computed only for the pairs that can clip; ``(m, channels)`` int32."""
    codes, weights = _pairs(x), _pairs(rows)
    lost = np.zeros((len(x), len(rows)), np.int32)
    for c in np.flatnonzero(saturates(rows)):
        risky = saturates(weights[c])
        sums = (codes[:, risky] * weights[c, risky].astype(np.int32)).sum(-1)
        lost[:, c] = (np.clip(sums, _LOW, _HIGH) - sums).sum(-1)
    return lost


def _pairs(rows: Array) -> Array:
    """``(n, K)`` as ``(n, K / 2, 2)``, an odd K completed with 0 as the packing does."""
    if rows.dtype.kind not in "iu":
        raise ValueError(f"codes must be integers, received {rows.dtype}")
    return np.pad(rows, ((0, 0), (0, rows.shape[1] % 2))).reshape(len(rows), -1, 2)


def _ordered(layer: Layer) -> Array | None:
    return k_order(layer.op_type, layer.codes, group=layer.group, transposed=layer.transposed)
