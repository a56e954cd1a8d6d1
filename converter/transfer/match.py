"""Pair the parameters of a donor with those of a recipient: by map, by name, by structure, by value.

Names that frameworks number as layers are made (``conv2d_3``) can agree and mean different layers. So a pair of equal names is checked
against structure, and where structure says another partner for sure, that is an error: only the user can say which is meant.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from converter.errors import InputError, UsageError, known
from converter.transfer import naming
from converter.transfer.parameters import Parameter
from converter.transfer.structure import Structure, Unit, compare, units

WAYS = ("auto", "name", "structure", "value", "map")


@dataclass(frozen=True, eq=False)
class Pair:
    """A donor's and a recipient's parameter, and what paired them: ``map``, ``name``, ``structure`` or ``value``."""

    source: Parameter
    dest: Parameter
    by: str


@dataclass(frozen=True, eq=False)
class Matches:
    """What fits, what stands in the same place and does not fit, and what is left on both sides.

    Args:
        pairs: parameters of one shape.
        differing: pairs of different shapes, with the reason.
        left_source, left_dest: parameters without a partner.
        set_aside: recipient's parameters that ``select`` and ``exclude`` leave out.
    """

    pairs: tuple[Pair, ...]
    differing: tuple[tuple[Pair, str], ...] = ()
    left_source: tuple[Parameter, ...] = ()
    left_dest: tuple[Parameter, ...] = ()
    set_aside: tuple[Parameter, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether nothing was left and everything fits; single numbers in a computation may be left."""
        return not (self.differing or any(not p.is_number for p in (*self.left_source, *self.left_dest)))


@dataclass
class _Found:
    """Partners found so far, each parameter once."""

    pairs: dict[int, Pair] = field(default_factory=dict)
    taken: set[int] = field(default_factory=set)
    shared: list[Pair] = field(default_factory=list)  # further partners of a donor's parameter that has one

    def add(self, source: Parameter, dest: Parameter, by: str) -> None:
        if id(source.value) not in self.pairs and id(dest.value) not in self.taken:
            self.pairs[id(source.value)] = Pair(source, dest, by)
            self.taken.add(id(dest.value))

    def free(self, source: Iterable[Parameter], dest: Iterable[Parameter]) -> tuple[list[Parameter], list[Parameter]]:
        return [p for p in source if id(p.value) not in self.pairs], [p for p in dest if id(p.value) not in self.taken]


def match(
    source: Sequence[Parameter], dest: Sequence[Parameter], *, by: str = "auto", mapping: Mapping[str, str] | None = None,
    select: Sequence[str] = (), exclude: Sequence[str] = (),
) -> Matches:
    """Pair the parameters of a donor with those of a recipient.

    Args:
        source, dest: parameters in canonical order.
        by: ``auto`` (names, held against structure, then structure), ``name``, ``structure``, ``value`` (equal numbers) or ``map``.
        mapping: donor's name to recipient's; both may hold ``*``. It goes before everything else.
        select, exclude: globs on names or layer paths: what of the recipient is to be written.

    Raises:
        UsageError: an unknown way, or a pattern that matches nothing.
        InputError: a parameter has several possible partners; they are listed.
    """
    if by not in WAYS:
        raise UsageError(f"unknown way to match {by!r}; known: {known(WAYS)}")
    if by == "map" and not mapping:
        raise UsageError("matching by map needs a map; none was received")
    wanted = naming.selected(source, dest, select, exclude)
    found = _Found()
    for a, b in naming.mapped(source, dest, mapping or {}):
        found.add(a, b, "map")
    donors, theirs = found.free(source, dest)
    if by == "value":
        _by_value(found, donors, theirs)
    elif by == "name":
        _by_name(found, donors, theirs)
    elif by in ("structure", "auto"):
        _by_structure(found, donors, theirs, wanted, names=by == "auto")
    _by_shared_kernel(found, source, dest)
    return _sorted_out(found, source, dest, wanted)


def _by_shared_kernel(found: _Found, source: Sequence[Parameter], dest: Sequence[Parameter]) -> None:
    """Layers that share a kernel share their bias too, which an integer graph holds once for every layer, each on a grid of its own."""
    for pair in found.pairs.values():
        count = len(pair.source.readers)
        if pair.dest.role != "kernel" or not 1 < count == len(pair.dest.readers):
            continue
        bias = next((p for p in source if p.role == "bias" and p.node is pair.source.node and len(p.readers) == count), None)
        if bias is None or id(bias.value) not in found.pairs:
            continue
        for p in dest:
            if p.role == "bias" and id(p.value) not in found.taken and any(p.node is reader for reader in pair.dest.readers):
                found.taken.add(id(p.value))
                found.shared.append(Pair(bias, p, found.pairs[id(bias.value)].by))


def _by_name(found: _Found, source: Sequence[Parameter], dest: Sequence[Parameter]) -> None:
    named = naming.by_name(dest)
    for parameter in source:
        if parameter.name in named:
            found.add(parameter, named[parameter.name], "name")


def _by_value(found: _Found, source: Sequence[Parameter], dest: Sequence[Parameter]) -> None:
    """Equal numbers in equal roles; several that are all equal are paired in canonical order, if there are as many on both sides."""
    groups: dict[tuple[str, str, str], tuple[list[Parameter], list[Parameter]]] = defaultdict(lambda: ([], []))
    for side, parameters in enumerate((source, dest)):
        for p in parameters:
            groups[p.family, p.role, fingerprint(p)][side].append(p)
    for ours, theirs in groups.values():
        if ours and theirs and len(ours) != len(theirs):
            raise InputError(f"{known(p.name for p in ours)} of the donor {'has' if len(ours) == 1 else 'have'} the numbers of each of "
                             f"{known(p.name for p in theirs)} of the recipient; --map says which is meant")
        for a, b in zip(ours, theirs, strict=False):
            found.add(a, b, "value")


def fingerprint(parameter: Parameter) -> str:
    """sha256 over the shape and the float32 numbers of the canonical form: equal for a weight in any layout."""
    numbers = np.ascontiguousarray(parameter.read(), np.float32)
    return hashlib.sha256(repr(numbers.shape).encode() + (numbers + 0).tobytes()).hexdigest()  # + 0 makes one zero of two


def _by_structure(found: _Found, source: Sequence[Parameter], dest: Sequence[Parameter], wanted: naming.Wanted, *, names: bool) -> None:
    told = compare(units(source), units(dest))
    partners = {id(a.value): b for x, y in (*told.fitting, *told.differing) for a, b in _roles(x, y)}
    if names:
        _check_names(source, dest, partners, wanted)
        _by_name(found, source, dest)
    unclear = [(x, ys) for x, all_of_them in told.ambiguous if any(id(p.value) not in found.pairs for p in x.parameters.values())
               and (ys := _open(found, all_of_them, wanted))]
    if unclear:
        raise InputError(_ambiguous(unclear))
    for parameter in source:
        if id(parameter.value) in partners:
            found.add(parameter, partners[id(parameter.value)], "structure")
    _numbers(found, source, dest, told)


def _open(found: _Found, candidates: Sequence[Unit], wanted: naming.Wanted) -> tuple[Unit, ...]:
    """Those that something is wanted of and that have no donor yet."""
    return tuple(y for y in candidates if any(wanted(p) and id(p.value) not in found.taken for p in y.parameters.values()))


def _roles(source: Unit, dest: Unit) -> Iterable[tuple[Parameter, Parameter]]:
    return ((p, dest.parameters[role]) for role, p in source.parameters.items() if role in dest.parameters)


def _check_names(
    source: Sequence[Parameter], dest: Sequence[Parameter], partners: Mapping[int, Parameter], wanted: naming.Wanted
) -> None:
    """Refuse names that lead to another partner than the structure, seen from either side."""
    named, donors = naming.by_name(dest), {id(partners[id(p.value)].value): p for p in source if id(p.value) in partners}
    lines = []
    for p, name in ((p, named[p.name]) for p in source if p.name in named):
        place, donor = partners.get(id(p.value)), donors.get(id(name.value))
        if place is not None and place is not name and (wanted(place) or wanted(name)):
            lines.append(f"{_told(p)} of the donor is by name {_told(name)}, by its place {_told(place)}")
        elif place is None and donor is not None and wanted(name):
            lines.append(f"{_told(name)} of the recipient is by name the donor's {_told(p)}, by its place {_told(donor)}")
    if lines:
        raise InputError(f"names and structure disagree: {'; '.join(lines[:5])}{f'; {len(lines) - 5} more' if len(lines) > 5 else ''}. "
                         "--by name or --by structure says which is meant")


def _told(parameter: Parameter) -> str:
    return f"{parameter.name} {list(parameter.shape)}"


def _ambiguous(unclear: Sequence[tuple[Unit, tuple[Unit, ...]]]) -> str:
    lines = [f"{x.place} could be {known(y.place for y in ys)}" for x, ys in unclear[:5]]
    return (f"by structure {len(unclear)} layers of the donor have several possible partners: {'; '.join(lines)}"
            + ("; and so on" if len(unclear) > 5 else "") + ". --map, or --by name, says which is meant")


def _numbers(found: _Found, source: Sequence[Parameter], dest: Sequence[Parameter], told: Structure) -> None:
    """Single numbers in a computation, which have no place of their own to be sure of: paired if the whole structure is the same."""
    left = found.free(source, dest)
    a, b = ([p for p in side if p.is_number] for side in left)
    whole = not told.differing and not any(not p.is_number for side in left for p in side)
    if whole and [(p.family, p.role) for p in a] == [(p.family, p.role) for p in b]:
        for x, y in zip(a, b, strict=True):
            found.add(x, y, "structure")


def _sorted_out(found: _Found, source: Sequence[Parameter], dest: Sequence[Parameter], wanted: naming.Wanted) -> Matches:
    pairs = [*(found.pairs[id(p.value)] for p in source if id(p.value) in found.pairs), *found.shared]
    chosen = [pair for pair in pairs if wanted(pair.dest)]
    fitting = tuple(pair for pair in chosen if pair.source.shape == pair.dest.shape)
    differing = tuple((pair, f"the donor's is {list(pair.source.shape)}, the recipient's {list(pair.dest.shape)}")
                      for pair in chosen if pair.source.shape != pair.dest.shape)
    left_source, left_dest = found.free(source, dest)
    return Matches(fitting, differing, tuple(p for p in left_source if wanted(p)), tuple(p for p in left_dest if wanted(p)),
                   tuple(p for p in dest if not wanted(p)))
