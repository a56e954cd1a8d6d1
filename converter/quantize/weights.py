"""Integer codes for weights: per output channel, symmetric, inside the bound of saturating kernels.

On x86 without VNNI, the integer kernels add two neighbouring products u8 * s8 in 16 bits and clip the sum. Activation
codes are never negative, so a pair of weights (a, b) is safe for every input if and only if the codes of the same sign
among them add up to at most 128 in magnitude: 255 * 128 < 2^15 <= 255 * 129. Pairs are the positions (2j, 2j + 1) of the
order in which the kernel walks a channel's weights (``verify.kernel_order``).

Where a channel breaks the bound there are two ways, and every mixture of them:

- a coarser scale for the whole channel (all weights lose resolution), or
- moving the offending pairs to the nearest point of the bound, ``a + b = 128`` (only they are off):
  minimise ``(a' - a)^2 + (b' - b)^2`` with ``a' + b' = 128``, so ``a' = a - (a + b - 128) / 2`` and b' likewise.

Every channel by itself gets the scale with the smallest squared error, from the finest to the one that needs no move; so a
channel loses only as much as its own pairs require. Where to look is told by the expected error, in which rounding costs
``scale^2 / 12`` a weight (the variance of a uniform error) and a moved pair half the square of its way to the bound, so that
only the pairs beyond the bound are walked over; around its minimum the codes are made and their error is counted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converter.spec.quant import Array, QParams, QuantSpec
from converter.verify.kernel_order import k_order
from converter.verify.kernels import pair_limit, worst_pair

LIKELY = 24  # shares of the way to the coarsest scale whose error is estimated
CLOSE, REACH = 12, 1.5  # shares around the best of them that are tried, up to so many steps away
BLOCK = 1 << 17  # pairs looked at in one step: what is computed of them stays in the cache
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
    if smallest is not None:
        finest = np.maximum(finest, smallest)
    finest = np.where(finest > np.finfo(np.float32).tiny * 1e6, finest, 1.0)
    scale = narrowest = finest.astype(np.float32)
    codes = _round(rows, scale, spec)
    moved = 0
    order = _kernel_positions(weight.shape, axis, op_type, group, transposed) if pairs else None
    if order is not None:
        scale, codes, moved = _inside_bound(rows, order, scale, codes, spec)
    params = QParams(spec, scale, np.zeros(scale.shape, spec.dtype), axis)
    shape = (weight.shape[axis], *np.delete(weight.shape, axis))
    return Codes(params, np.ascontiguousarray(np.moveaxis(codes.reshape(shape), 0, axis)), scale / narrowest, moved)


def _round(rows: Array, scale: Array, spec: QuantSpec) -> Array:
    low, high = spec.limits
    return np.asarray(np.clip(np.rint(rows / scale[:, None]), low, high).astype(spec.dtype))


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
    """Scales and codes inside the pair bound, and how many pairs were moved."""
    bad = np.flatnonzero(worst_pair(codes.take(order, axis=1)) > pair_limit())
    if not len(bad):
        return scale, codes, 0
    pairs = _pairs(rows.take(bad, axis=0).take(order, axis=1))  # twice take is faster than a table of both
    finest, reach = scale[bad], _plain_reach(pairs, scale[bad])
    chosen = _best_scale(pairs, finest, reach)
    kept, moved = _project(pairs / chosen[:, None], spec)
    scale, codes = scale.copy(), codes.copy()
    scale[bad] = chosen
    inner = np.empty((len(bad), len(order)), spec.dtype)
    inner[:, order[0::2]], inner[:, order[1::2]] = kept[0], kept[1, :, : len(order) // 2]
    codes[bad] = inner
    return scale, codes, int(moved)


def _best_scale(pairs: Array, finest: Array, reach: Array) -> Array:
    """The scale of every row with the smallest error among ``finest * reach^share``: around the likely best share, and both ends."""
    shares = np.linspace(0.0, 1.0, LIKELY)
    likely = shares[_expected(pairs, finest, reach ** shares[:, None]).argmin(axis=0)]
    around = np.linspace(-REACH, REACH, CLOSE) * shares[1]
    tried = np.concatenate([np.zeros((1, len(likely))), np.clip(likely + around[:, None], 0.0, 1.0), np.ones((1, len(likely)))])
    scales = (finest * reach**tried).astype(np.float32)
    return np.asarray(np.take_along_axis(scales, _errors(pairs, scales).argmin(axis=0)[None], 0)[0])


def _expected(pairs: Array, finest: Array, widened: Array) -> Array:
    """The error to expect of every row at the scales ``widened * finest``, in units of ``finest^2``; of the shape of ``widened``."""
    total = np.abs(pairs[0] + pairs[1]) / finest[:, None]  # of opposite signs it is small, as it must be
    beyond = np.flatnonzero(total > pair_limit())
    row, total = beyond // pairs.shape[2], total.reshape(-1)[beyond]
    error = pairs[0].shape[1] / 6 * widened**2
    for found, factor in zip(error, widened.astype(np.float32), strict=True):
        over = np.maximum(total - factor[row] * pair_limit(), 0.0)
        found += np.bincount(row, over * over / 2, len(finest))
    return np.asarray(error)


def _pairs(rows: Array) -> Array:
    """Rows in kernel order as the even and the odd members of their pairs, float32 ``(2, rows, pairs)``; an odd K ends in a 0."""
    pairs = np.zeros((2, len(rows), -(-rows.shape[1] // 2)), np.float32)
    pairs[0], pairs[1, :, : rows.shape[1] // 2] = rows[:, 0::2], rows[:, 1::2]
    return pairs


def _plain_reach(pairs: Array, scale: Array) -> Array:
    """How much coarser every row's scale must be so that its rounded codes are inside the bound with no pair moved."""
    reach, left = np.ones(len(scale)), np.arange(len(scale))
    while len(left):
        codes = np.rint(pairs[:, left] / (scale[left] * reach[left]).astype(np.float32)[:, None])
        worst = np.abs(codes[0] + codes[1]).max(axis=1)
        reach[left] *= np.maximum(worst / pair_limit(), 1.0)
        left = left[worst > pair_limit()]
    return reach


def _errors(pairs: Array, scales: Array) -> Array:
    """Squared error of every row at every scale: ``scales (candidates, rows)``, float64 of the same shape."""
    errors = np.empty(scales.shape)
    rows = max(BLOCK // (len(scales) * pairs.shape[2]), 1)
    for start in range(0, scales.shape[1], rows):
        part = scales[:, start : start + rows]
        real = pairs[:, None, start : start + rows] / part[:, :, None]
        codes = np.rint(real)
        _move(codes, real)
        codes -= real
        errors[:, start : start + rows] = np.einsum("pcrk,pcrk->cr", codes, codes) * part.astype(np.float64) ** 2
    return errors


def _move(codes: Array, real: Array) -> int:
    """Move the pairs of ``codes (2, ...)`` that break the bound onto it, in place, and say how many they were."""
    where = np.flatnonzero(_outside(codes))
    even, odd, real_even, real_odd = (x.reshape(-1) for x in (*codes, *real))
    even[where], odd[where] = _moved(real_even[where], real_odd[where])
    return len(where)


def _outside(codes: Array) -> Array:
    """Pairs that break the bound. Members of opposite signs never do: no code is beyond the bound by itself."""
    return np.asarray(np.abs(codes[0] + codes[1]) > pair_limit())


def _moved(even: Array, odd: Array) -> tuple[Array, Array]:
    """The nearest codes on the bound for pairs beyond it, given in units of the scale."""
    a, b, limit = np.abs(even), np.abs(odd), pair_limit()
    first = np.clip(np.rint(a - (a + b - limit) / 2), 1, limit - 1)
    return np.copysign(first, even), np.copysign(limit - first, odd)


def _project(real: Array, spec: QuantSpec) -> tuple[Array, int]:
    """Codes of pairs in units of the scale, inside the bound, and how many pairs were moved."""
    codes = np.clip(np.rint(real), *spec.limits)
    moved = _move(codes, real)
    return codes.astype(spec.dtype), moved
