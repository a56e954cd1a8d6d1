"""Integer codes for weights: per output channel, symmetric, inside the bound of saturating kernels.

On x86 without VNNI, the integer kernels add two neighbouring products u8 * s8 in 16 bits and clip the sum. Activation
codes are never negative, so a pair of weights (a, b) is safe for every input if and only if the codes of the same sign
among them add up to at most 128 in magnitude: 255 * 128 < 2^15 <= 255 * 129. Pairs are the positions (2j, 2j + 1) of the
order in which the kernel walks a channel's weights (``verify.kernel_order``).

Where a channel breaks the bound there are two ways, and every mixture of them:

- a coarser scale for the whole channel (all weights lose resolution), or
- moving the offending pairs to the nearest point of the bound, ``a + b = 128`` (only they are off):
  minimise ``(a' - a)^2 + (b' - b)^2`` with ``a' + b' = 128``, so ``a' = a - (a + b - 128) / 2`` and b' likewise.

For every channel by itself, candidates from the finest scale to the one that needs no move are tried, and the one with the
smallest squared error is taken; so a channel loses only as much as its own pairs require.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converter.spec.quant import Array, QParams, QuantSpec
from converter.verify.kernel_order import k_order
from converter.verify.kernels import pair_limit

CANDIDATES = 12
BIAS_ROOM = 2.0**30  # codes of a bias stay below this, so that adding products cannot overflow 32 bits


@dataclass(frozen=True, eq=False)
class Codes:
    """Integer weights of one layer.

    Args:
        params: the grid, one scale for every output channel.
        codes: integers in the layout of the weight.
        widened: scale over the finest possible scale, per channel; 1 where nothing was lost.
        moved: number of pairs moved to the bound.
    """

    params: QParams
    codes: Array
    widened: Array
    moved: int


def encode(
    weight: Array, axis: int, spec: QuantSpec, *, op_type: str, group: int = 1, transposed: bool = False, pairs: bool = True,
    smallest: Array | None = None,
) -> Codes:
    """Codes and scales of a weight.

    Args:
        weight: float32, layout of ``op_type``.
        axis: axis of the output channel.
        spec: per-channel, signed, symmetric.
        op_type, group, transposed: of the node; they decide which weights are neighbours in the kernel.
        pairs: keep the codes inside the bound of saturating kernels.
        smallest: float64 ``(channels,)``, scales may not be smaller (a large bias needs room).
    """
    rows = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
    finest = np.abs(rows).max(axis=1, initial=0).astype(np.float64) / spec.limits[1]
    finest = np.where(finest > np.finfo(np.float32).tiny * 1e6, finest, 1.0)
    if smallest is not None:
        finest = np.maximum(finest, smallest)
    scale = finest.astype(np.float32)
    codes = _round(rows, scale, spec)
    moved = 0
    order = _kernel_positions(weight.shape, axis, op_type, group, transposed) if pairs else None
    if order is not None:
        scale, codes, moved = _inside_bound(rows, order, scale, codes, spec)
    params = QParams(spec, scale, np.zeros(scale.shape, spec.dtype), axis)
    shape = (weight.shape[axis], *np.delete(weight.shape, axis))
    return Codes(params, np.ascontiguousarray(np.moveaxis(codes.reshape(shape), 0, axis)), scale / finest, moved)


def _round(rows: Array, scale: Array, spec: QuantSpec) -> Array:
    low, high = spec.limits
    return np.clip(np.rint(rows / scale[:, None]), low, high).astype(spec.dtype)


def _kernel_positions(shape: tuple[int, ...], axis: int, op_type: str, group: int, transposed: bool) -> Array | None:
    """Positions of one channel's weights in the order of the kernel, int64 ``(k,)``; None where no pairs are added.

    Read off ``k_order`` by giving every weight of a channel its own position as value.
    """
    channels = shape[axis]
    count = int(np.prod(shape)) // channels
    inner = np.arange(count).reshape(np.delete(shape, axis))
    positions = np.moveaxis(np.broadcast_to(inner, (channels, *inner.shape)), 0, axis)
    ordered = k_order(op_type, positions, group=group, transposed=transposed)
    return None if ordered is None else np.asarray(ordered[0])


def _inside_bound(rows: Array, order: Array, scale: Array, codes: Array, spec: QuantSpec) -> tuple[Array, Array, int]:
    """Scales and codes inside the pair bound."""
    worst = _worst(codes[:, order])
    bad = np.flatnonzero(worst > pair_limit())
    if not len(bad):
        return scale, codes, 0
    scale, codes, best = scale.copy(), codes.copy(), np.full(len(bad), np.inf)
    moved = np.zeros(len(bad), np.int64)
    source = rows[bad][:, order].astype(np.float64)
    reach = worst[bad] / pair_limit()
    kept = np.zeros((len(bad), len(order)), spec.dtype)
    chosen = scale[bad]
    for share in np.linspace(0.0, 1.0, CANDIDATES):
        trial = (scale[bad] * reach**share).astype(np.float32)
        values, count = _project(source / trial[:, None], spec)
        error = ((values * trial[:, None].astype(np.float64) - source) ** 2).sum(axis=1)
        better = error < best
        best[better], chosen[better], moved[better], kept[better] = error[better], trial[better], count[better], values[better]
    scale[bad] = chosen
    unordered = np.empty_like(kept)
    unordered[:, order] = kept
    codes[bad] = unordered
    return scale, codes, int(moved.sum())


def _worst(codes: Array) -> Array:
    from converter.verify.kernels import worst_pair

    return worst_pair(codes).astype(np.float64)


def _project(real: Array, spec: QuantSpec) -> tuple[Array, Array]:
    """Codes of ``real`` (rows in kernel order, in units of the scale) inside the bound, and moved pairs per row."""
    low, high = spec.limits
    limit = pair_limit()
    codes = np.clip(np.rint(real), low, high)
    even, odd = codes[:, 0::2], codes[:, 1::2]
    even = even[:, : odd.shape[1]]
    excess = np.abs(even + odd) > limit
    excess &= np.sign(even) == np.sign(odd)
    if excess.any():
        row, pair = np.nonzero(excess)
        a, b = np.abs(real[row, 2 * pair]), np.abs(real[row, 2 * pair + 1])
        first = np.clip(np.rint(np.clip(a - (a + b - limit) / 2, limit - high, high)), 0, limit)
        sign = np.sign(codes[row, 2 * pair])
        codes[row, 2 * pair] = sign * first
        codes[row, 2 * pair + 1] = sign * (limit - first)
    return codes.astype(spec.dtype), excess.sum(axis=1)
