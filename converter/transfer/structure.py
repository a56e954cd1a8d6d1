"""Pair the parameters of two graphs by structure: by what they are and where they stand, whatever they are called.

Operators with parameters, in canonical order, are two sequences; their keys are family, roles and shapes. The pairs are those of a longest
common subsequence (Hunt and McIlroy 1976, as in diff). Where several such subsequences exist, an operator that can have different partners
is ambiguous, and so is none of them alone: which layer of five like it is missing, nobody can tell.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from converter.spec.quant import Array
from converter.transfer.parameters import Parameter


@dataclass(frozen=True, eq=False)
class Unit:
    """An operator and its parameters by role."""

    family: str
    parameters: dict[str, Parameter]

    @property
    def key(self) -> Hashable:
        """Equal for two operators whose parameters can all be paired."""
        return self.family, tuple(sorted((role, p.shape) for role, p in self.parameters.items()))

    @property
    def core(self) -> Hashable:
        """Equal for two operators that differ in what is beside their largest parameter (a bias)."""
        role, parameter = max(self.parameters.items(), key=lambda pair: (int(np.prod(pair[1].shape)), pair[0]))
        return self.family, role, parameter.shape

    @property
    def place(self) -> str:
        """Where it is, for messages."""
        return next(iter(self.parameters.values())).place


def units(parameters: Sequence[Parameter]) -> list[Unit]:
    """The operators that ``parameters`` belong to, in canonical order; single numbers in a computation are left out."""
    found: dict[int, Unit] = {}
    for parameter in parameters:
        if not parameter.is_number:
            unit = found.setdefault(id(parameter.node), Unit(parameter.family, {}))
            role = parameter.role if parameter.role not in unit.parameters else f"{parameter.role} {len(unit.parameters)}"
            unit.parameters[role] = parameter
    return list(found.values())


@dataclass(frozen=True)
class Alignment:
    """Pairs of positions, and positions that could have several partners, with those."""

    pairs: tuple[tuple[int, int], ...]
    ambiguous: tuple[tuple[int, tuple[int, ...]], ...] = ()


def align(a: Sequence[Hashable], b: Sequence[Hashable]) -> Alignment:
    """Pair equal keys of two sequences; time and memory are the product of their lengths, unless they are the same."""
    if list(a) == list(b):
        return Alignment(tuple((i, i) for i in range(len(a))))
    numbers = {key: n for n, key in enumerate(dict.fromkeys([*a, *b]))}
    x, y = (np.array([numbers[key] for key in keys], np.int64) for keys in (a, b))
    equal = x[:, None] == y[None, :]
    before, behind = _lengths(equal), _lengths(equal[::-1, ::-1])[::-1, ::-1]
    possible = equal & (before[:-1, :-1] + behind[1:, 1:] + 1 == before[-1, -1])
    return _decided(possible)


def _lengths(equal: Array) -> Array:
    """Length of the longest common subsequence of every pair of prefixes, int32 ``(n + 1, m + 1)``."""
    table = np.zeros((equal.shape[0] + 1, equal.shape[1] + 1), np.int32)
    for i, row in enumerate(equal):
        table[i + 1, 1:] = np.maximum.accumulate(np.maximum(table[i, 1:], (table[i, :-1] + 1) * row))
    return table


def _decided(possible: Array) -> Alignment:
    """Partners of all those that have one that has no other; the others are ambiguous."""
    rows, columns = possible.sum(axis=1), possible.sum(axis=0)
    pairs = [(int(i), int(j)) for i, j in zip(*np.nonzero(possible), strict=True) if rows[i] == 1 and columns[j] == 1]
    ambiguous = [(int(i), tuple(int(j) for j in np.flatnonzero(possible[i]))) for i in np.flatnonzero(rows)
                 if rows[i] > 1 or columns[np.flatnonzero(possible[i])[0]] > 1]
    return Alignment(tuple(pairs), tuple(ambiguous))


@dataclass(frozen=True, eq=False)
class Structure:
    """What structure says: pairs of operators that fit, pairs that stand in the same place and do not fit, and what is ambiguous."""

    fitting: tuple[tuple[Unit, Unit], ...]
    differing: tuple[tuple[Unit, Unit], ...]
    ambiguous: tuple[tuple[Unit, tuple[Unit, ...]], ...]


def compare(source: Sequence[Unit], dest: Sequence[Unit]) -> Structure:
    """Pair operators: first those that are equal, then, between them, those whose largest parameter is, then those of one family."""
    fitting: list[tuple[Unit, Unit]] = []
    ambiguous: list[tuple[Unit, tuple[Unit, ...]]] = []
    gaps = [(list(source), list(dest))]
    for kind in ("key", "core"):
        left: list[tuple[list[Unit], list[Unit]]] = []
        for a, b in gaps:
            found = align([getattr(unit, kind) for unit in a], [getattr(unit, kind) for unit in b])
            fitting += [(a[i], b[j]) for i, j in found.pairs]
            ambiguous += [(a[i], tuple(b[j] for j in js)) for i, js in found.ambiguous]
            left += _between(a, b, found)
        gaps = left
    differing = [pair for a, b in gaps for pair in _same_place(a, b)]
    return Structure(tuple(fitting), tuple(differing), tuple(ambiguous))


def _between(a: list[Unit], b: list[Unit], found: Alignment) -> Iterator[tuple[list[Unit], list[Unit]]]:
    """What is left between two pairs that follow each other in both sequences."""
    taken = {i for i, _ in found.ambiguous}, {j for _, js in found.ambiguous for j in js}
    start = (0, 0)
    for i, j in [*_rising(found.pairs), (len(a), len(b))]:
        used = {x for x, _ in found.pairs}, {y for _, y in found.pairs}
        yield ([a[k] for k in range(start[0], i) if k not in taken[0] | used[0]], [b[k] for k in range(start[1], j) if k not in taken[1] | used[1]])
        start = (i + 1, j + 1)


def _rising(pairs: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    last = -1
    for i, j in pairs:
        if j > last:
            last = j
            yield i, j


def _same_place(a: list[Unit], b: list[Unit]) -> Iterator[tuple[Unit, Unit]]:
    """Operators of one family in one gap, if there are as many of them on both sides."""
    if [unit.family for unit in a] == [unit.family for unit in b]:
        yield from zip(a, b, strict=True)
