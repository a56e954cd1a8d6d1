"""Which Keras variable takes up the change of which tensor, and in which order.

A tensor is a function of several variables; all but one keep their values. After a tensor was solved for, nothing that it was computed
from may change, so the variable of the tensor that is solved for last must be one that no other tensor depends on; the one before
that, one that none but the last depends on; and so on. So the order is found from its end, by taking tensors away that have such a
variable. Taking one away never takes another's variable, so nothing has to be tried twice.

Preferred is a variable that can hold as many numbers as the tensor has (a kernel, not gamma), then one that is reached by additions
only (beta, not the bias of the convolution, which is scaled), then by products (gamma, not the variance), then by few steps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from converter.graph.ledger import Ledger
from converter.transfer import inverse

Route = tuple[tuple[str, int], ...]
"""From a tensor to a variable: entries of the ledger, each with the input by which to go on."""
Cost = tuple[int, int, int, int]


@dataclass(frozen=True)
class Aim:
    """A tensor, the variable (by path) that takes up its change, and the way there."""

    entry: str
    variable: str
    route: Route


@dataclass(frozen=True)
class Choice:
    """Aims in the order to solve for them, and tensors that no variable is left for: they must come out right by themselves."""

    aims: tuple[Aim, ...]
    left: tuple[str, ...]


class Routes:
    """Ways from entries to variables; a variable that is reached in two ways has none, because no step tells its share."""

    def __init__(self, book: Ledger) -> None:
        self._book = book
        self._found: dict[str, dict[str, Route | None]] = {}

    def of(self, entry: str) -> Mapping[str, Route | None]:
        """Variable path to the only way to it, None where there are several or one that cannot be gone back."""
        stack = [entry]
        while stack:
            name = stack[-1]
            step = self._book.steps.get(name)
            missing = [i for i in step.inputs if i not in self._found] if step is not None and name not in self._found else []
            if missing:
                stack += missing
                continue
            stack.pop()
            if name not in self._found:
                self._found[name] = self._through(name)
        return self._found[entry]

    def _through(self, name: str) -> dict[str, Route | None]:
        if name in self._book.variables:
            return {self._book.variables[name]: ()}
        step = self._book.steps.get(name)
        found: dict[str, Route | None] = {}
        for index, source in enumerate(step.inputs if step is not None else ()):
            assert step is not None
            passable = inverse.can_invert(step, index)
            for path, route in self._found[source].items():
                found[path] = ((name, index), *route) if passable and route is not None and path not in found else None
        return found


def choose(book: Ledger, sizes: Mapping[str, int], capacity: Mapping[str, int], slack: Sequence[str] = ()) -> Choice:
    """A variable for every tensor.

    Args:
        book: the ledger.
        sizes: how many numbers every tensor has, by entry.
        capacity: how many numbers every variable holds, by path.
        slack: tensors that may be off by a step of their grid; where two want one variable, these are left.
    """
    routes = Routes(book)
    ways = {entry: routes.of(entry) for entry in sizes}
    readers: dict[str, set[str]] = {}
    for entry, found in ways.items():
        for path in found:
            readers.setdefault(path, set()).add(entry)
    aims, left, remaining = list[Aim](), list[str](), list(sizes)
    while remaining:
        taken = _private(book, remaining, ways, readers, sizes, capacity, exact=True)
        taken = taken or _private(book, remaining, ways, readers, sizes, capacity, exact=False)[:1]
        if not taken:
            loose = next((e for e in reversed(remaining) if e in slack), remaining[-1])
            left.append(loose)
        aims += taken
        gone = {aim.entry for aim in taken} or {left[-1]}
        remaining = [e for e in remaining if e not in gone]
        for entry in gone:
            for path in ways[entry]:
                readers[path].discard(entry)
    return Choice(tuple(reversed(aims)), tuple(left))


def _private(
    book: Ledger, entries: Sequence[str], ways: Mapping[str, Mapping[str, Route | None]], readers: Mapping[str, set[str]],
    sizes: Mapping[str, int], capacity: Mapping[str, int], *, exact: bool,
) -> list[Aim]:
    """The best variable of every tensor that has one which no other of the tensors depends on."""
    found = []
    for entry in entries:
        costs = [(_cost(book, route), path, route) for path, route in ways[entry].items()
                 if route is not None and readers[path] == {entry} and (capacity[path] >= sizes[entry]) is exact]
        if costs:
            _, path, route = min(costs, key=lambda c: c[0])  # of equals the first, in the order of the computation
            found.append(Aim(entry, path, route))
    return found


def _cost(book: Ledger, route: Route) -> Cost:
    steps = [(book.steps[name], index) for name, index in route]
    bent = sum(not inverse.is_linear(step, index) for step, index in steps)
    scaled = sum(not inverse.is_sum(step) for step, _ in steps)
    return bent, scaled, sum(step.op_type not in inverse.MOVES for step, _ in steps), len(steps)
