"""Copy parameters from one graph into another: layouts converted, weights encoded on the recipient's kind of grid, biases derived again.

On a fresh grid, the codes of an integer donor on the same kind of grid are taken as they are, with their scales; float numbers get the finest
scale that holds them (per channel inside the bound of saturating kernels, see ``quantize.weights``). On the frozen grid they get codes of
the grid that is there, and what does not fit is clipped and counted. An int32 bias lies on ``scale(input) * scale(weight)`` (ONNX:
QLinearConv), so it is encoded again wherever the weight's scale is another, also where nothing gave it new numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from converter.errors import InputError, UsageError, known
from converter.graph import edit
from converter.spec.quant import Array, QParams
from converter.spec.report import Report
from converter.transfer import encoding
from converter.transfer.match import Pair
from converter.transfer.parameters import Parameter

GRIDS = ("fresh", "frozen")


@dataclass
class Moved:
    """What copying did: names of the recipient's parameters.

    Args:
        changed, unchanged: whose numbers are others now, or the same.
        clipped: numbers that did not fit a frozen grid, by parameter.
        derived: biases that were encoded again because their weight's scale changed.
    """

    changed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    clipped: dict[str, int] = field(default_factory=dict)
    derived: list[str] = field(default_factory=list)


def copy(model: ir.Model, parameters: Sequence[Parameter], pairs: Sequence[Pair], *, factor: float = 1.0, grid: str = "fresh") -> Moved:
    """Give the parameters of ``model`` the numbers of their partners, in place.

    Args:
        model: the recipient.
        parameters: all of the recipient's.
        pairs: of one shape each.
        factor: share of the donor: ``factor * donor + (1 - factor) * own``, of the float values.
        grid: ``fresh`` or ``frozen``, for integer parameters.

    Raises:
        UsageError: a factor that is not finite, or an unknown kind of grid.
        InputError: numbers that the recipient's type or a bias of 32 bits cannot hold.
    """
    if grid not in GRIDS:
        raise UsageError(f"unknown grid {grid!r}; known: {known(GRIDS)}")
    if not np.isfinite(factor):
        raise UsageError(f"the factor must be a finite number, received {factor}")
    moved = Moved()
    by_dest = {id(pair.dest.value): pair for pair in pairs}
    biases = [p for p in parameters if p.grid is not None and p.grid.codes and p.grid.params.spec.bits == 32]
    new = {id(p.node): _blended(pair, factor) if (pair := by_dest.get(id(p.value))) else p.read() for p in biases}  # before scales change
    held = {id(p.value) for p in biases}
    rescaled = {id(pair.dest.node) for pair in pairs
                if id(pair.dest.value) not in held and _write(model, pair, factor, grid, new.get(id(pair.dest.node)), moved)}
    for bias in biases:
        if id(bias.value) in by_dest or id(bias.node) in rescaled:
            _write_bias(model, bias, new[id(bias.node)], moved, derived=id(bias.value) not in by_dest)
    return moved


def _write(model: ir.Model, pair: Pair, factor: float, grid: str, bias: Array | None, moved: Moved) -> bool:
    """Write one parameter; returns whether its scale is another now."""
    dest, before = pair.dest, pair.dest.value.const_value
    assert before is not None
    stored = _stored(pair, factor)
    if dest.grid is None or not dest.grid.codes:
        _settle(dest, _as_type(pair, stored, before.numpy()), moved)
        return dest.grid is not None and encoding.renew_scale(model, dest, stored, grid)
    same = _codes_as_they_are(pair, factor, grid)
    if same is not None:
        codes, params = same
    elif grid == "fresh":
        codes, params = encoding.fresh(dest, stored, bias)
    else:
        codes, params = dest.grid.params.quantize(stored), dest.grid.params
        clipped = encoding.clipped(params, stored)
        if clipped:
            moved.clipped[dest.name] = clipped
    _settle(dest, codes, moved)
    return encoding.set_grid(model, dest, params)


def _stored(pair: Pair, factor: float) -> Array:
    """New numbers, float, in the layout of the recipient; bit for bit those of the donor where the layouts are the same."""
    source, dest = pair.source, pair.dest
    if factor == 1.0 and source.grid is None and source.layout == dest.layout and source.value.const_value is not None:
        return source.value.const_value.numpy()
    return dest.layout.stored(_blended(pair, factor))


def _blended(pair: Pair, factor: float) -> Array:
    """The new numbers in canonical form; those of the donor themselves for a factor of 1."""
    donor = pair.source.read()
    return donor if factor == 1.0 else factor * donor.astype(np.float64) + (1 - factor) * pair.dest.read().astype(np.float64)


def _as_type(pair: Pair, stored: Array, before: Array) -> Array:
    with np.errstate(over="ignore"):
        new = np.asarray(stored).astype(before.dtype).reshape(before.shape)
    if np.isfinite(stored).all() and not np.isfinite(new).all():
        raise InputError(f"{pair.source.name} holds numbers up to {np.abs(stored).max():.3g}, which {before.dtype} of {pair.dest.name} cannot hold")
    if not np.isfinite(new).all() and np.isfinite(before).all():
        raise InputError(f"{pair.source.name} of the donor holds NaN or infinite values; {pair.dest.name} would get them")
    return new


def _codes_as_they_are(pair: Pair, factor: float, grid: str) -> tuple[Array, QParams] | None:
    """The donor's codes and grid, where they can be taken bit for bit."""
    ours, theirs = pair.source.grid, pair.dest.grid
    if factor != 1.0 or grid != "fresh" or ours is None or theirs is None or not ours.codes or pair.source.layout != pair.dest.layout:
        return None
    if (ours.params.spec, ours.params.axis) != (theirs.params.spec, theirs.params.axis):
        return None
    codes = pair.source.value.const_value
    assert codes is not None
    return codes.numpy(), ours.params


def _settle(dest: Parameter, numbers: Array, moved: Moved) -> None:
    held = dest.value.const_value
    assert held is not None
    if np.array_equal(numbers, held.numpy(), equal_nan=True):
        moved.unchanged.append(dest.name)
    else:
        edit.set_numbers(dest.value, numbers)
        moved.changed.append(dest.name)


def _write_bias(model: ir.Model, bias: Parameter, new: Array, moved: Moved, *, derived: bool) -> None:
    codes, params = encoding.bias(bias, bias.layout.stored(new))
    if derived:
        edit.set_numbers(bias.value, codes)
        moved.derived.append(bias.name)
    else:
        _settle(bias, codes, moved)
    encoding.set_grid(model, bias, params)


def described(moved: Moved, report: Report) -> None:
    """Say in ``report`` what was done."""
    report.numbers.update(changed=moved.changed, unchanged=moved.unchanged, clipped=moved.clipped, derived=moved.derived)
    report.done.append(f"{len(moved.changed)} parameters have new numbers, {len(moved.unchanged)} had the same already")
    if moved.derived:
        report.done.append(f"{len(moved.derived)} biases encoded again, because the scale of their weight changed")
    if moved.clipped:
        report.warnings.append(f"{sum(moved.clipped.values())} numbers did not fit the frozen grid and were clipped, in {known(moved.clipped, 5)}")
