"""The first samples of a source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from converter.data.rebatch import part
from converter.data.source import Batch, Source
from converter.errors import UsageError


@dataclass(frozen=True)
class _Limited:
    inner: Source
    most: int

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def count(self) -> int | None:
        return None if self.inner.count is None else min(self.inner.count, self.most)

    def batches(self, size: int) -> Iterator[Batch]:
        return self._first(self.inner.batches(min(size, self.most) if size > 0 else size))

    def _first(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        left = self.most
        while left > 0 and (batch := next(batches, None)) is not None:
            yield batch if len(batch) <= left else part(batch, 0, left)
            left -= len(batch)


def limit(source: Source, n: int) -> Source:
    """The first ``n`` samples of ``source``, or all of them when there are fewer; nothing after them is read.

    A source without an end becomes one with an end. Batches are cut as those of ``source`` are, the last one shorter.

    Raises:
        UsageError: ``n`` is less than 1.
    """
    if n < 1:
        raise UsageError(f"{source.name}: the number of samples must be at least 1, received {n}")
    return _Limited(source, n)
