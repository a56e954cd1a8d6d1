"""A registry of unordered things (targets, observers, metrics): a file is found by being in its package."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from converter.errors import UsageError, known

T = TypeVar("T")


class Registry(Generic[T]):
    """Names to things of one kind; the package is imported at the first look-up, not before.

    Args:
        kind: what the things are called in messages, for example ``"target"``.
        package: dotted name of the package whose modules register the things.
    """

    def __init__(self, kind: str, package: str) -> None:
        self._kind = kind
        self._package = package
        self._things: dict[str, T] = {}
        self._loaded = False

    def add(self, name: str, thing: T) -> T:
        """Register ``thing``; a second thing of the same name is a programming error (ValueError)."""
        if name in self._things:
            raise ValueError(f"{self._kind} {name!r} is registered twice")
        self._things[name] = thing
        return thing

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator form of :meth:`add`."""
        return lambda thing: self.add(name, thing)

    def get(self, name: str) -> T:
        """The thing called ``name``; UsageError, which lists what exists, when there is none."""
        self._load()
        if name not in self._things:
            raise UsageError(f"unknown {self._kind} {name!r}; known: {known(self._things)}")
        return self._things[name]

    def names(self) -> list[str]:
        """All names, sorted."""
        self._load()
        return sorted(self._things)

    def __iter__(self) -> Iterator[tuple[str, T]]:
        return iter((name, self._things[name]) for name in self.names())

    def _load(self) -> None:
        if self._loaded:
            return
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")
        self._loaded = True
