"""How long work tells that it goes on: stages with a number of steps. Who listens decides how it looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Listener(Protocol):
    """Hears about stages."""

    def begin(self, stage: str, total: int | None) -> None:
        """A stage begins; ``total`` steps, or None where nobody knows."""

    def advance(self, steps: int) -> None:
        """The current stage got on by ``steps``."""

    def end(self, stage: str, seconds: float) -> None:
        """The stage is done. A stage that fails never ends: what comes next is the error."""


class Silent:
    """Hears nothing."""

    def begin(self, stage: str, total: int | None) -> None:
        """Ignored."""

    def advance(self, steps: int) -> None:
        """Ignored."""

    def end(self, stage: str, seconds: float) -> None:
        """Ignored."""


SILENT = Silent()


class Stages:
    """Runs stages one after the other and keeps their times, in ``seconds`` by name."""

    def __init__(self, listener: Listener) -> None:
        self.seconds: dict[str, float] = {}
        self._listener = listener

    @contextmanager
    def stage(self, name: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """A stage; the body gets a function to advance it with."""
        import time

        start = time.perf_counter()
        self._listener.begin(name, total)
        yield self._listener.advance
        took = time.perf_counter() - start
        self.seconds[name] = self.seconds.get(name, 0.0) + took
        self._listener.end(name, took)
