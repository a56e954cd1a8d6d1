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
from converter.verify.kernels import pair_limit, worst_pair

CANDIDATES = 16  # shares of the way to the coarsest scale that are tried, and as many again around the best of them
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
    bad = np.flatnonzero(worst_pair(codes[:, order]) > pair_limit())
    if not len(bad):
        return scale, codes, 0
    pairs = _pairs(rows[bad][:, order])
    finest, reach = scale[bad], _plain_reach(pairs, scale[bad])
    chosen = _best_scale(pairs, finest, reach)
    kept, moved = _project(pairs / chosen[:, None], spec)
    scale, codes = scale.copy(), codes.copy()
    scale[bad] = chosen
    codes[np.ix_(bad, order)] = np.moveaxis(kept, 0, -1).reshape(len(bad), -1)[:, : len(order)]
    return scale, codes, int(moved)


def _best_scale(pairs: Array, finest: Array, reach: Array) -> Array:
    """The scale of every row with the smallest error among ``finest * reach^share``: shares from 0 to 1, then closer around the best."""
    step = 1.0 / (CANDIDATES - 1)
    share, error = _best_share(pairs, finest, reach, np.linspace(0.0, 1.0, CANDIDATES)[:, None] + np.zeros(len(finest)))
    near = np.clip(share + step * np.linspace(-1.0, 1.0, CANDIDATES)[:, None], 0.0, 1.0)
    closer, smaller = _best_share(pairs, finest, reach, near)
    return np.asarray((finest * reach ** np.where(smaller < error, closer, share)).astype(np.float32))


def _best_share(pairs: Array, finest: Array, reach: Array, shares: Array) -> tuple[Array, Array]:
    """Of ``shares (candidates, rows)``, the best of every row and its error."""
    best, error = shares[0], np.full(len(finest), np.inf)
    for share in shares:
        found = _error(pairs, (finest * reach**share).astype(np.float32))
        best, error = np.where(found < error, share, best), np.minimum(found, error)
    return best, error


def _pairs(rows: Array) -> Array:
    """Rows in kernel order as the even and the odd members of their pairs, float32 ``(2, rows, pairs)``; an odd K ends in a 0."""
    padded = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2)))
    return np.ascontiguousarray(np.stack([padded[:, 0::2], padded[:, 1::2]]), np.float32)


def _plain_reach(pairs: Array, scale: Array) -> Array:
    """How much coarser every row's scale must be so that its rounded codes are inside the bound with no pair moved."""
    reach, left = np.ones(len(scale)), np.arange(len(scale))
    while len(left):
        codes = np.rint(pairs[:, left] / (scale[left] * reach[left]).astype(np.float32)[:, None])
        worst = np.abs(codes[0] + codes[1]).max(axis=1)
        reach[left] *= np.maximum(worst / pair_limit(), 1.0)
        left = left[worst > pair_limit()]
    return reach


def _error(pairs: Array, scale: Array) -> Array:
    """Squared error of every row if it had this scale; float64 ``(rows,)``."""
    real = pairs / scale[:, None]
    codes = np.rint(real)
    where = _outside(codes)
    codes[0][where], codes[1][where] = _moved(real[0][where], real[1][where])
    codes -= real
    return np.asarray(np.einsum("prk,prk->r", codes, codes) * scale.astype(np.float64) ** 2)


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
    where = _outside(codes)
    codes[0][where], codes[1][where] = _moved(real[0][where], real[1][where])
    return codes.astype(spec.dtype), int(np.count_nonzero(where))
