"""The size of an input as a user gives it: ``96``, ``96x128``, ``any``, or ``image=96x128`` for one input of several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from converter.errors import UsageError, known

FREE = "any"


@dataclass(frozen=True)
class Size:
    """Lengths of the spatial axes, None where a length is free; one number stands for all axes.

    ``name`` is that of the input, where several could be meant.
    """

    lengths: tuple[int | None, ...]
    name: str | None = None

    def shape(self, shape: Sequence[int | str | None], axes: Sequence[int], place: str) -> list[int | str | None]:
        """``shape`` with these lengths at ``axes``.

        Raises:
            UsageError: there are more or fewer axes than lengths.
        """
        lengths = self.lengths * len(axes) if len(self.lengths) == 1 else self.lengths
        if not axes or len(lengths) != len(axes):
            raise UsageError(f"size {self} has {len(self.lengths)} lengths; {place} {list(shape)} has {len(axes)} axes for a size")
        changed = list(shape)
        for axis, length in zip(axes, lengths, strict=True):
            changed[axis] = length
        return changed

    def choose(self, candidates: Mapping[str, int]) -> str:
        """The input that is meant.

        Args:
            candidates: names of all inputs, with the number of their axes for a size.

        Raises:
            UsageError: no input fits, or several do.
        """
        if self.name is not None and self.name not in candidates:
            raise UsageError(f"size {self} is for input {self.name!r}, which is not there; inputs: {known(candidates)}")
        fitting = [n for n, axes in candidates.items() if n == self.name or (self.name is None and axes and len(self.lengths) in (1, axes))]
        if not fitting:
            told = ", ".join(f"{name} ({axes} axes for a size)" for name, axes in candidates.items())
            raise UsageError(f"size {self} fits no input; inputs: {told or 'none'}")
        if len(fitting) != 1:
            raise UsageError(f"size {self} could be that of {known(fitting)}; say which, as in {sorted(fitting)[0]}={self}; "
                             f"inputs: {known(candidates)}")
        return fitting[0]

    def __str__(self) -> str:
        text = "x".join(FREE if n is None else str(n) for n in self.lengths)
        return text if self.name is None else f"{self.name}={text}"


def parse(given: Any) -> Size:
    """What a user gave: a number, several, None for a free length, a text, or a :class:`Size`.

    Raises:
        UsageError: it is none of these, or a length is below 1.
    """
    if isinstance(given, Size):
        return given
    name, parts = None, given if isinstance(given, list | tuple) else [given]
    if isinstance(given, str):
        name, _, text = given.rpartition("=")
        parts = text.split("x")
    try:
        lengths = tuple(None if part in (None, FREE) else int(part) for part in parts)
    except (TypeError, ValueError) as error:
        raise UsageError(f"a size is a number, or several as in 96x128, or {FREE}; received {given!r}") from error
    if not lengths or any(n is not None and n < 1 for n in lengths):
        raise UsageError(f"lengths are 1 or more; received {given!r}")
    return Size(lengths, name or None)
