"""Names of values and nodes: unique in a graph, its subgraphs and its ledger, at the same cost in any graph."""

from __future__ import annotations

import weakref
from collections.abc import Iterable

import onnx_ir as ir

from converter.graph import ledger

NAMES = "names"


def fresh_name(model: ir.Model, base: str) -> str:
    """``base``, or ``base`` with a number behind it: a value name that the graph does not have yet."""
    return names_of(model.graph, model).free(base)


def reserve(model: ir.Model, names: Iterable[str]) -> None:
    """Let no new value or node have one of ``names``."""
    names_of(model.graph, model).take(names)


class Names:
    """The names that a graph has, and the next number for every base, so that a name costs the same in any graph."""

    def __init__(self, graph: ir.Graph, more: set[str]) -> None:
        self.graph = weakref.ref(graph)
        self._taken, self._counters = _all_names(graph) | more, dict[str, int]()

    def take(self, names: Iterable[str]) -> None:
        """Let nothing new have these."""
        self._taken.update(names)

    def free(self, base: str) -> str:
        """``base``, or ``base`` with a number behind it; taken from now on."""
        name = base
        while name in self._taken:
            self._counters[base] = self._counters.get(base, 0) + 1
            name = f"{base}_{self._counters[base]}"
        self._taken.add(name)
        return name


def names_of(graph: ir.Graph, model: ir.Model | None = None) -> Names:
    """The names of ``graph``, gathered once; with ``model``, those that its ledger computes with too."""
    found = graph.meta.get(NAMES)
    if not isinstance(found, Names) or found.graph() is not graph:  # a clone brings along those of the graph it was made of
        found = graph.meta[NAMES] = Names(graph, _recorded_names(model) if model is not None else set())
    return found


def _all_names(graph: ir.Graph) -> set[str]:
    """Names of all values, those in subgraphs too: an inner name may not hide an outer one."""
    names: set[str | None] = set()
    for part in (graph, *graph.subgraphs()):
        names.update(v.name for v in part.inputs)
        names.update(part.initializers)
        names.update(out.name for node in part for out in node.outputs)
    return {name for name in names if name}


def _recorded_names(model: ir.Model) -> set[str]:
    """Names that the ledger computes with, though the graph may no longer have them: a new value must not take the place of an old one."""
    book = model.meta.get(ledger.META)
    return book.names() if isinstance(book, ledger.Ledger) else set()
