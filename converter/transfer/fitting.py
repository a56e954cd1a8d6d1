"""Whether what a backbone gives fits what a head takes: type, shape, layout, grid. Decides, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx_ir as ir

from converter.errors import UsageError
from converter.graph import query
from converter.transfer import seams
from converter.transfer.seams import Grid

LAYOUTS: Mapping[str, str] = {"channels-last": "channels first in the backbone, last in the head",
                              "channels-first": "channels last in the backbone, first in the head"}
MOVES = ("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


@dataclass(frozen=True)
class Fit:
    """How the two sides are joined.

    Args:
        given, wanted: grids of the backbone and of the head at the seam, where they have one.
        direct: the seam of the backbone is what is read from codes, not what an operator that only moves numbers makes of that.
        codes: the head reads codes, and no node of it makes them.
        perm: how the axes are transposed on the way; empty if they are not.
        axes: free axes of the backbone and of the head and what they are from now on: a name or a length.
    """

    given: Grid | None
    wanted: Grid | None
    direct: bool
    codes: bool
    perm: tuple[int, ...]
    axes: tuple[Mapping[str, int | str], Mapping[str, int | str]]

    @property
    def same(self) -> bool:
        """Whether both sides have a grid, and the same one."""
        return self.given is not None and self.given.same(self.wanted)

    @property
    def requantized(self) -> bool:
        """Whether two pairs on different grids meet with nothing in between."""
        return self.direct and self.wanted is not None and not self.same

    def describe(self) -> str:
        """How the grids meet, as a sentence."""
        if self.given is None and self.wanted is None:
            return "real numbers are handed over, neither side has a grid at the seam"
        if self.same:
            how = "one pair is kept, codes are handed over" if self.direct else "codes stay what they are"
            return f"both sides have the same grid ({self.given.describe() if self.given else ''}); {how}"
        if self.given is None:
            return f"real numbers go onto the grid of the head ({self.wanted.describe() if self.wanted else ''})"
        if self.wanted is None:
            return f"the backbone gives real numbers on its grid ({self.given.describe()}), the head has none at the seam"
        return (f"requantized, from the grid of the backbone ({self.given.describe()}, {_range(self.given)}) to that of the head "
                f"({self.wanted.describe()}, {_range(self.wanted)})")


def _range(grid: Grid) -> str:
    if grid.scale.size != 1 or not grid.dtype.is_integer():
        return "a scale a channel"
    low, high = ((int(q) - int(grid.zero_point.reshape(-1)[0])) * float(grid.scale.reshape(-1)[0]) for q in (grid.dtype.min, grid.dtype.max))
    return f"{low:.4g} to {high:.4g}"


def fit(given: ir.Value, wanted: ir.Value, transpose: str | None, where: str) -> Fit:
    """How ``given`` of the backbone can be what the head takes as ``wanted``.

    Args:
        given: the seam of the backbone: real numbers, behind its pair where it has one.
        wanted: the seam of the head.
        transpose: ``channels-last`` or ``channels-first``, what the head wants, if a transpose shall stand between them.
        where: both seams by name, for messages.

    Raises:
        UsageError: they do not fit; why, and what can be done, is said.
    """
    if transpose is not None and transpose not in LAYOUTS:
        raise UsageError(f"no such layout: {transpose!r}; known: {', '.join(LAYOUTS)}")
    readers = seams.readers_grid(wanted)
    codes = readers is not None and seams.is_integer(wanted)
    if not (codes and not seams.is_integer(given)):
        _check_types(given, wanted, where)
    perm = _perm(given, transpose, where)
    grid, direct = _given_grid(given)
    return Fit(grid, readers, direct, codes, perm, _shapes(given, wanted, perm, where))


def _given_grid(given: ir.Value) -> tuple[Grid | None, bool]:
    """The grid that the numbers lie on, and whether they come straight from codes."""
    maker = given.producer()
    direct = seams.codes_node(maker, "DequantizeLinear")
    while maker is not None and query.is_standard(maker, *MOVES) and maker.inputs[0] is not None:
        maker = maker.inputs[0].producer()
    return (seams.grid_at(maker) if maker is not None and seams.codes_node(maker, "DequantizeLinear") else None), direct


def _check_types(given: ir.Value, wanted: ir.Value, where: str) -> None:
    for side, value in (("backbone", given), ("head", wanted)):
        if value.type is not None and not isinstance(value.type, ir.TensorType):
            raise UsageError(f"what the {side} has at the seam is no tensor but {value.type}: {where}")
    if given.dtype is None or wanted.dtype is None or given.dtype == wanted.dtype:
        return
    names = [value.dtype.name.lower() for value in (given, wanted) if value.dtype is not None]
    advice = ("the backbone gives bare codes: cut it in front of its last QuantizeLinear or behind a DequantizeLinear" if seams.is_integer(given) else
              "the head takes whole numbers that are no codes of real ones" if seams.is_integer(wanted) else
              "one of the parts is of another precision: export both in the same one, since a cast would change what the head computes")
    raise UsageError(f"the types differ: the backbone gives {names[0]}, the head takes {names[1]}; {advice}. Seam: {where}")


def _perm(given: ir.Value, transpose: str | None, where: str) -> tuple[int, ...]:
    if transpose is None:
        return ()
    rank = query.rank_of(given)
    if rank is None or rank < 3:
        raise UsageError(f"--transpose {transpose} moves the channels of a tensor with 3 axes or more; the backbone gives {_sizes(given)}. "
                         f"Seam: {where}")
    return (0, *range(2, rank), 1) if transpose == "channels-last" else (0, rank - 1, *range(1, rank - 1))


Lengths = list[int | str | None]


def _lengths(value: ir.Value) -> Lengths | None:
    return None if value.shape is None else [d if isinstance(d, int) else d.value for d in value.shape]


def _shapes(given: ir.Value, wanted: ir.Value, perm: tuple[int, ...], where: str) -> tuple[dict[str, int | str], dict[str, int | str]]:
    """Names and lengths that free axes get; UsageError where the shapes cannot be the same."""
    mine, theirs = _lengths(given), _lengths(wanted)
    if mine is None or theirs is None:
        return {}, {}
    turned = [mine[i] for i in perm] if perm else mine
    if not _alike(turned, theirs):
        raise UsageError(f"the shapes differ: the backbone gives {_sizes(given)}{' transposed' if perm else ''}, the head takes {_sizes(wanted)}; "
                         f"{_advice(mine, turned, theirs)}. Seam: {where}")
    ours: dict[str, int | str] = {}
    other: dict[str, int | str] = {}
    for a, b in zip(turned, theirs, strict=True):
        if isinstance(b, str):
            if other.setdefault(b, a if a is not None else b) != a and a is not None:
                raise UsageError(f"the shapes differ: the head wants the same length on every axis called {b!r}, the backbone gives "
                                 f"{_sizes(given)}. Seam: {where}")
        elif isinstance(a, str) and isinstance(b, int) and ours.setdefault(a, b) != b:
            raise UsageError(f"the shapes differ: {a!r} of the backbone would have to be {ours[a]} and {b} at once. Seam: {where}")
    return ours, {name: ours.get(to, to) if isinstance(to, str) else to for name, to in other.items()}


def _alike(mine: Lengths, theirs: Lengths) -> bool:
    return len(mine) == len(theirs) and all(not (isinstance(a, int) and isinstance(b, int)) or a == b for a, b in zip(mine, theirs, strict=True))


def _advice(mine: Lengths, turned: Lengths, theirs: Lengths) -> str:
    rank = len(mine)
    if rank != len(theirs):
        return f"{rank} axes are not {len(theirs)}: cut the {'backbone' if rank < len(theirs) else 'head'} before what flattens or pools"
    options = {"channels-last": (0, *range(2, rank), 1), "channels-first": (0, rank - 1, *range(1, rank - 1))}
    fits = [name for name, perm in options.items() if rank > 2 and _alike([mine[i] for i in perm], theirs)]
    if fits:
        return f"they are the same with {LAYOUTS[fits[0]]}: --transpose {fits[0]} puts a transpose between them"
    wrong = [i for i, (a, b) in enumerate(zip(turned, theirs, strict=True)) if isinstance(a, int) and isinstance(b, int) and a != b]
    axis = wrong[0]
    if axis == 0:
        return f"one works on batches of {turned[0]}, the other of {theirs[0]}: export one of them with a free batch"
    what = "width" if axis in (1, rank - 1) else "length"
    return (f"the {what} of axis {axis} is {turned[axis]} and must be {theirs[axis]}: the head was made for another backbone, or for another of "
            "its layers")


def _sizes(value: ir.Value) -> str:
    lengths = _lengths(value)
    return "a tensor of unknown rank" if lengths is None else f"[{', '.join('?' if d is None else str(d) for d in lengths)}]"
